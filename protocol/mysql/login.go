package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// maxProof bounds a password, or a proof of it.
const maxProof = 4 << 10

// What caching_sha2_password says after AuthMoreHeader.
const (
	cachingProven = 3
	cachingFull   = 4
)

// claimed is a client's proof of who it is.
type claimed struct {
	user   string // whose session it asks for, without resource and account
	plugin string
	nonce  []byte
	proof  []byte
}

// authenticate proves who the client is: by the certificate it has shown, else by its
// password, by caching_sha2_password or as it is. All of it goes over TLS.
func (h *Handler) authenticate(ctx context.Context, c *proxy.Conn, hi *hello) (*proxy.Identity, error) {
	if hi.known {
		return c.Known(ctx)
	}
	if len(hi.certs) > 0 {
		id, err := c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodCertificate, User: hi.login.User, Certificates: hi.certs})
		if err == nil && string(hi.response.Plugin) == pluginCaching && !blank(hi.response.Auth) {
			err = hi.talk.Write([]byte{wire.AuthMoreHeader, cachingProven}) // or the client would wait for it
		}
		return id, err
	}
	x := &claimed{user: hi.login.User, plugin: string(hi.response.Plugin), nonce: hi.greeting.Nonce[:], proof: hi.response.Auth}
	id, err := h.prove(ctx, c, hi.talk, x)
	if left(err) {
		return nil, proxy.ErrClientLeft
	}
	return id, err
}

// blank reports whether a client has sent no password.
func blank(proof []byte) bool { return len(proof) == 0 || len(proof) == 1 && proof[0] == 0 }

// prove goes on from what a client has sent unasked, until it has proven x.user or not.
func (h *Handler) prove(ctx context.Context, c *proxy.Conn, talk *wire.Conversation, x *claimed) (*proxy.Identity, error) {
	if x.plugin != pluginCaching && x.plugin != pluginClear {
		fresh := nonce()
		if err := talk.Write(wire.AppendSwitch(nil, &wire.Switch{Plugin: pluginCaching, Data: fresh[:]})); err != nil {
			return nil, err
		}
		proof, err := talk.Read(maxProof)
		if err != nil {
			return nil, err
		}
		x.plugin, x.nonce, x.proof = pluginCaching, fresh[:], proof
	}
	if x.plugin == pluginClear || blank(x.proof) {
		return c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: x.user, Password: secret(x.proof)})
	}
	verifier, ok, err := c.Verifier(ctx, x.user)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	if ok && h.shared.fast.proves(x.user, verifier, x.nonce, x.proof) {
		id, err := c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodChallenge, User: x.user, Verifier: verifier})
		if err != nil {
			return nil, err
		}
		return id, talk.Write([]byte{wire.AuthMoreHeader, cachingProven})
	}
	if err := talk.Write([]byte{wire.AuthMoreHeader, cachingFull}); err != nil {
		return nil, err
	}
	plain, err := talk.Read(maxProof)
	if err != nil {
		return nil, err
	}
	password := secret(plain)
	clear(plain)
	id, err := c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: x.user, Password: password})
	if err == nil && ok {
		h.shared.fast.note(x.user, verifier, password.Reveal())
	}
	return id, err
}

// reprove has a client that is logged in prove itself anew on its connection, by what
// m says. next is the number of the packet to the client that follows.
func (h *Handler) reprove(s *session, talk *wire.Conversation, m *wire.UserChange, next *byte) error {
	defer func() { *next = talk.Seq }()
	if s.certs {
		return nil
	}
	x := &claimed{user: s.login.User, plugin: string(m.Plugin), nonce: s.nonce, proof: m.Auth}
	id, err := h.prove(s.session.Context(), s.conn, talk, x)
	switch {
	case left(err):
		return proxy.ErrClientLeft
	case err != nil:
		return err
	case id.Subject != s.session.Identity.Subject:
		return fmt.Errorf("%w: the proof is another user's", proxy.ErrUnauthenticated)
	}
	return nil
}

// secret is a password as clients send it, with a NUL at its end.
func secret(b []byte) proxy.Secret { return proxy.NewSecret(string(bytes.TrimSuffix(b, []byte{0}))) }

// left reports whether err says that the other side has closed the connection.
func left(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
