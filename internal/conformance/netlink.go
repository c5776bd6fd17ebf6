// SPDX-License-Identifier: GPL-2.0-or-later

package conformance

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/chifflier/nfqueue-go/internal/kernel"
	"github.com/chifflier/nfqueue-go/internal/nlwire"
)

// Socket is a netfilter netlink socket with NETLINK_CAP_ACK.
type Socket interface {
	// Send sends a datagram to the kernel.
	Send(datagram []byte)
	// Receive waits for the next datagram from the kernel.
	Receive() []byte
	// Close closes the socket.
	Close()
}

const (
	none = -1 // the answer of a kernel that does not answer
	odd  = -2 // an answer that is not what it should look like
)

// step is a datagram and the kernel's answers to its messages. Several values for one message are
// those of different kernel versions.
type step struct {
	datagram []byte
	answers  [][]int32
	foreign  bool // by a second socket
}

// TestNetlink sends requests that a kernel must accept or must refuse, and compares the error
// numbers. dial opens a socket; the sockets of one test are in one network namespace.
func TestNetlink(t *testing.T, dial func(t *testing.T) func() Socket) {
	for _, c := range netlinkCases {
		t.Run(c.name, func(t *testing.T) {
			open := dial(t)
			own, foreign := open(), open()
			defer own.Close()
			defer foreign.Close()
			for i, s := range c.steps {
				socket := own
				if s.foreign {
					socket = foreign
				}
				got := ask(socket, s.datagram)
				for n, want := range s.answers {
					seq := uint32(n + 1)
					errno, ok := got[seq]
					if !ok {
						errno = none
					}
					if !slices.Contains(want, errno) {
						t.Errorf("step %d, message %d: answer %d (%v), want one of %v", i+1, seq, errno,
							kernel.Error(max(errno, 0)), want)
					}
					delete(got, seq)
				}
				if len(got) > 0 {
					t.Errorf("step %d: more answers, by sequence number: %v", i+1, got)
				}
			}
		})
	}
}

// ask sends a datagram and returns the error numbers of the answers, by sequence
// number.
func ask(s Socket, datagram []byte) map[uint32]int32 {
	const last = 1 << 30
	s.Send(datagram)
	s.Send(to(0, config(cmd(cmdPFBind))).seq(last))
	got := make(map[uint32]int32)
	for {
		b := s.Receive()
		hdr, ok := nlwire.ParseHeader(b)
		if !ok || hdr.Type != nlwire.TypeError {
			continue
		}
		errno, request, _ := nlwire.Errno(b[nlwire.HeaderLen:])
		const replyLen, capped = 36, 0x100 // NLM_F_CAPPED
		if len(b) != replyLen || hdr.Len != replyLen || hdr.Flags != capped || request.Seq != hdr.Seq {
			errno = odd
		}
		if hdr.Seq == last {
			return got
		}
		got[hdr.Seq] = errno
	}
}

// message is a netlink message in the making.
type message []byte

const (
	subsystem = 3

	msgPacket       = subsystem << 8
	msgVerdict      = subsystem<<8 | 1
	msgConfig       = subsystem<<8 | 2
	msgVerdictBatch = subsystem<<8 | 3

	cmdBind     = 1
	cmdUnbind   = 2
	cmdPFBind   = 3
	cmdPFUnbind = 4
)

// request makes a message with a nfgenmsg for queue 0 and attributes, which asks for an
// acknowledgement.
func request(typ uint16, attrs ...[]byte) message {
	m := nlwire.AppendHeader(nil, typ, nlwire.FlagRequest|nlwire.FlagAck, 1)
	m = append(m, 77, 0, 0, 0) // the family is ignored
	for _, a := range attrs {
		m = append(m, a...)
	}
	nlwire.Finish(m, 0)
	return m
}

func config(attrs ...[]byte) message { return request(msgConfig, attrs...) }

func verdict(attrs ...[]byte) message { return request(msgVerdict, attrs...) }

func to(queue uint16, m message) message {
	binary.BigEndian.PutUint16(m[nlwire.HeaderLen+2:], queue)
	return m
}

func (m message) seq(n uint32) message {
	binary.NativeEndian.PutUint32(m[8:], n)
	return m
}

func (m message) flags(f uint16) message {
	binary.NativeEndian.PutUint16(m[6:], f)
	return m
}

func (m message) stating(length int) message {
	binary.NativeEndian.PutUint32(m, uint32(length))
	return m
}

func attr(typ uint16, data ...byte) []byte { return nlwire.AppendAttr(nil, typ, data) }

func cmd(c byte) []byte { return attr(1, c, 0, 0, 0) }

func params(length uint32, mode byte, more ...byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, length), mode)
	return attr(2, append(b, more...)...)
}

func maxLen(n uint32) []byte    { return nlwire.AppendAttrU32(nil, 3, n) }
func mask(n uint32) []byte      { return nlwire.AppendAttrU32(nil, 4, n) }
func flagsAttr(n uint32) []byte { return nlwire.AppendAttrU32(nil, 5, n) }

func verdictHdr(v, id uint32) []byte {
	return attr(2, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, v), id)...)
}

// one is a step with one message.
func one(m message, answers ...int32) step { return step{datagram: m, answers: [][]int32{answers}} }

// many is a step with several messages in one datagram, aligned, numbered from 1.
func many(answers []int32, messages ...message) step {
	var s step
	for i, m := range messages {
		s.datagram = append(s.datagram, m.seq(uint32(i+1))...)
		for len(s.datagram)%4 != 0 {
			s.datagram = append(s.datagram, 0)
		}
		s.answers = append(s.answers, []int32{answers[i]})
	}
	return s
}

func (s step) byForeigner() step {
	s.foreign = true
	return s
}
