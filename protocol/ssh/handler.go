package ssh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/internal/named"
	"github.com/sallyport/sallyport/proxy"
)

// Handler serves SSH clients. HostKeys is needed; the zero value of every other
// field is a safe default. Its fields must not change once it is in use.
type Handler struct {
	// Resource is the resource that all clients of this listener get; empty when
	// they choose one by user name ("alice+vm1") or by jumping through the gateway
	// (ssh -J alice@gateway vm1).
	Resource string
	// HostKeys are the gateway's own, one of a kind.
	HostKeys []gossh.Signer
	// Authority returns what certifies the gateway's host keys for the names it is known by, and what it logs in to resources with. It is
	// asked for each certificate, so that a key can take the place of another. Nil, or a nil result: nothing is signed.
	Authority func() *Authority
	// Names returns the host names by which clients know the gateway, for its host
	// certificates. Nil: it has none.
	Names func() []string
	// KnowsKey says whether a key that a client offers, in SSH wire format, could
	// belong to user, so that the client is told to try another before it signs.
	// It grants nothing, and is not asked about certificates. Nil: every key is
	// worth a signature.
	KnowsKey func(ctx context.Context, user string, key []byte) bool
	// Interactive leads logins by keyboard-interactive, such as a link to a login
	// page or a one-time code. Nil: the client is asked for its password.
	Interactive Interactive
	// KnownHosts keeps the host keys of resources that trust the first one they
	// show. Nil: those resources cannot be reached.
	KnownHosts KnownHosts
	// Reachable lists what a client may reach, for one that has named nothing: on a
	// terminal it chooses from a menu. Nil: such a client is told how to name a
	// resource, and no names.
	Reachable func(ctx context.Context, id *proxy.Identity) []Choice
	// Own returns the addresses that the gateway listens on; no forward may lead there.
	// An unspecified address means all of this machine's. Nil: there are none.
	Own func() []netip.AddrPort
	// Resolve looks up the names of forwarding targets; nil is net.DefaultResolver's
	// LookupNetIP.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Grammar reads command lines; the package commandline has one. Nil: exec-only
	// resources run nothing, and commands that copy files are not told from others.
	Grammar Grammar
	// Ciphers are offered to clients and resources, in order of preference; nil is
	// [DefaultCiphers].
	Ciphers []string
	// RekeyBytes is after how many bytes keys are changed; 0 is the cipher's own
	// limit.
	RekeyBytes uint64
}

// Grammar reads command lines.
type Grammar interface {
	// Check returns an error, fit for the user, when what command would run cannot
	// be told from its text. It judges for exec-only resources.
	Check(command string) error
	// IsShell reports whether command is nothing but a shell that reads what it runs
	// from its input. It is asked about as a shell then.
	IsShell(command string) bool
	// Transfer returns what command copies; ok is false when it does anything else.
	Transfer(command string) (t Transfer, ok bool)
}

// Protocol returns "ssh".
func (h *Handler) Protocol() string { return "ssh" }

// ServeConn speaks with one client.
func (h *Handler) ServeConn(ctx context.Context, c *proxy.Conn) error {
	connected, left := context.WithCancelCause(ctx)
	defer left(nil)
	config, err := h.serverConfig(connected, c)
	if err != nil {
		return err
	}
	client, channels, requests, err := gossh.NewServerConn(&watched{c, left}, config)
	if err != nil {
		return fmt.Errorf("no SSH connection: %w", handshakeError(err))
	}
	defer client.Close()
	who, err := provenBy(client)
	if err != nil {
		return err
	}
	if err := c.Established(); err != nil {
		return err
	}
	name, err := h.resourceName(who.login)
	d := &door{handler: h, conn: c, client: client, who: who}
	if err == nil && name == "" {
		return d.serve(ctx, channels, requests)
	}
	s := newSession(h, who, client)
	s.open = func(ctx context.Context) (*proxy.Session, *proxy.Connect, error) {
		if err != nil {
			return nil, nil, err
		}
		return d.open(ctx, name, who.login.Account, s.parked)
	}
	return s.serve(ctx, channels, requests)
}

// resourceName works out which resource the client asks for; the ways of saying
// so must agree.
func (h *Handler) resourceName(l proxy.Login) (string, error) {
	name, ok := named.Agreed(h.Resource, l.Resource)
	if !ok {
		return "", errAmbiguousResource
	}
	return name, nil
}

var errAmbiguousResource = errors.New("the user name and this port name different resources")

// handshakeError takes the failed proofs out of an authentication error: they
// were reported one by one.
func handshakeError(err error) error {
	var auth *gossh.ServerAuthError
	if errors.As(err, &auth) {
		return proxy.ErrUnauthenticated
	}
	return err
}

// settingsOf returns the resource's settings.
func settingsOf(r *proxy.Resource) (*Settings, error) {
	switch set := r.Settings.(type) {
	case nil:
		return &Settings{}, nil
	case Settings:
		return &set, nil
	default:
		return nil, fmt.Errorf("resource %s has settings of type %T", r.Name, set)
	}
}
