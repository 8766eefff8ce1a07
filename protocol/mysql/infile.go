package mysql

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// wantsFile handles a server's request for a file of the client's.
func (d *down) wantsFile(a *answer, total int) error {
	if !d.settings.LocalInfile || !d.upstream.agreed.Has(wire.LocalFiles) || !d.agreed.Has(wire.LocalFiles) || a.look != nil || !a.loads() {
		return fmt.Errorf("%w: %w", wire.ErrProtocol, errInfile)
	}
	f := &infile{to: d.seq}
	if a.filtered {
		shape := &proxy.Shape{Kind: proxy.ShapeStream, Inbound: true, Media: "stdin"}
		if f.flow, f.refuse = d.session.session.Flow(a.op, shape); f.refuse == nil && f.flow.HasRow() {
			f.refuse = errRowsOfFile
		}
	}
	d.pass(total)
	f.seq = d.outSeq
	a.infile = f
	if err := d.flush(); err != nil {
		return err
	}
	d.turn.want(f)
	return nil
}

var errRowsOfFile = fmt.Errorf("a filter asked for the rows of a file, which the gateway does not separate")

// loads reports whether a statement may ask for a file.
func (a *answer) loads() bool {
	return a.statement.Facts != nil && a.statement.Facts.Effects.Has(proxy.EffectCopyIn|proxy.EffectUnknown)
}

// send passes a file on, of which the first header is buffered.
func (u *up) send(f *infile) error {
	for {
		if err := u.fill(wire.HeaderLen); err != nil {
			return err
		}
		n, seq := wire.Header(u.reader.Buffered())
		if seq != f.seq {
			return fmt.Errorf("%w: the client sent %d, want %d", wire.ErrSequence, seq, f.seq)
		}
		f.seq++
		if err := u.fill(wire.HeaderLen + n); err != nil {
			return err
		}
		data := u.reader.Buffered()[wire.HeaderLen : wire.HeaderLen+n]
		err := u.sendPart(f, data)
		u.reader.Discard(wire.HeaderLen + n)
		if err != nil || n == 0 {
			return err
		}
	}
}

// sendPart passes a part of a file on; an empty one is its end.
func (u *up) sendPart(f *infile, data []byte) (err error) {
	end := len(data) == 0
	if f.refuse == nil && f.flow.HasBytes() {
		if end {
			u.long, f.refuse = f.flow.End(u.long[:0])
		} else {
			u.long, f.refuse = f.flow.Bytes(u.long[:0], data)
		}
		data = u.long
	}
	if f.refuse != nil {
		if f.sent { // what the server has of it counts unless the connection ends
			return f.refuse
		}
		data = nil
	}
	f.sent = f.sent || len(data) > 0
	if len(data) > 0 {
		b := u.out[:0]
		for len(data) > 0 { // in packets that do not go on
			n := min(len(data), wire.MaxPacket-1)
			b, f.to = wire.AppendPacket(b, f.to, data[:n])
			data = data[n:]
		}
		if err := u.write(b); err != nil {
			return err
		}
	}
	if !end {
		return nil
	}
	b, next := wire.AppendPacket(u.out[:0], f.to, nil)
	f.to = next
	f.over.Store(true)
	u.turn.want(nil)
	return u.write(b)
}
