package oidc

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"
)

// How often those who are not known may have the gateway ask a provider, of all addresses
// together. A provider that is asked more may answer the gateway no more, and then it ends
// the logins that it cannot refresh.
const (
	deviceEvery, deviceBurst = time.Second, 30
	answerEvery, answerBurst = time.Second / 10, 200
	manyPolls                = 4096 // devices whose next question is known; more are forgotten
)

var errBusy = errors.New("too many logins at this provider are begun: begin again in a few seconds")

// rate lets something happen at a rate, after a burst.
type rate struct {
	every time.Duration
	burst int
	free  time.Time // when everything that was taken has come back
}

func (r *rate) take(now time.Time) bool {
	if r.free.Before(now) {
		r.free = now
	}
	if r.free.Sub(now) > time.Duration(r.burst-1)*r.every {
		return false
	}
	r.free = r.free.Add(r.every)
	return true
}

// questions bound what a provider is asked by those who are not known. It is safe for
// concurrent use.
type questions struct {
	mu      sync.Mutex
	devices map[string]*rate // device logins that begin, by provider
	answers map[string]*rate // codes that browsers bring, by provider
	polls   map[[sha256.Size]byte]time.Time
}

func (q *questions) device(provider string, now time.Time) bool {
	return q.take(&q.devices, provider, deviceEvery, deviceBurst, now)
}

func (q *questions) answer(provider string, now time.Time) bool {
	return q.take(&q.answers, provider, answerEvery, answerBurst, now)
}

func (q *questions) take(rates *map[string]*rate, provider string, every time.Duration, burst int, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if *rates == nil {
		*rates = make(map[string]*rate)
	}
	r := (*rates)[provider]
	if r == nil {
		r = &rate{every: every, burst: burst}
		(*rates)[provider] = r
	}
	return r.take(now)
}

// poll reports whether a device login may be asked about. Otherwise its state says when: who
// shows an earlier state again is asked for no earlier.
func (q *questions) poll(d *Device, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := sha256.Sum256([]byte(d.state.Provider + " " + d.state.Code))
	q.mu.Lock()
	defer q.mu.Unlock()
	if next := q.polls[key]; now.Before(next) {
		d.state.Next = next
		return false
	}
	if now.Before(d.state.Next) {
		return false
	}
	for key, next := range q.polls {
		if len(q.polls) < manyPolls {
			break
		}
		if !now.Before(next) || len(q.polls) >= 2*manyPolls {
			delete(q.polls, key)
		}
	}
	if q.polls == nil {
		q.polls = make(map[[sha256.Size]byte]time.Time)
	}
	q.polls[key] = now.Add(max(d.state.Interval, time.Second))
	return true
}

func (h *Handler) busy(w http.ResponseWriter, r *http.Request, p *Provider) {
	h.log(r, p.config.Name, errBusy)
	w.Header().Set("Retry-After", "5")
	http.Error(w, errBusy.Error(), http.StatusTooManyRequests)
}
