package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/relay"
)

// Settings are how a cluster is served. They are the value of proxy.Resource.Settings.
// The zero value is the strictest.
type Settings struct {
	// Hosts are the names by which clients reach the cluster, with a port where it is not
	// the listener's. With the gateway's domain "apps.example.com" the resource "prod" is
	// also at "prod.apps.example.com".
	Hosts []string `yaml:"hosts"`
	// Impersonate says who the cluster is asked as: "" is the account itself; "user" is
	// the person and her groups, with Prefix; "account" is the account's user name.
	// Where it is set, the account's secret is that of somebody who may impersonate.
	Impersonate string `yaml:"impersonate"`
	// Prefix comes before the names of people and groups; empty is "sallyport:".
	Prefix string `yaml:"prefix"`
	// ShowSecrets shows the values of Secrets. Rules of masking are about them then.
	ShowSecrets bool `yaml:"show_secrets"`
	// Idle is how long somebody may ask nothing before the session ends; 0 is 15 minutes.
	Idle time.Duration `yaml:"idle"`
}

// Values of Settings.Impersonate.
const (
	ImpersonateUser    = "user"
	ImpersonateAccount = "account"
)

const (
	defaultPrefix = "sallyport:"
	defaultIdle   = 15 * time.Minute
)

func (s *Settings) idle() time.Duration { return cmp.Or(s.Idle, defaultIdle) }

func (s *Settings) prefix() string { return cmp.Or(s.Prefix, defaultPrefix) }

// Validate reports everything about s that cannot work.
func (s *Settings) Validate() error {
	var errs []error
	for _, h := range s.Hosts {
		if _, _, err := relay.SplitHost(h); err != nil {
			errs = append(errs, fmt.Errorf("hosts: got %q, want a host name such as prod.example.com, with :PORT where it is not the listener's", h))
		}
	}
	switch s.Impersonate {
	case "", ImpersonateUser, ImpersonateAccount:
	default:
		errs = append(errs, fmt.Errorf("impersonate: got %q, want user or account", s.Impersonate))
	}
	if p := s.Prefix; p != "" {
		switch {
		case s.Impersonate != ImpersonateUser:
			errs = append(errs, errors.New("prefix: it is used with impersonate: user only"))
		case strings.HasPrefix("system:", p) || strings.HasPrefix(p, "system:"):
			errs = append(errs, fmt.Errorf("prefix: got %q, want one with which no name begins with system:, which are Kubernetes' own", p))
		case strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' }):
			errs = append(errs, fmt.Errorf("prefix: got %q, want printable ASCII without spaces", p))
		}
	}
	if s.Idle < 0 || s.Idle > 24*time.Hour {
		errs = append(errs, fmt.Errorf("idle: got %v, want up to 24h", s.Idle))
	}
	return errors.Join(errs...)
}
