package tcp

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Settings are how a resource is served. They are the value of proxy.Resource.Settings. The zero
// value has no bound of its own.
type Settings struct {
	// Idle is for how long nothing may be sent, either way, before the session ends; 0 is for as long as it lasts.
	Idle time.Duration `yaml:"idle"`
}

// Validate reports everything about s that cannot work.
func (s *Settings) Validate() error {
	if s.Idle < 0 || s.Idle > 0 && s.Idle < time.Second {
		return fmt.Errorf("idle: got %v, want 1s or more, or 0 for no bound", s.Idle)
	}
	return nil
}

// settingsOf are those of a resource.
func settingsOf(r *proxy.Resource) (Settings, error) {
	switch s := r.Settings.(type) {
	case nil:
		return Settings{}, nil
	case Settings:
		return s, nil
	default:
		return Settings{}, fmt.Errorf("resource %s has settings of type %T, want %T", r.Name, s, Settings{})
	}
}
