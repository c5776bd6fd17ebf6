// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

// parcel is a packet on its way from the goroutine that receives to a worker, and the
// slot of memory that holds it.
type parcel struct {
	packet Packet
	slot   []byte
	number uint64 // counts up in the order in which they were received
	next   *parcel
}

// parcels is a list, first in, first out.
type parcels struct{ first, last *parcel }

func (l *parcels) empty() bool { return l.first == nil }

func (l *parcels) push(p *parcel) {
	p.next = nil
	if l.first == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
}

func (l *parcels) pop() *parcel {
	p := l.first
	if p != nil {
		l.first, p.next = p.next, nil
	}
	return p
}

// append moves all of more to the end of l.
func (l *parcels) append(more *parcels) {
	if more.first == nil {
		return
	}
	if l.first == nil {
		l.first = more.first
	} else {
		l.last.next = more.first
	}
	l.last = more.last
	*more = parcels{}
}

// split takes the first n, or all if there are no more.
func (l *parcels) split(n int) (head parcels) {
	if l.first == nil {
		return head
	}
	last := l.first
	for ; n > 1 && last.next != nil; n-- {
		last = last.next
	}
	head = parcels{l.first, last}
	l.first, last.next = last.next, nil
	return head
}
