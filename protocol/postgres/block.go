package postgres

import (
	"context"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// The gateway asks in the middle of a batch what may fail, and a failure there would have the
// server skip the rest of the batch. In a transaction block it does not, after a Sync. So a batch
// that is its own transaction is made a block of the gateway's, which ends at the client's Sync, in
// the way in which the batch would have ended.

// enclose makes the batch that has begun a block.
func (u *up) enclose(ctx context.Context) error {
	l, err := u.put(&question{text: "BEGIN"})
	if err != nil {
		return err
	}
	if err := u.answered(ctx, l); err != nil {
		return err
	}
	u.enclosed = true
	// A server that waits for the client's next message of a batch has patience.
	_, err = u.put(&question{text: "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true)", alone: true})
	return err
}

// answered waits for the answer of a question. The error is that it has none.
func (u *up) answered(ctx context.Context, l *look) error {
	if err := u.urge(); err != nil {
		return err
	}
	over := func() bool { return l.answered || !u.pending.owes(l) }
	if l.alone {
		over = func() bool { return l.status != 0 }
	}
	if err := u.pending.await(ctx, over); err != nil {
		return err
	}
	u.pending.mu.Lock()
	defer u.pending.mu.Unlock()
	switch {
	case l.code != "":
		return &answeredError{l.code}
	case !l.answered:
		return errLookFailed
	}
	return nil
}

// sync handles a Sync of the client's that ends a batch which is enclosed.
func (u *up) sync(total int) error {
	l := &look{question: question{alone: true}}
	if err := u.push(expectSync, l); err != nil {
		return err
	}
	u.pass(total)
	if err := u.urge(); err != nil {
		return err
	}
	copying := false
	if err := u.pending.await(context.Background(), func() bool {
		copying = u.pending.copying // a server that reads COPY data has no ear for a Sync
		return l.status != 0 || copying
	}); err != nil || copying {
		return err
	}
	return u.leave(l.status, nil)
}

// leave ends the block that the gateway has made; the client is told how, and that the server is
// ready. With g it is the end of the statement that g has held.
func (u *up) leave(status byte, g *guard) error {
	u.enclosed = false
	end := "COMMIT"
	if status != 'T' || g != nil && !g.commits() {
		end = "ROLLBACK"
	}
	e := u.pending.take(expectSync)
	if status != 'I' {
		l, err := u.put(&question{text: end, told: true})
		if err != nil {
			return err
		}
		e.guard = g
		if g != nil {
			g.end = l
		}
	}
	if err := u.expect(e); err != nil {
		return err
	}
	u.collect()
	u.out = wire.AppendMessage(u.out, wire.Sync)
	return nil
}

// enclosing is the refusal of an operation that cannot run in a batch that is enclosed.
func (u *up) enclosing(st *proxy.Statement) *proxy.Verdict {
	if !u.enclosed || !st.Facts.Effects.Has(proxy.EffectTransaction) {
		return nil
	}
	v := proxy.Deny(proxy.CauseApproval, "", "this batch holds an operation that was held, so that its transaction cannot be begun or ended in it", "Send a Sync before.")
	return &v
}
