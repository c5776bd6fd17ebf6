// SPDX-License-Identifier: GPL-2.0-or-later

package nfqueue

import "fmt"

// Handler decides packets.
type Handler interface {
	// ServePacket returns what becomes of p, or Deferred after p.Defer. It owns p
	// until it returns. The edits made to p go with the verdict, unless that drops
	// the packet.
	ServePacket(p *Packet) Verdict
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(*Packet) Verdict

// ServePacket calls f.
func (f HandlerFunc) ServePacket(p *Packet) Verdict { return f(p) }

// PanicError is the error with which Serve ends when a handler panics. The packet
// has been given the Fallback.
type PanicError struct {
	// Value is what the handler panicked with; nil if it ended its goroutine with
	// runtime.Goexit.
	Value any
	// Stack is the stack of the goroutine at the panic.
	Stack []byte
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("handler panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
