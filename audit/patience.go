package audit

import (
	"context"
	"math/rand/v2"
	"time"
)

// patience waits between attempts to hand something over, longer each time, and
// has it reported when they have been failing for long.
type patience struct {
	log  *Log
	name string
	lag  time.Duration // after which it is reported

	wait     time.Duration
	since    time.Time // when the first of the attempts began; zero when none is made
	reported bool
}

// begin is called before each attempt.
func (p *patience) begin() {
	if p.since.IsZero() {
		p.since, p.wait = time.Now(), minRetry
	}
}

// failed waits before the next attempt. The error is ctx's.
func (p *patience) failed(ctx context.Context, err error) error {
	if !p.reported && time.Since(p.since) >= p.lag {
		p.reported = true
		p.log.logger.Warn("audit: a receiver does not accept events; they wait in the log", "to", p.name, "err", err)
		p.log.report(ExportLagging, p.name, err)
	}
	t := time.NewTimer(p.wait/2 + rand.N(p.wait))
	defer t.Stop()
	p.wait = min(2*p.wait, maxRetry)
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// succeeded ends what begin began.
func (p *patience) succeeded() {
	if p.reported {
		p.log.report(ExportResumed, p.name, nil)
	}
	p.since, p.reported = time.Time{}, false
}
