package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/relay"
)

// Settings are how a web application is served. They are the value of
// proxy.Resource.Settings. The zero value is the strictest.
type Settings struct {
	// Hosts are the names by which clients reach the application, with a port where it is
	// not the listener's. With the gateway's domain "apps.example.com" the resource
	// "wiki" is also at "wiki.apps.example.com".
	Hosts []string `yaml:"hosts"`
	// Origins are those of other pages that may use the application with the login of
	// the browser, such as "https://spa.example.com".
	Origins []string `yaml:"origins"`
	// HostHeader is the name that the application is asked for; empty is the one that the
	// client has used.
	HostHeader string `yaml:"host_header"`
	// Credential is how the account's secret is given to the application: "basic" with
	// the account's user name, "bearer", or the name of a header. Empty: "basic" where the account
	// has a user name, else "bearer".
	Credential string `yaml:"credential"`
	// AssertionHeader carries who asks, signed; empty is DefaultAssertionHeader.
	AssertionHeader string `yaml:"assertion_header"`
	// HTTP2 speaks HTTP/2 with the application without TLS, as gRPC servers do.
	HTTP2 bool `yaml:"http2"`
	// EncodedSlashes takes paths with %2F and %5C in them. Rules read them as slashes.
	EncodedSlashes bool `yaml:"encoded_slashes"`
	// PathParameters takes paths with a semicolon. Some servers take what follows it off
	// before they compare, and rules do not.
	PathParameters bool `yaml:"path_parameters"`
	// MaskScripts masks scripts and style sheets too, which may break them.
	MaskScripts bool `yaml:"mask_scripts"`
	// Idle is how long somebody may ask nothing before the session ends; 0 is 15 minutes.
	Idle time.Duration `yaml:"idle"`
}

// DefaultAssertionHeader carries the assertion where the settings name no other header.
const DefaultAssertionHeader = "X-Gateway-Assertion"

const defaultIdle = 15 * time.Minute

func (s *Settings) idle() time.Duration { return cmp.Or(s.Idle, defaultIdle) }

func (s *Settings) assertionHeader() string {
	return cmp.Or(s.AssertionHeader, DefaultAssertionHeader)
}

// reservedHeaders carry what makes a request one, so that neither a credential nor an assertion does.
var reservedHeaders = []string{
	"Host", "Cookie", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Expect",
	"Origin", "Referer", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Range",
}

// Validate reports everything about s that cannot work.
func (s *Settings) Validate() error {
	var errs []error
	for _, h := range s.Hosts {
		if _, _, err := relay.SplitHost(h); err != nil {
			errs = append(errs, fmt.Errorf("hosts: got %q, want a host name such as wiki.example.com, with :PORT where it is not the listener's", h))
		}
	}
	for _, o := range s.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "https" || u.Host == "" || o != "https://"+u.Host {
			errs = append(errs, fmt.Errorf("origins: got %q, want one such as https://spa.example.com", o))
		}
	}
	if h := s.HostHeader; h != "" {
		if _, _, err := relay.SplitHost(h); err != nil {
			errs = append(errs, fmt.Errorf("host_header: got %q, want a host name", h))
		}
	}
	switch c := s.Credential; c {
	case "", "basic", "bearer":
	default:
		if !validHeader(c) {
			errs = append(errs, fmt.Errorf("credential: got %q, want basic, bearer or the name of a header such as X-Api-Key", c))
		}
	}
	if h := s.AssertionHeader; h != "" && !same(h, DefaultAssertionHeader) && (!validHeader(h) || same(h, "Authorization")) {
		errs = append(errs, fmt.Errorf("assertion_header: got %q, want the name of a header that nothing else uses", h))
	}
	if s.Credential != "" && same(s.Credential, s.assertionHeader()) {
		errs = append(errs, errors.New("credential: it is in the header of the assertion: choose another one"))
	}
	if s.Idle < 0 || s.Idle > 24*time.Hour {
		errs = append(errs, fmt.Errorf("idle: got %v, want up to 24h", s.Idle))
	}
	return errors.Join(errs...)
}

// validHeader reports whether the gateway can set a header of that name.
func validHeader(name string) bool {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	}) {
		return false
	}
	return !slices.ContainsFunc(reservedHeaders, func(h string) bool { return same(h, name) }) && !forwarded(name)
}
