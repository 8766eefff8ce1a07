package postgres

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// What a client sends into a COPY goes through a Flow as one stream of bytes, where
// somebody wants it; as it comes otherwise.

// copyIn asks who wants to see the data of a COPY that the server is ready to read.
// Nothing of it goes to the server after an error, which ends the session.
func (d *down) copyIn(op proxy.Op) (*proxy.Flow, error) {
	shape := &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true, Copy: copyFacts(op)}
	flow, err := d.session.session.Flow(op, shape)
	if err != nil {
		return nil, fmt.Errorf("the data of a COPY: %w", err)
	}
	if !flow.HasBytes() {
		return nil, nil
	}
	return flow, nil
}

// copyFlow returns what wants to see the data that the client sends now. Clients
// that send it before the server asks for it wait until that is known: what
// the server ignores, after an error, nobody wants.
func (u *up) copyFlow() (*proxy.Flow, error) {
	p := u.pending
	p.mu.Lock()
	known, flow := p.copying || !p.mayCopy(), p.copied
	p.mu.Unlock()
	if known {
		return flow, nil
	}
	if err := u.urge(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.copying && p.mayCopy() && !p.closed {
		p.wait()
	}
	if p.closed {
		return nil, context.Canceled
	}
	return p.copied, nil
}

// mayCopy reports whether the server may yet ask for COPY data: it owes the answer to
// something that runs, which may be several commands.
func (p *pending) mayCopy() bool {
	if p.skipping.Load() {
		return false
	}
	for e := p.head; e != nil; e = e.next {
		if (e.expect == expectQuery || e.expect == expectExecute) && e.refusal == nil {
			return true
		}
	}
	return false
}

// copyData begins a CopyData message of total bytes at pos.
func (u *up) copyData(total int) (err error) {
	if u.flow, err = u.copyFlow(); err == nil && u.flow != nil {
		u.rest = total - wire.HeaderLen
		u.drop(wire.HeaderLen)
	}
	return err
}

// copyIn passes a piece of a message through the flow, as a message of its own.
func (u *up) copyIn(piece []byte) error {
	u.collect()
	return u.through(len(piece), func(dst []byte) ([]byte, error) { return u.flow.Bytes(dst, piece) })
}

// copyDone passes on what the flow held back.
func (u *up) copyDone() error {
	p := u.pending
	p.mu.Lock()
	flow := p.copied
	p.copied = nil
	p.mu.Unlock()
	if flow == nil {
		return nil
	}
	u.collect()
	u.flow = flow
	return u.through(0, flow.End)
}

// through appends a message of what pass appends, in the place of n bytes.
func (u *up) through(n int, pass func(dst []byte) ([]byte, error)) error {
	begin := len(u.out)
	u.out = append(u.out, wire.CopyData, 0, 0, 0, 0)
	out, err := pass(u.out)
	if err != nil {
		return fmt.Errorf("the data of a COPY: %w", err)
	}
	if u.out = out; len(out) == begin+wire.HeaderLen {
		u.out = out[:begin] // nothing yet
	} else {
		binary.BigEndian.PutUint32(out[begin+1:], uint32(len(out)-begin-1))
	}
	u.drop(n)
	return nil
}
