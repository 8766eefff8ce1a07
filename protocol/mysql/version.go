package mysql

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// seen is what a server has said of itself.
type seen struct {
	version      string
	capabilities wire.Capabilities
}

// unseen is what is said of a server that nobody has seen.
var unseen = seen{version: "8.0.11-unknown", capabilities: gatewayCan}

// mariaDB reports whether a version is one of MariaDB's.
func mariaDB(version string) bool { return strings.Contains(strings.ToLower(version), "mariadb") }

// numberOf turns "10.11.6-MariaDB" into 101106, and what is not a version into 0.
func numberOf(version string) int {
	version = strings.TrimPrefix(version, "5.5.5-") // which MariaDB has put before its own
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n < 2 {
		return 0
	}
	return major*10000 + minor*100 + patch
}

// known keeps what the servers of resources have said of themselves. It is safe for
// concurrent use.
type known struct {
	mu      sync.Mutex
	servers map[string]seen      // by the resource's name
	asked   map[string]time.Time // when a server was asked that did not answer
}

const (
	probeTime  = 2 * time.Second  // that a server has for its greeting
	probeAgain = 30 * time.Second // after which one is asked again that has said nothing
	maxProbes  = 16               // servers that are asked at once
)

// probe asks servers that nobody has seen for their greetings, so that clients can be told what
// they will meet. It costs each server a connection that says nothing.
func (k *known) probe(ctx context.Context, g *proxy.Gateway, list []*proxy.Resource) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var all sync.WaitGroup
	for n, r := range list {
		if n >= maxProbes {
			break
		}
		if _, known := k.of(r); known || !k.turn(r.Name) {
			continue
		}
		all.Go(func() {
			if s, err := greetingOf(ctx, g, r); err == nil {
				k.note(r.Name, s)
			}
		})
	}
	all.Wait()
}

// turn reports whether a server may be asked now.
func (k *known) turn(resource string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.asked[resource]) < probeAgain {
		return false
	}
	if k.asked == nil {
		k.asked = make(map[string]time.Time)
	}
	k.asked[resource] = time.Now()
	return true
}

// greetingOf is what a resource's server says first.
func greetingOf(ctx context.Context, g *proxy.Gateway, r *proxy.Resource) (seen, error) {
	c, err := g.Dial(ctx, r)
	if err != nil {
		return seen{}, err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return seen{}, err
		}
	}
	b, err := (&wire.Conversation{Conn: c}).Read(maxGreeting)
	if err != nil {
		return seen{}, err
	}
	x, err := wire.ParseGreeting(b)
	if err != nil {
		return seen{}, err
	}
	return seen{x.Version, x.Capabilities}, nil
}

func (k *known) note(resource string, s seen) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.servers == nil {
		k.servers = make(map[string]seen)
	}
	k.servers[resource] = s
}

func (k *known) of(r *proxy.Resource) (seen, bool) {
	k.mu.Lock()
	s, ok := k.servers[r.Name]
	k.mu.Unlock()
	if set, is := r.Settings.(Settings); !ok && is && set.ServerVersion != "" {
		return seen{version: set.ServerVersion, capabilities: gatewayCan}, true
	}
	return s, ok
}

// common is what is true of all servers that are known: the lowest version, where they are of
// one kind.
func (k *known) common(list []*proxy.Resource) (s seen, ok bool) {
	for _, r := range list {
		x, known := k.of(r)
		switch {
		case !known:
		case !ok:
			s, ok = x, true
		case mariaDB(x.version) != mariaDB(s.version):
			return seen{}, false
		default:
			if numberOf(x.version) < numberOf(s.version) {
				s.version = x.version
			}
			s.capabilities &= x.capabilities
		}
	}
	return s, ok
}
