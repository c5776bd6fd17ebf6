// SPDX-License-Identifier: GPL-2.0-or-later

package nlwire

import "encoding/binary"

// NextAttr splits the first attribute off b: its type without the flag bits, its
// data, and what follows at the next alignment boundary. It reports false at the
// end of b and when the stated length is impossible; Malformed tells which.
func NextAttr(b []byte) (typ uint16, data, rest []byte, ok bool) {
	if len(b) < AttrHeaderLen {
		return 0, nil, nil, false
	}
	n := int(binary.NativeEndian.Uint16(b))
	if n < AttrHeaderLen || n > len(b) {
		return 0, nil, nil, false
	}
	typ = binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
	return typ, b[AttrHeaderLen:n:n], b[min(Align(n), len(b)):], true
}

// Malformed reports whether what NextAttr refused to split is more than the up
// to three bytes of padding that may follow the last attribute.
func Malformed(rest []byte) bool { return len(rest) >= AttrHeaderLen }

// AppendAttr appends an attribute with its padding.
func AppendAttr(b []byte, typ uint16, data []byte) []byte {
	b = AppendAttrHeader(b, typ, len(data))
	b = append(b, data...)
	return Pad(b, len(data))
}

// AppendAttrHeader appends only the header of an attribute whose n bytes of data
// follow by other means.
func AppendAttrHeader(b []byte, typ uint16, n int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(AttrHeaderLen+n))
	return binary.NativeEndian.AppendUint16(b, typ)
}

// AppendAttrU16 appends an attribute that holds v in network byte order.
func AppendAttrU16(b []byte, typ uint16, v uint16) []byte {
	b = AppendAttrHeader(b, typ, 2)
	b = binary.BigEndian.AppendUint16(b, v)
	return append(b, 0, 0)
}

// AppendAttrU32 appends an attribute that holds v in network byte order.
func AppendAttrU32(b []byte, typ uint16, v uint32) []byte {
	b = AppendAttrHeader(b, typ, 4)
	return binary.BigEndian.AppendUint32(b, v)
}

// AppendNest appends the header of a nested attribute. EndNest completes it with
// the index at which it starts, the length of b before the call.
func AppendNest(b []byte, typ uint16) []byte {
	return AppendAttrHeader(b, typ|Nested, 0)
}

// EndNest sets the length of the nested attribute that starts at b[start:] and
// ends with b.
func EndNest(b []byte, start int) {
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
}

// Pad appends the zeros that follow n bytes of data up to the next boundary.
func Pad(b []byte, n int) []byte {
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}
