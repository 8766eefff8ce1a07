package gateway

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// Explainer says what a gateway would answer. It asks the gateway's own chain, with
// masking and the databases' catalogs, in dry sessions: nothing runs and nothing is
// recorded. It is safe for concurrent use.
type Explainer struct {
	options  Options
	dry      bool // nothing is served
	gateway  *proxy.Gateway
	secrets  *config.Secrets // of the first revision
	services atomic.Pointer[[]service]
	memory   masking.Memory
	budgets  *policy.Budgets                     // those of the gateway
	keys     func(protocol string) protocol.Keys // those of the gateway
	// signers opens an authority of a protocol, of the gateway.
	signers func(protocol, name string, first func() (crypto.PrivateKey, error)) (protocol.Authority, error)
	// firsts opens what resources of a protocol showed when the gateway first reached them. Nil: it is read in a file.
	firsts   func(f *config.File, protocol string) protocol.FirstSeen
	issued   func(*x509.Certificate) bool // whether the gateway has given a certificate; nil: it gives none
	browsers *browsers                    // logins of a gateway for protocols of the web; nil where nothing is served
	grants   policy.Grants                // what was granted to those who have asked; nil: nothing
	ends     []func() error               // of what was opened later
	current  atomic.Pointer[parts]
}

// NewExplainer returns an explainer of f without a gateway: it opens no listener and
// no audit log, and may be used while a gateway of f runs. It reads catalogs where
// they can be read. It is to be closed.
func NewExplainer(f *config.File, o Options) (*Explainer, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	x := &Explainer{options: o, dry: true}
	x.gateway = &proxy.Gateway{Dialer: o.Dialer, Now: o.Now, Log: o.Log, Unrecorded: true}
	var err error
	if x.secrets, err = f.OpenSecrets(secrets.Options{Brief: true}); err != nil {
		return nil, err
	}
	x.keysLater(f)
	if err := x.openServices(f); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	p, err := x.make(context.Background(), f, nil)
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	p.revision.Interceptors = p.chain(nil, nil)
	x.current.Store(p)
	if err := x.gateway.Use(p.revision); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

func (x *Explainer) parts() *parts { return x.current.Load() }

// keysLater opens the store when a key is asked for, which is not needed to explain anything.
func (x *Explainer) keysLater(f *config.File) {
	open := sync.OnceValues(func() (*state, error) {
		fetch := func(ctx context.Context, ref string) (string, error) { return f.Secret(ctx, x.secrets, ref) }
		s, err := openState(f, x.options.Store, x.secrets, fetch, x.options.Log)
		if err == nil {
			x.ends = append(x.ends, s.Close)
		}
		return s, err
	})
	x.keys = func(of string) protocol.Keys {
		return func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
			s, err := open()
			if err != nil {
				return nil, err
			}
			return s.privateKeys(of)(name, generate)
		}
	}
	x.signers = func(of, name string, first func() (crypto.PrivateKey, error)) (protocol.Authority, error) {
		s, err := open()
		if err != nil {
			return nil, err
		}
		a, err := s.openAuthority(of, name, first)
		if err != nil {
			return nil, err
		}
		return a, nil
	}
}

// Close ends the reading of catalogs, and gives back what was leased for it.
func (x *Explainer) Close() error {
	errs := []error{x.closeServices()}
	if x.dry { // otherwise it is the gateway's
		errs = append(errs, within(x.secrets.Close)())
	}
	return errors.Join(errs...)
}

func (x *Explainer) closeServices() error {
	var errs []error
	for _, c := range x.ends {
		errs = append(errs, c())
	}
	for _, s := range x.opened() {
		if s.Close != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// Question is an operation that is asked about.
type Question struct {
	Identity *proxy.Identity
	Target   proxy.Target // Account and Database may be zero: the resource's defaults
	// Text is the statement or command line. Op is used instead when it is not nil.
	Text string
	Op   proxy.Op
	// From is where the client is; nil is not known.
	From net.Addr
	// At is when; zero is now.
	At time.Time
	// Expected is what the resource expects of a statement. Nil: it is asked.
	Expected *Expected
	// Trace also says how the policy in Rego came to its answer.
	Trace bool

	alone bool // what belongs to the operation is not asked about
}

// Expected is what a resource expects of a statement.
type Expected struct {
	Rows float64 // returned or changed
	Cost float64 // in the resource's own unit
}

// Answer is what the gateway would answer.
type Answer struct {
	proxy.Verdict              // one that holds has no request
	By            string       // the interceptor that gave it; empty when nobody had more to say than that nothing is wrong
	Op            proxy.Op     // as it would run; nil when the session is refused
	Facts         *proxy.Facts // of a statement, as it was asked; nil for all else
	Rewritten     string       // what would run instead; empty when nothing is rewritten
	// Notes are what interceptors say besides: which rules answer, which columns are masked
	// and why, and who sees what others do not.
	Notes []proxy.Note
	// Asks is what the session is asked for in return for connecting.
	Asks policy.Obligations
	// Trace are the steps by which the policy in Rego came to its answer, for its author: it
	// shows values. TraceErr is why it did not decide. Both are empty when it was not asked.
	Trace    string
	TraceErr error
}

// traceConnect adds to a how the policy in Rego answers about connecting, which was refused: in
// a session that nobody refuses.
func (x *Explainer) traceConnect(ctx context.Context, q Question, a *Answer) error {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{anything{}}, Unrecorded: true, Now: x.options.Now}
	s, connect, err := g.Open(ctx, proxy.OpenRequest{Identity: q.Identity, Target: q.Target, Protocol: q.Target.Resource.Type, Remote: q.From, Dry: true, At: q.At})
	if err != nil {
		return err
	}
	defer s.Close(nil)
	x.trace(ctx, s, a, connect)
	s.Done(connect, &proxy.Outcome{})
	return nil
}

// Outcome is an answer in one word.
type Outcome string

// Outcomes.
const (
	Allow   Outcome = "allow"
	Warn    Outcome = "warn"    // allowed, and the user is told something
	Rewrite Outcome = "rewrite" // allowed, with another text
	Hold    Outcome = "hold"    // an approval is needed
	Deny    Outcome = "deny"
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return []Outcome{Allow, Warn, Rewrite, Hold, Deny} }

// Outcome returns the answer in one word.
func (a *Answer) Outcome() Outcome {
	switch {
	case a.Action == proxy.ActionHold:
		return Hold
	case a.Refuses():
		return Deny
	case a.Rewritten != "":
		return Rewrite
	case a.Warn != "":
		return Warn
	}
	return Allow
}

// Explain answers a question. The error says why it cannot be asked.
func (x *Explainer) Explain(ctx context.Context, q Question) (*Answer, error) {
	if q.Target.Resource == nil {
		return nil, errors.New("explaining an operation: the question names no resource")
	}
	s, connect, err := x.gateway.Open(ctx, proxy.OpenRequest{
		Identity: q.Identity, Target: q.Target, Protocol: q.Target.Resource.Type, Remote: q.From, Dry: true, At: q.At,
	})
	var refused *proxy.RefusedError
	switch {
	case errors.As(err, &refused):
		a := &Answer{Verdict: refused.Verdict, By: refused.By}
		if q.Trace {
			return a, x.traceConnect(ctx, q, a)
		}
		return a, nil
	case err != nil:
		return nil, err
	}
	defer s.Close(nil)
	s.Done(connect, &proxy.Outcome{})
	op := q.Op
	if op == nil {
		if op, err = x.operation(ctx, s.Target, q.Text); err != nil {
			return nil, err
		}
	}
	if q.Expected != nil {
		ctx = context.WithValue(ctx, expectedKey{}, q.Expected)
	}
	a := &Answer{Op: op, Asks: x.parts().asks(s, nil)}
	if st, ok := op.(*proxy.Statement); ok {
		a.Facts = st.Facts
	}
	s.Handle(nil, func(op proxy.Op, text []byte) error {
		again, err := x.operation(ctx, s.Target, string(text))
		if err != nil {
			return err
		}
		st, ok := op.(*proxy.Statement)
		now, same := again.(*proxy.Statement)
		if !ok || !same {
			return errors.New("only statements are rewritten")
		}
		a.Rewritten = string(text)
		st.Text, st.Facts = now.Text, now.Facts
		return nil
	})
	x.ask(ctx, s, a, q.alone)
	a.Notes = s.Notes()
	if q.Trace {
		x.trace(ctx, s, a, op)
	}
	return a, nil
}

// trace adds to a how the policy in Rego answers about op.
func (x *Explainer) trace(ctx context.Context, s *proxy.Session, a *Answer, op proxy.Op) {
	if p := x.parts().rego; p != nil {
		a.Trace, a.TraceErr = p.Trace(ctx, s, op)
	}
}

// ask asks about a's operation, and about what belongs to it, as a handler does. The
// strictest answer is the answer: what is refused in part does not run. With alone
// only the operation itself is asked about.
func (x *Explainer) ask(ctx context.Context, s *proxy.Session, a *Answer, alone bool) {
	service := x.service(s.Protocol)
	if service != nil && service.Refuses != nil {
		if v, refused := service.Refuses(s.Target, a.Op); refused {
			s.Refuse(a.Op, v)
			a.Verdict = v
			return
		}
	}
	a.Verdict = *s.Ask(ctx, a.Op)
	a.By = a.Op.Info().By()
	if alone || service == nil || service.Further == nil || a.denies() {
		return
	}
	for _, op := range service.Further(a.Op) {
		v := *s.Ask(ctx, op)
		switch holds := v.Action == proxy.ActionHold; {
		case v.Refuses() && (!holds || !a.Refuses()):
			a.Verdict, a.By = v, op.Info().By()
		case a.Warn == "":
			a.Warn = v.Warn
		}
		if a.denies() {
			return
		}
	}
}

// denies reports whether no approval helps.
func (a *Answer) denies() bool { return a.Refuses() && a.Action != proxy.ActionHold }

// operation is what a text asks for at a target.
func (x *Explainer) operation(ctx context.Context, t proxy.Target, text string) (proxy.Op, error) {
	s := x.service(t.Resource.Type)
	if s == nil {
		return nil, fmt.Errorf("explaining a text for resource %s: protocol %q is not in the list", t.Resource.Name, t.Resource.Type)
	}
	return s.Operation(ctx, t, text)
}

// Target returns a resource of the configuration with an account and a database of
// it, both of which may be empty. The error wraps proxy.ErrNotFound.
func (x *Explainer) Target(resource, account, database string) (proxy.Target, error) {
	r, err := x.parts().resources.Lookup(context.Background(), resource)
	if err != nil {
		return proxy.Target{}, err
	}
	t := proxy.Target{Resource: r, Database: database}
	if account != "" {
		var ok bool
		if t.Account, ok = r.Account(account); !ok {
			return t, fmt.Errorf("%w: account %q of resource %q", proxy.ErrNotFound, account, resource)
		}
	}
	return t, nil
}

// User returns a user of the configuration as she would log in. The error wraps
// proxy.ErrNotFound.
func (x *Explainer) User(name string) (*proxy.Identity, error) {
	for _, u := range x.parts().config.Identity.Users {
		if u.Name == name {
			return &proxy.Identity{Subject: name, Groups: u.Groups}, nil
		}
	}
	return nil, noUserError(name)
}

// noUserError says that the configuration has no user of this name. It is a
// proxy.ErrNotFound.
type noUserError string

func (e noUserError) Error() string {
	return fmt.Sprintf("user %q is not in the configuration", string(e))
}

func (noUserError) Is(target error) bool { return target == proxy.ErrNotFound }

type expectedKey struct{}

// estimator asks resources, unless a question says what they expect.
type estimator struct{ guardrail.Estimator }

var errNotGiven = errors.New("the question does not say what the server expects, and it cannot be asked")

// Estimate returns what the resource expects of a statement.
func (e estimator) Estimate(ctx context.Context, s *proxy.Session, st *proxy.Statement) (rows, cost float64, err error) {
	if x, ok := ctx.Value(expectedKey{}).(*Expected); ok {
		return x.Rows, x.Cost, nil
	}
	if e.Estimator == nil {
		return 0, 0, errNotGiven
	}
	return e.Estimator.Estimate(ctx, s, st)
}
