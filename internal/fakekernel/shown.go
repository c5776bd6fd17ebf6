// SPDX-License-Identifier: GPL-2.0-or-later

package fakekernel

import "bytes"

// poison overwrites memory that the owner of a socket may no longer use.
const poison = 0xdb

// shown is the memory in which the owner of a socket has been shown packets.
type shown struct {
	bySlot map[*byte]*view
	byID   map[packetID]*view
}

// packetID is the id of a packet in a queue.
type packetID struct {
	queue uint16
	id    uint32
}

// view is a message in a slot of the owner's.
type view struct {
	packetID
	message []byte // in the slot
	payload []byte // of the packet as it was sent; nil for other messages
	changed bool   // the payload was, before the slot was used again
}

// show remembers that a datagram was copied to the first n bytes of a slot.
func (s *shown) show(d datagram, slot []byte, n int) {
	if n == 0 {
		return
	}
	if s.bySlot == nil {
		s.bySlot, s.byID = make(map[*byte]*view), make(map[packetID]*view)
	}
	v := &view{packetID: d.packet, message: slot[:n]}
	s.bySlot[&slot[0]] = v
	if n == len(d.data) && !d.truncated && d.payload > 0 {
		v.payload = d.data[n-d.payload:]
		s.byID[v.packetID] = v
	}
}

// reuse poisons what a slot holds. The owner has given the slot to a receive call.
func (s *shown) reuse(slot []byte) {
	v := s.bySlot[&slot[0]]
	if v == nil {
		return
	}
	v.changed = v.rewritten() // the packet may be decided later
	for i := range v.message {
		v.message[i] = poison
	}
	v.message, v.payload = nil, nil
	delete(s.bySlot, &slot[0])
}

// rewritten reports whether the owner has changed the payload of a packet that it decides now.
func (s *shown) rewritten(id packetID) bool {
	v := s.byID[id]
	if v == nil {
		return false
	}
	delete(s.byID, id)
	return v.changed || v.rewritten()
}

// rewritten reports whether the payload in the slot differs from what was sent.
func (v *view) rewritten() bool {
	return !bytes.Equal(v.message[len(v.message)-len(v.payload):], v.payload)
}
