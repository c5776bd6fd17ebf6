// SPDX-License-Identifier: GPL-2.0-or-later

package consumer

// Names of consumers.
const (
	OurName     = "nfqueue-go"
	NoQueueName = "no queue"
	LibraryName = "libnetfilter_queue"
	FloorName   = "C, recvmmsg and batch verdict"
)

// peer is a program of bench/c.
type peer struct {
	title string
	// source is the name of the source without its suffix, and that of the program.
	source string
	// library is the one that it needs, "" for none.
	library string
	args    []string
}

var peers = []peer{
	{title: LibraryName, source: "libnetfilter_queue", library: "netfilter_queue"},
	{
		title:   LibraryName + " as its example",
		source:  "libnetfilter_queue",
		library: "netfilter_queue",
		args:    []string{"--defaults"},
	},
	{
		title:   LibraryName + ", batch verdict",
		source:  "libnetfilter_queue_batch",
		library: "netfilter_queue",
	},
	{title: "C, recvmmsg and one send", source: "recvmmsg"},
	{title: FloorName, source: "recvmmsg_batch"},
}
