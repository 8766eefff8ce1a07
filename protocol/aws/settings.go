package aws

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// Settings are how an account of AWS is served. They are the value of proxy.Resource.Settings. The zero value is the
// strictest.
type Settings struct {
	// Hosts are the names by which clients reach the account. A bucket is a host below one of them, or the first part of
	// the path.
	Hosts []string `yaml:"hosts"`
	// Regions and Services are those that may be asked for; empty: all.
	Regions  []string `yaml:"regions"`
	Services []string `yaml:"services"`
	// RevealSecrets passes the values of Secrets Manager and of SecureString parameters.
	RevealSecrets bool `yaml:"reveal_secrets"`
	// EmptySegments takes keys of objects with "//", which AWS tells from "/", and other servers do not.
	EmptySegments bool `yaml:"empty_segments"`
	// Keys is how long the keys that people get count; 0 is an hour.
	Keys time.Duration `yaml:"keys"`
	// Idle is how long somebody may ask nothing before the session ends; 0 is 15 minutes.
	Idle time.Duration `yaml:"idle"`
}

const (
	defaultIdle = 15 * time.Minute
	defaultKeys = time.Hour
	leastKeys   = 15 * time.Minute
	mostKeys    = 12 * time.Hour
)

func (s *Settings) keys() time.Duration { return cmp.Or(s.Keys, defaultKeys) }

func (s *Settings) takes(list []string, name string) bool {
	return len(list) == 0 || slices.Contains(list, name)
}

// Validate reports everything about s that cannot work.
func (s *Settings) Validate() error {
	var errs []error
	for _, h := range s.Hosts {
		if _, _, err := relay.SplitHost(h); err != nil {
			errs = append(errs, fmt.Errorf("hosts: got %q, want a host name such as aws.example.com, with :PORT where it is not the listener's", h))
		}
	}
	for _, r := range s.Regions {
		if !isRegion(r) {
			errs = append(errs, fmt.Errorf("regions: got %q, want a region such as eu-west-1", r))
		}
	}
	for _, v := range s.Services {
		if !sigv4.Label(v) {
			errs = append(errs, fmt.Errorf("services: got %q, want the name that requests are signed for, such as s3 or dynamodb", v))
		}
	}
	if s.Keys != 0 && (s.Keys < leastKeys || s.Keys > mostKeys) {
		errs = append(errs, fmt.Errorf("keys: got %v, want %v to %v", s.Keys, leastKeys, mostKeys))
	}
	if s.Idle < 0 || s.Idle > 24*time.Hour {
		errs = append(errs, fmt.Errorf("idle: got %v, want up to 24h", s.Idle))
	}
	return errors.Join(errs...)
}

// settingsOf are those of a resource.
func settingsOf(r *proxy.Resource) *Settings {
	if s, ok := r.Settings.(Settings); ok {
		return &s
	}
	return &Settings{}
}

func idle(r *proxy.Resource) time.Duration { return cmp.Or(settingsOf(r).Idle, defaultIdle) }
