package config

import "time"

// Shutdown says how a gateway comes to its end.
type Shutdown struct {
	Position
	// Delay is how long it goes on taking sessions after it has said that it is not ready, so that load balancers
	// can notice.
	Delay time.Duration `yaml:"delay"`
	// Drain is how long sessions may go on after that, and end by themselves. Nil is 10 s.
	Drain *time.Duration `yaml:"drain"`
}

const (
	defaultDrain = 10 * time.Second
	maxDelay     = 10 * time.Minute
	minDrain     = time.Second // in which clients are told
	maxDrain     = 24 * time.Hour
)

// DrainTime is how long sessions may go on.
func (s Shutdown) DrainTime() time.Duration {
	if s.Drain == nil {
		return defaultDrain
	}
	return *s.Drain
}

func (f *File) validateShutdown(d *decoder) {
	s := f.Shutdown
	if s.Delay < 0 || s.Delay > maxDelay {
		d.problem(s.Line, "write a time such as 5s", "shutdown.delay is %s: want 0s to %s", s.Delay, maxDelay)
	}
	if t := s.DrainTime(); t < minDrain || t > maxDrain {
		d.problem(s.Line, "write a time such as 10m", "shutdown.drain is %s: want %s to %s", t, minDrain, maxDrain)
	}
}
