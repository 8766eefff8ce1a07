// Package link logs people in at native clients that have nothing with them to prove who
// uses them: the client shows a link and a code, and waits. In a browser a person who has
// logged in sees at the link's page which client waits, for what and from where, and types
// the code.
//
// A link alone is worth nothing, so that nobody is logged in by being sent one: its page
// asks for the code, names the address of the client, and is by default for browsers of the
// same address only.
package link

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Kind is the kind of the documents of links.
const Kind = "login-link"

// Path is where pages are below the gateway's URL: what follows is a link's identifier.
const Path = "/link/"

// Bounds of a Links.
const (
	// Life is how long a client waits.
	Life = 2 * time.Minute
	// Tries are how many codes may be typed at one link.
	Tries = 3
	// MaxWaiting, MaxPerAddress and MaxPerUser are how many clients wait at once: in all, of
	// one address or IPv6 /64, and for one user name. Where that many wait for a user, an
	// address of which none does has one more, so that others do not keep her out. A client
	// that leaves counts for ten seconds at least.
	MaxWaiting    = 256
	MaxPerAddress = 16
	MaxPerUser    = 8

	leastCounted = 10 * time.Second
)

// Links are the login links of a gateway. It implements [proxy.Linker], and is safe for
// concurrent use: several gateways on the same documents serve the pages of each other's
// links, where each is told of changed documents by Follow. Its fields are set before it is
// used.
type Links struct {
	Documents identity.Documents
	// Sealer seals what is kept of a link: its code, and who has confirmed it.
	Sealer identity.Sealer
	// URL returns where the gateway's pages are: "https://gw.example.com:8443".
	URL func() string
	// Terms says how a client is offered a link, and false where it is to prove itself in
	// another way. It is asked again before the client's login counts.
	Terms func(q proxy.LinkRequest) (Terms, bool)
	// Log is told of links that could not be removed; nil is slog.Default.
	Log *slog.Logger
	Now func() time.Time

	mu      sync.Mutex
	waiting map[string]*waiter // by the names of their documents
	total   int
	counts  map[counted]int
}

// Terms are how a client is offered a link.
type Terms struct {
	// AnyAddress lets browsers of other addresses than the client's confirm it.
	AnyAddress bool
}

// kept is the document of a link.
type kept struct {
	Login      proxy.Login     `json:"login"`
	Resource   string          `json:"resource"`
	Protocol   string          `json:"protocol"`
	Address    netip.Addr      `json:"address"`
	AnyAddress bool            `json:"any_address,omitempty"`
	Code       string          `json:"code"`
	Wrong      int             `json:"wrong,omitempty"` // codes that were typed
	Refused    bool            `json:"refused,omitempty"`
	By         *proxy.Identity `json:"by,omitempty"` // who has confirmed it
	Expires    time.Time       `json:"expires"`
}

// open reports whether somebody can still answer.
func (k *kept) open() bool { return k.By == nil && !k.Refused && k.Wrong < Tries }

func (l *Links) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

func (l *Links) log() *slog.Logger {
	if l.Log != nil {
		return l.Log
	}
	return slog.Default()
}

// nameOf is under which name a link's document is kept: who reads the store cannot open the page.
func nameOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// Offer implements [proxy.Linker].
func (l *Links) Offer(ctx context.Context, q proxy.LinkRequest) (proxy.Link, error) {
	terms, ok := l.Terms(q)
	at, known := addressOf(q.Remote)
	named := identity.ValidName(q.Login.User) == nil && (q.Login.Account == "" || identity.ValidName(q.Login.Account) == nil)
	if !ok || !named || !known && !terms.AnyAddress {
		return proxy.Link{}, proxy.ErrNoLink
	}
	k := &kept{
		Login: q.Login, Resource: q.Resource, Protocol: q.Protocol, Address: at, AnyAddress: terms.AnyAddress, Code: newCode(),
		Expires: l.now().Add(Life),
	}
	id := newID()
	w := &waiter{links: l, request: q, name: nameOf(id), from: networkOf(at), since: l.now(), wake: make(chan struct{}, 1)}
	if !l.enter(w) {
		return proxy.Link{}, proxy.ErrTooManyLinks
	}
	if err := l.write(ctx, identity.Document{Name: w.name}, k); err != nil {
		w.leave()
		return proxy.Link{}, fmt.Errorf("keeping a login link: %w", err)
	}
	return proxy.Link{URL: strings.TrimSuffix(l.URL(), "/") + Path + id, Code: shown(k.Code), Expires: k.Expires, Wait: w.wait, Close: w.close}, nil
}

func (l *Links) write(ctx context.Context, d identity.Document, k *kept) error {
	plain, err := json.Marshal(k)
	if err != nil {
		return err
	}
	sealed, err := l.Sealer.Seal(plain, purpose(d.Name))
	if err != nil {
		return err
	}
	if d.Body, err = json.Marshal(sealed); err != nil {
		return err
	}
	d.Expires = k.Expires
	_, err = l.Documents.Write(ctx, Kind, d)
	return err
}

func purpose(name string) string { return "login link " + name }

// ErrGone says that no client waits at a link any more, or none ever did.
var ErrGone = fmt.Errorf("%w: no client waits at this link", proxy.ErrUnauthenticated)

func (l *Links) get(ctx context.Context, name string) (d identity.Document, k *kept, err error) {
	d, err = l.Documents.Get(ctx, Kind, name)
	if errors.Is(err, identity.ErrNoDocument) {
		return d, nil, ErrGone
	}
	if err != nil {
		return d, nil, err
	}
	var sealed, plain []byte
	if err = json.Unmarshal(d.Body, &sealed); err == nil {
		if plain, err = l.Sealer.Open(sealed, purpose(name)); err == nil {
			k = &kept{}
			err = json.Unmarshal(plain, k)
		}
	}
	if err != nil {
		return d, nil, fmt.Errorf("login link %s cannot be read: %w", name, err)
	}
	if !l.now().Before(k.Expires) {
		return d, nil, ErrGone
	}
	return d, k, nil
}

// Follow has a client that waits here see what another gateway has changed about its link, by
// the name of its document.
func (l *Links) Follow(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.waiting[name]; w != nil {
		w.look()
	}
}

// FollowAll is Follow when it is not known what has changed.
func (l *Links) FollowAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		w.look()
	}
}

// addressOf is a client's address. It is not known of one without an IP address.
func addressOf(remote net.Addr) (at netip.Addr, known bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	at = tcp.AddrPort().Addr().Unmap().WithZone("")
	return at, at.IsValid()
}

// networkOf is what counts as one address: of IPv6 a network, since a customer has one.
func networkOf(at netip.Addr) netip.Prefix {
	at = at.Unmap().WithZone("")
	bits := at.BitLen()
	if at.Is6() {
		bits = 64
	}
	p, _ := at.Prefix(bits) // the zero prefix is that of clients without an address
	return p
}
