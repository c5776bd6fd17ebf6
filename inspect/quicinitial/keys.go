// SPDX-License-Identifier: GPL-2.0-or-later

package quicinitial

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// keys protect the Initial packets of a client (RFC 9001 section 5).
type keys struct {
	version *version
	header  cipher.Block
	aead    cipher.AEAD
	iv      []byte
}

const (
	keyLen    = 16 // AES-128
	nonceLen  = 12
	sampleLen = 16
)

// newKeys makes the keys that belong to the destination connection id of a client's first
// packet. It fails where cryptography is restricted (FIPS 140-3) to longer secrets.
func newKeys(v *version, destID []byte) (keys, error) {
	initial, err := hkdf.Extract(sha256.New, destID, v.salt)
	if err != nil {
		return keys{}, err
	}
	secret, err := expand(initial, "client in", sha256.Size)
	if err != nil {
		return keys{}, err
	}
	var parts [3][]byte
	sizes := [...]int{keyLen, keyLen, nonceLen}
	for i, label := range [...]string{"key", "hp", "iv"} {
		if parts[i], err = expand(secret, v.label+label, sizes[i]); err != nil {
			return keys{}, err
		}
	}
	payload, err := aes.NewCipher(parts[0])
	if err != nil {
		return keys{}, err
	}
	header, err := aes.NewCipher(parts[1])
	if err != nil {
		return keys{}, err
	}
	aead, err := cipher.NewGCM(payload)
	return keys{version: v, header: header, aead: aead, iv: parts[2]}, err
}

// expand is HKDF-Expand-Label without context (RFC 8446 section 7.1).
func expand(secret []byte, label string, n int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, uint8(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "...), label...)
	return hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
}

// open returns the payload of a packet, or nil if it cannot be decrypted.
func (k *keys) open(h *header) []byte {
	sample := h.number + 4 // as if the packet number were as long as it may be
	if h.version != k.version || len(h.packet) < sample+sampleLen {
		return nil
	}
	var mask [aes.BlockSize]byte
	k.header.Encrypt(mask[:], h.packet[sample:sample+sampleLen])
	first := h.packet[0] ^ mask[0]&0x0f
	n := int(first&3) + 1

	head := append([]byte(nil), h.packet[:h.number+n]...)
	head[0] = first
	nonce := append([]byte(nil), k.iv...)
	for i := range n {
		head[h.number+i] ^= mask[1+i]
		nonce[nonceLen-n+i] ^= head[h.number+i] // the number is small: nothing of it was left out
	}
	payload, err := k.aead.Open(nil, nonce, h.packet[h.number+n:], head)
	if err != nil {
		return nil
	}
	return payload
}
