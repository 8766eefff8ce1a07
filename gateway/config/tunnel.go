package config

import (
	"net"
	"strings"

	"github.com/sallyport/sallyport/identity/ca"
)

// Tunnel is where agents that dial out come in, which reach resources of networks of their own.
type Tunnel struct {
	Position
	Listen string `yaml:"listen"`
	// Address is how agents reach this gateway, which they are told. Empty: they are given addresses.
	Address string `yaml:"address"`
}

func (f *File) validateTunnel(d *decoder) {
	a := f.Tunnel
	if a.Listen == "" && a.Address != "" && !d.broken["tunnel"] {
		d.problem(a.Line, "listen: 0.0.0.0:8444", "tunnel needs an address to listen at")
	}
	if a.Address != "" {
		if host, port, err := net.SplitHostPort(a.Address); err != nil || host == "" || port == "" {
			d.problem(a.Line, "write HOST:PORT, such as gw-1.example.com:8444", "tunnel.address: %q is not how agents reach the gateway", a.Address)
		}
	}
}

// validateVia checks the agent that a resource is reached by.
func (f *File) validateVia(d *decoder, r *Resource, address, at string) {
	if r.Via == "" {
		return
	}
	if err := ca.ValidAgent(r.Via); err != nil {
		d.problem(r.Line, "", "%s: via: %v", at, err)
	}
	if strings.HasPrefix(address, "unix:") {
		d.problem(r.Line, "write HOST:PORT", "%s: via %s: an agent connects by TCP only, got %q", at, r.Via, r.Address)
	}
	if f.Tunnel.Listen == "" && !d.broken["tunnel"] {
		d.problem(r.Line, `add tunnel: {listen: "0.0.0.0:8444"}`, "%s: via %s: no agent can connect, since nothing listens for agents", at, r.Via)
	}
}
