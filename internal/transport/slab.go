// SPDX-License-Identifier: GPL-2.0-or-later

package transport

// Slab is the memory for one receive call: slots of one size. They are one piece of memory, unless
// SetSlot has replaced some. The dispatcher owns the slab; a Conn writes to it only during Recv,
// and may then overwrite every slot.
type Slab struct {
	slots [][]byte
	n     []Datagram
	moved int
}

// Datagram describes the contents of a slot after Recv.
type Datagram struct {
	// Len is the number of bytes in the slot.
	Len int
	// Truncated means that the slot was too small, and the end of the datagram is lost.
	Truncated bool
}

// slotSkew spreads the beginnings of slots, the only part that small packets use, over the sets of
// the processor's cache.
const slotSkew = 192

// NewSlab makes a slab of n slots of size bytes each. The kernel provides a page of memory only
// when a datagram is written to it.
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

// Slot returns the whole memory of slot i, also the part behind the datagram.
func (s *Slab) Slot(i int) []byte { return s.slots[i] }

// SetSlot replaces the memory of slot i by mem, which has the size of the others. A Conn no longer
// writes to the old memory.
func (s *Slab) SetSlot(i int, mem []byte) {
	s.slots[i] = mem
	s.moved = max(s.moved, i+1)
}

// Moved returns how many slots, from the first on, may have new memory since the last call. It is
// for a Conn that remembers the addresses of slots.
func (s *Slab) Moved() int {
	n := s.moved
	s.moved = 0
	return n
}

// Datagram returns the description of slot i, which Recv fills in and the dispatcher reads.
func (s *Slab) Datagram(i int) *Datagram { return &s.n[i] }
