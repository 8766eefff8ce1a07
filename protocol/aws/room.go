package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// room bounds what is held of bodies at one time: of all, and of one login. The zero value is ready.
type room struct {
	mu  sync.Mutex
	all int64
	own map[string]int64
}

const (
	maxRoom    = 512 << 20
	maxOwnRoom = 64 << 20
)

var (
	errLong = errors.New("the body of the request cannot be looked at whole")
	errRoom = errors.New("too many long requests of this login are being read: try again in a minute")
)

// take reports whether there is room for n bytes of a login, which give gives back.
func (r *room) take(who string, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > maxRoom-r.all || n > maxOwnRoom-r.own[who] {
		return false
	}
	if r.own == nil {
		r.own = make(map[string]int64)
	}
	r.all += n
	r.own[who] += n
	return true
}

func (r *room) give(who string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all -= n
	if r.own[who] -= n; r.own[who] == 0 {
		delete(r.own, who)
	}
}

// login names the login that keys were made for: a digest, since it is kept.
func (i *issued) login() string {
	sum := sha256.Sum256(append([]byte{byte(i.kind)}, i.proof...))
	return hex.EncodeToString(sum[:])
}

// holds takes room for n bytes until the request has ended.
func (x *exchange) holds(n int64) bool {
	if !x.h.shared.room.take(x.issued.login(), n) {
		return false
	}
	x.held += n
	return true
}

// leave gives back the room that the request has taken.
func (x *exchange) leave() {
	if x.held > 0 {
		x.h.shared.room.give(x.issued.login(), x.held)
	}
}

// whole reads the body, which it is decided about, and checks it against its digest. The signature may not be proven yet: who knows
// no more than a session token takes up a bounded room, for a bounded time.
func (x *exchange) whole(limit int64) error {
	if x.read.Bytes() != nil || x.r.Body == nil || x.r.Body == http.NoBody {
		return nil
	}
	n := x.r.ContentLength
	switch {
	case n > limit:
		return fmt.Errorf("%w: it has %d bytes, want up to %d", errLong, n, limit)
	case n < 0:
		n = limit
	}
	if !x.holds(n) {
		return errRoom
	}
	if err := x.read.Buffer(x.r.Context(), x.w, x.r, limit); err != nil {
		if errors.Is(err, sigv4.ErrValue) || errors.Is(err, sigv4.ErrChunk) {
			return err
		}
		return fmt.Errorf("%w: %w", errLong, err)
	}
	x.call.body = x.read.Bytes()
	if x.r.ContentLength < 0 {
		x.r.ContentLength = int64(len(x.call.body))
	}
	return nil
}
