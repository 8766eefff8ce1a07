package kubernetes

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// denials are the refusals of the last moments, by what was asked for. The zero value is ready.
type denials struct {
	mu   sync.Mutex
	list map[string]denial
}

type denial struct {
	verdict proxy.Verdict
	until   time.Time
}

const (
	// deniedFor is how long who asks again in another form gets the same answer.
	deniedFor  = 5 * time.Second
	maxDenials = 1000
)

// keep remembers a refusal.
func (d *denials) keep(key string, v *proxy.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for k, e := range d.list {
		if now.After(e.until) {
			delete(d.list, k)
		}
	}
	if len(d.list) >= maxDenials {
		return // it is asked again
	}
	if d.list == nil {
		d.list = make(map[string]denial)
	}
	d.list[key] = denial{*v, now.Add(deniedFor)}
}

// of returns the refusal of what was asked for, and forgets it; nil where there was none.
func (d *denials) of(key string) *proxy.Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.list[key]
	if !ok || time.Now().After(e.until) {
		return nil
	}
	delete(d.list, key)
	return &e.verdict
}
