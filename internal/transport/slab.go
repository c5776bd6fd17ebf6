// SPDX-License-Identifier: GPL-2.0-or-later

package transport

// Slab is the memory for one receive call: slots of one size in one piece. The
// dispatcher owns it; a Conn writes to it only during Recv.
type Slab struct {
	mem    []byte
	stride int
	size   int
	n      []Datagram
}

// Datagram tells what Recv put into a slot.
type Datagram struct {
	// Len is the number of bytes in the slot.
	Len int
	// Truncated means that the datagram did not fit and its end is lost.
	Truncated bool
}

// slotSkew keeps the beginnings of slots, the only part that small packets use,
// from falling into the same few sets of a processor's cache.
const slotSkew = 192

// NewSlab makes a slab of n slots that hold size bytes each. Memory is touched
// only when a datagram is written to it.
func NewSlab(n, size int) *Slab {
	stride := size + slotSkew
	return &Slab{mem: make([]byte, n*stride), stride: stride, size: size, n: make([]Datagram, n)}
}

// Slots returns the number of slots.
func (s *Slab) Slots() int { return len(s.n) }

// Slot returns the whole memory of slot i. What lies behind the datagram may be used.
func (s *Slab) Slot(i int) []byte {
	at := i * s.stride
	return s.mem[at : at+s.size : at+s.size]
}

// Datagram returns the entry of slot i, for Recv to fill in and the dispatcher to read.
func (s *Slab) Datagram(i int) *Datagram { return &s.n[i] }
