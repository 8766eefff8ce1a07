package systemd

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets are the listeners that the service manager has opened for this process, by what
// FileDescriptorName= of their socket units says; see systemd.socket(5). The zero value has none.
// It is safe for concurrent use.
type Sockets struct {
	mu     sync.Mutex
	byName map[string][]net.Listener
}

// Given takes over the listeners that the process was started with. It is called once: what the
// environment says of them is removed, so that children do not take them for theirs.
func Given() (*Sockets, error) {
	all, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("taking over the sockets of the service manager: %w", err)
	}
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(key); err != nil {
			return nil, err
		}
	}
	return &Sockets{byName: all}, nil
}

// Listen returns the listener of that name, and opens one by TCP where there is none or it was returned
// before. Its address is what the socket unit says, and not this one.
func (s *Sockets) Listen(name, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := s.byName[name]; len(list) > 0 {
		s.byName[name] = list[1:]
		return list[0], nil
	}
	return net.Listen("tcp", address)
}

// CloseRest closes the listeners that were not asked for, and says so: clients that came in there would
// wait for an answer that never comes.
func (s *Sockets) CloseRest(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		for _, ln := range s.byName[name] {
			ln.Close()
			log.Warn("a socket of the service manager is not used; name it in FileDescriptorName= as the config file names the listener: a protocol, resource.NAME, api or metrics",
				"name", name, "address", ln.Addr())
		}
	}
	clear(s.byName)
}
