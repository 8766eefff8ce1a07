package doctor

import (
	"context"
	"net"
	"time"
)

// This is the machine that the process runs on.
type This struct{}

// Now implements Machine.
func (This) Now() time.Time { return time.Now() }

// Resolve implements Machine.
func (This) Resolve(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return net.DefaultResolver.LookupHost(ctx, host)
}

// Dial implements Machine.
func (This) Dial(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	return d.DialContext(ctx, "tcp", address)
}
