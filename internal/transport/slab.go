// SPDX-License-Identifier: GPL-2.0-or-later

package transport

// Slab is the memory for one receive call: slots of one size, in one piece unless
// SetSlot has put others there. The dispatcher owns it; a Conn writes to it only
// during Recv.
type Slab struct {
	slots [][]byte
	n     []Datagram
	moved int
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
	mem := make([]byte, n*stride)
	s := &Slab{slots: make([][]byte, n), n: make([]Datagram, n)}
	for i := range s.slots {
		at := i * stride
		s.slots[i] = mem[at : at+size : at+size]
	}
	return s
}

// Slots returns the number of slots.
func (s *Slab) Slots() int { return len(s.n) }

// Slot returns the whole memory of slot i. What lies behind the datagram may be used.
func (s *Slab) Slot(i int) []byte { return s.slots[i] }

// SetSlot makes mem, of the size of the others, the memory of slot i. What was
// there is no longer written to.
func (s *Slab) SetSlot(i int, mem []byte) {
	s.slots[i] = mem
	s.moved = max(s.moved, i+1)
}

// Moved returns how many slots, from the first on, may have other memory than when
// it was last called. It is for a Conn that remembers where slots are.
func (s *Slab) Moved() int {
	n := s.moved
	s.moved = 0
	return n
}

// Datagram returns the entry of slot i, for Recv to fill in and the dispatcher to read.
func (s *Slab) Datagram(i int) *Datagram { return &s.n[i] }
