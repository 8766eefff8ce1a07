package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/alert"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/prometheus"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/mcp"
	"github.com/sallyport/sallyport/gateway/backup"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/policy/ledger"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/builtin"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/secrets"
	sources "github.com/sallyport/sallyport/secrets/builtin"
	"github.com/sallyport/sallyport/store"
)

// Defaults returns what config files of the reference gateway are read with: all
// protocols of this module, secrets from the environment and from files, and all kinds of
// sources of secrets that a file can have besides.
func Defaults() config.Options {
	return config.Options{Protocols: builtin.All(), Secrets: secrets.Default(), Kinds: sources.All()}
}

// Load reads a config file. Options that are nil are those of Defaults. The error is
// of type config.Problems when the file could be read.
func Load(path string, o config.Options) (*config.File, error) {
	def := Defaults()
	if o.Protocols == nil {
		o.Protocols = def.Protocols
	}
	if o.Secrets == nil {
		o.Secrets = def.Secrets
	}
	if o.Kinds == nil {
		o.Kinds = def.Kinds
	}
	return config.Load(path, o)
}

// Options are what an assembly adds to what the config file says. The zero value
// is the reference gateway.
type Options struct {
	Interceptors Interceptors
	// Authenticator takes the place of the gateway's own, which it is given, and which knows
	// the file's users, and what has logged in or was given a token or certificate: a login
	// that it does not know it may hand on to them. It also proves who decides about
	// requests, by a password and with the protocol "control". One that is a
	// [proxy.Refresher] and a [proxy.VerifierSource], as the file's users are, hands
	// these questions on, too. It is called for every revision. Nil: they are asked
	// alone.
	Authenticator func(local proxy.Authenticator) proxy.Authenticator
	// Credentials takes the place of the references to secrets of the file's accounts,
	// which it is given. It is called for every revision. Nil: they are followed.
	Credentials func(file proxy.CredentialSource) proxy.CredentialSource
	// Store is where the gateway keeps its state, in the place of the file's. It is not
	// closed. Nil: the file's.
	Store store.Store
	// Dialer opens connections to resources; nil is a plain net.Dialer.
	Dialer proxy.Dialer
	// Listen opens the listeners of the config file's addresses. What it is for is said by name: the protocol's, or that of the
	// resource after "resource.", or "api", "metrics" or "tunnel". It is called again when the config file names an address anew.
	// Nil listens by TCP.
	Listen func(name, address string) (net.Listener, error)
	// Reviewer takes requests for approvals. Nil is a queue in memory, which is
	// decided about over the control socket.
	Reviewer proxy.Reviewer
	// Sinks receive the events of the audit log, in addition to those of the file. One that is
	// an io.Closer is closed after the log.
	Sinks []audit.Sink
	// Version is the program's, which clients of the API are told. May be empty.
	Version string
	// OnEvent is told of logins, sessions and failures, after the log. It must return
	// quickly and be safe for concurrent use. May be nil.
	OnEvent func(proxy.Event)
	// Dialects are those of statements that Explain is asked about besides the
	// protocols' own.
	Dialects []string
	// Log is told of what operators should know; nil is slog.Default.
	Log *slog.Logger
	// Now is the clock that rules go by; nil is the store's.
	Now func() time.Time
}

// Interceptors are an assembly's own, by their place in the chain. They stay in
// place when a revision of the config file comes.
type Interceptors struct {
	// First are asked before the access rules.
	First []proxy.Interceptor
	// AfterPolicy are asked about what access rules allow, before guardrails.
	AfterPolicy []proxy.Interceptor
	// AfterGuardrails see data before it is masked.
	AfterGuardrails []proxy.Interceptor
	// AfterMasking see data as clients and records do.
	AfterMasking []proxy.Interceptor
}

// Gateway is everything that a config file asks for. It is safe for concurrent
// use.
type Gateway struct {
	*Explainer
	log       *slog.Logger
	operator  *operatorLog
	state     *state
	proofs    *proofs
	desk      *review.Desk
	offline   *offlines
	runbooks  *runbooks
	authority *ca.Authority // for the gateway's own certificates
	published published
	records   *audit.Log
	metrics   *prometheus.Metrics
	// What the records are read by.
	recordsDir  string
	recordsKeys audit.Keys
	outbox      *review.Outbox
	alerts      *alert.Engine
	begun       time.Time
	alertsFed   bool          // whether the log's events are read for alerts; g.applying is held
	channels    chan struct{} // has a value when the channels of people may be others
	first       *config.File  // of which secrets are
	control     *control.Handler
	inside      inside
	agents      *agents // nil: none can connect
	hosts       hostsOf
	console     http.Handler // nil: the program was built without
	mcp         *mcp.Handler
	unasked     atomic.Bool  // somebody could not be asked about
	seen        atomic.Int64 // the change in the store's feed that was followed last
	phase       atomic.Int32 // phaseStarting and so on
	pulse       pulse
	certUntil   atomic.Int64 // until when the certificate of clients is valid, in seconds; as it was known last
	hurried     context.Context
	hurry       context.CancelFunc // ends hurried: nothing is waited for

	mu        sync.Mutex // of what follows
	listeners entrances
	serve     func(l protocol.Listener, e *entrance) // nil: nothing is served
	scraped   net.Listener                           // where metrics are shown; nil when they are not
	api       net.Listener                           // where the API is served by TLS; nil when it is not
	tunnel    net.Listener                           // where agents come in; nil when none do
	socket    net.Listener                           // where control is served; nil when nothing is listened to
	closed    bool

	applying sync.Mutex // held while a revision is made, and of what follows
	objects  objects
	shown    *shown // the certificate of clients
	applied  chan struct{}
	closers  []func() error
	places   *places // nil: the gateway's store is its own
	close    sync.Once
	closeErr error
}

// ErrClosed is returned by what needs a gateway that is not closed.
var ErrClosed = errors.New("the gateway is closed")

// New builds everything that f asks for, and opens the audit log. The gateway is
// to be closed, unless Run is called, which closes it. On an error nothing stays
// open.
func New(f *config.File, o Options) (*Gateway, error) {
	g := &Gateway{log: o.Log, metrics: &prometheus.Metrics{}, begun: time.Now(), applied: make(chan struct{}, 1)}
	if g.log == nil {
		g.log = slog.Default()
	}
	g.operator = &operatorLog{log: g.log}
	g.runbooks = &runbooks{Gateway: g, reviews: &runReviews{}}
	g.hurried, g.hurry = context.WithCancel(context.Background())
	if err := g.build(f, o); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	for _, n := range f.Notices() {
		g.log.Info("config", "note", n.String())
	}
	return g, nil
}

func (g *Gateway) build(f *config.File, o Options) (err error) {
	g.Explainer = &Explainer{options: o}
	if g.records, err = g.openRecords(f); err != nil { // the data directory is this process's from here on
		return err
	}
	if err := g.openSecrets(f); err != nil {
		return err
	}
	if g.state, err = openState(f, o.Store, g.secrets, g.secret, g.log); err != nil {
		return err
	}
	g.closers = append(g.closers, g.state.Close)
	g.openOutbox()
	g.alerts = &alert.Engine{Store: g.state.store, Writes: g.outbox.Writes, Log: g.log}
	g.keys, g.firsts, g.signers = g.state.privateKeys, g.firstSeen, g.openAuthority
	g.budgets = &policy.Budgets{Ledger: ledger.New(g.state.store)}
	g.closers = append(g.closers, func() error { g.budgets.Wait(); return nil })
	g.memory.Keeper = findings{g.state.store}
	g.gateway = &proxy.Gateway{
		Dialer: o.Dialer, Reviewer: reviewers{g, o.Reviewer}, Now: o.Now, Log: g.log, DrainTimeout: f.Shutdown.DrainTime(),
		OnEvent: func(e proxy.Event) {
			g.operator.event(e)
			if o.OnEvent != nil {
				o.OnEvent(e)
			}
		},
	}
	if o.Now == nil {
		g.gateway.Now = g.clock
	}
	if f.Store.URL != "" || o.Store != nil { // which other gateways share
		g.places = newPlaces(g.state.store, g.log)
		g.gateway.Places = g.places
		g.closers = append(g.closers, g.places.close)
	}
	g.control = &control.Handler{
		Gateway: g.gateway, Records: g.records, Log: g.log, Portal: g.portal,
		Permit: func(who *proxy.Identity, p control.Permission) bool { return g.parts().permit(who, p) },
		Spool:  f.Data(), Deciders: deciders{identities{g}}, Archive: func() (*audit.Archive, error) { return audit.OpenArchiveWith(g.recordsDir, g.recordsKeys) },
	}
	g.control.Authenticate = g.control.Known
	g.mcp = &mcp.Handler{Control: g.control, Version: o.Version}
	g.control.Hosts = &g.hosts
	if err := g.openConsole(); err != nil {
		return err
	}
	g.closers = append(g.closers, g.Explainer.Close)
	if err := g.openProofs(context.Background()); err != nil {
		return err
	}
	if err := g.openObjects(context.Background()); err != nil {
		return err
	}
	if err := g.openDesk(context.Background()); err != nil {
		return err
	}
	g.issued, g.browsers = g.proofs.certificates.Issued, &browsers{g}
	if g.authority, err = ca.OpenAuthority(context.Background(), ca.ForServers, g.state.authorities()); err != nil {
		return err
	}
	if err := g.openAgents(context.Background(), f); err != nil {
		return err
	}
	g.control.Authorities = g.authorities
	if err := g.Apply(f); err != nil {
		return err
	}
	if err := g.hosts.load(context.Background()); err != nil { // what is missing is read when it is needed
		g.log.Warn("it could not be read by which keys other gateways know resources", "err", err)
	}
	g.settleReviews(context.Background())
	if err := g.openRunbooks(context.Background(), f); err != nil {
		return err
	}
	g.measure()
	return errors.Join(g.export(f, o.Sinks), g.copy(f), g.witness(f))
}

// deciders proves who decides, as the current revision proves who logs in. A person does: what was
// given to a program decides nothing.
type deciders struct{ identities }

func (d deciders) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	id, err := d.identities.Authenticate(ctx, p)
	if err == nil && (id == nil || id.Kind != proxy.Human || id.Claims[identity.ClaimToken] != "" || id.Claims[claimOffline] != "") {
		return nil, proxy.ErrUnauthenticated
	}
	return id, err
}

// openRecords opens the audit log.
func (g *Gateway) openRecords(f *config.File) (*audit.Log, error) {
	if err := backup.Interrupted(f.Data()); err != nil {
		return nil, err
	}
	durability, err := audit.ParseDurability(f.Audit.Durability)
	if err != nil {
		return nil, err
	}
	keys, err := f.AuditKeys(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	g.recordsDir, g.recordsKeys = filepath.Join(f.Data(), "audit"), keys
	l, err := audit.Open(g.recordsDir, audit.Config{
		Durability: durability, BestEffort: f.Audit.BestEffort, Keys: keys, Log: g.log,
		Recordings: func(s *proxy.Session) audit.Recording { return g.parts().recording(s) },
		Approvals:  g.approval,
	})
	if err != nil {
		return nil, err
	}
	g.closers = append(g.closers, l.Close)
	g.metrics.Records = l
	return l, nil
}

// Apply makes f the current revision: users, resources, access rules, guardrails,
// masking, recordings, retention, limits, listeners, certificates, and what the control
// socket permits. What of it needs a restart, see [config.File.NeedsRestart], stays as it
// was when the gateway was made, and is logged. Recordings and limits are for what begins
// from now on. Open sessions meet the new rules at their next operation, and those that
// may not go on end at once; see [proxy.Gateway.Use]. Sessions of a listener that is gone
// go on. On an error nothing has changed.
//
// The objects of the store are used with f, whatever it was made with.
func (g *Gateway) Apply(f *config.File) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	return g.apply(f, g.objects.set)
}

// apply makes f with objects the current revision. g.applying is held.
func (g *Gateway) apply(f *config.File, set *revision.Set) error {
	if g.isClosed() {
		return ErrClosed
	}
	f, err := with(f, set)
	if err != nil {
		return err
	}
	if err := f.Safe(); err != nil {
		return err
	}
	before := g.parts()
	if before != nil {
		if f.Data() != before.config.Data() {
			return fmt.Errorf("using %s as the data directory: got another than the %s that the gateway runs with; stop it, and start it with this file", f.Data(), before.config.Data())
		}
		if keys := f.NeedsRestart(before.config); len(keys) > 0 {
			g.log.Warn("changes of these keys of the config file are used after a restart", "keys", strings.Join(keys, ", "))
		}
	}
	if err := g.openServices(f); err != nil {
		return err
	}
	p, err := g.make(context.Background(), f, g)
	if err != nil {
		return err
	}
	shown, err := g.show(p)
	if err != nil {
		p.secrets.Retire()
		return err
	}
	p.revision.Certificates = []tls.Certificate{shown.pair}
	// What masking hides is kept as it was where a rule says so, sealed to a key.
	p.revision.Interceptors = p.chain([]proxy.Interceptor{g.records.Originals()}, []proxy.Interceptor{g.metrics, g.records})
	var next entrances
	version, err := f.Version()
	if err == nil {
		version = p.version(version)
		p.revision.Name = version.Policy
		next, err = g.entrances(f)
	}
	if err == nil {
		err = g.use(p, version)
	}
	if err != nil {
		p.secrets.Retire()
		g.mu.Lock()
		defer g.mu.Unlock()
		next.closeBut(g.listeners)
		return err
	}
	if err := g.useNotifiers(p, before); err != nil {
		g.log.Error("people are told of requests by the channels of the configuration before", "err", err)
	}
	var known config.Problems
	if before != nil {
		g.voidGone(p, before)
		before.secrets.Retire()
		known = before.config.Gone()
	}
	for _, p := range f.Gone() {
		if !slices.Contains(known, p) {
			g.log.Warn("a rule names what is not there", "problem", p.String())
		}
	}
	if err := g.useAlerts(p); err != nil {
		g.log.Error("nobody is told what the rules of alerts find, until the gateway starts again", "err", err)
	}
	g.shown = shown
	g.objects.set = set
	g.move(next)
	g.catchUp(p)
	g.dropChoices(p)
	select {
	case g.applied <- struct{}{}:
	default: // keepPeople looks soon
	}
	if err := g.revised(); err != nil {
		g.log.Error("clients may not know the gateway by its files", "err", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.socket != nil {
		if err := g.share(f); err != nil {
			g.log.Error("the control socket stays open to the users of the rules before", "err", err)
		}
	}
	return nil
}

// use makes p the current revision, once that is on record.
func (g *Gateway) use(p *parts, version audit.Version) error {
	if err := g.records.Configured(version); err != nil {
		return fmt.Errorf("recording that a configuration is used: %w", err)
	}
	before := g.current.Swap(p)
	if err := g.gateway.Use(p.revision); err != nil {
		g.current.Store(before)
		return err
	}
	g.control.Recheck()
	return nil
}

func (g *Gateway) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Proxy returns the core that serves: its sessions, and the current revision. Its
// fields must not be changed.
func (g *Gateway) Proxy() *proxy.Gateway { return g.gateway }

// Records returns the audit log.
func (g *Gateway) Records() *audit.Log { return g.records }

// Control returns the handler of the control socket, for further listeners.
func (g *Gateway) Control() *control.Handler { return g.control }

// Metrics returns the handler that shows the gateway's numbers.
func (g *Gateway) Metrics() *prometheus.Metrics { return g.metrics }

// Close closes everything: listeners, the log, and what is sent from it. Sessions
// that are open are not waited for; see [Gateway.Run]. Calls after the first return
// what the first did.
func (g *Gateway) Close() error {
	g.close.Do(func() {
		var errs []error
		g.hurry()
		g.mu.Lock()
		g.closed = true
		g.unlisten()
		g.mu.Unlock()
		g.applying.Lock() // a revision that is being made is used, or not, before the log is closed
		closers := g.closers
		g.applying.Unlock()
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i]())
		}
		g.closeErr = errors.Join(errs...)
	})
	return g.closeErr
}

// unlisten closes every listener. g.mu is held.
func (g *Gateway) unlisten() {
	g.listeners.closeBut(nil)
	for _, ln := range []net.Listener{g.socket, g.scraped, g.api, g.tunnel} {
		if ln != nil {
			ln.Close()
		}
	}
	g.listeners = nil
	g.socket, g.scraped, g.api, g.tunnel = nil, nil, nil, nil
}

// closeAfterLog has c closed after the log, which hands over its last events when
// it is closed.
func (g *Gateway) closeAfterLog(c io.Closer) {
	g.closers = append([]func() error{c.Close}, g.closers...)
}
