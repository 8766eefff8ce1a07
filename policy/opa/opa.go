package opa

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// Config is what a policy is made of. At least one source has the decision.
type Config struct {
	// Dirs are folders of modules (*.rego), which may hold tests (*_test.rego) and data
	// (data.json, data.yaml). Links that lead out of a folder are not followed.
	Dirs []string
	// Modules are texts by the name of their file, which errors say.
	Modules map[string]string
	// Data is `data` in Rego.
	Data    map[string]any
	Bundles []Bundle
	// Decision is the rule that is asked; empty is "data.sallyport.decision". Its value is a
	// [Result].
	Decision string
	// Decides has the policy allow sessions to connect. Without, it only denies what others
	// allow.
	Decides bool
	// Carries is what the assembly carries out of obligations, by asking [Policy.Obligations]. A
	// session of which a policy asks for something else is refused.
	Carries policy.Carries
	// Budgets keeps what people use of budgets, which need policy.CarriesBudgets.
	Budgets *policy.Budgets
	// Request reads the terms of an answer's request: on which, of some actions, access to a resource is granted to those who ask.
	// Nil: nobody takes requests, and an answer with one is a mistake. An error is for the policy's author, and is told to users.
	Request func(terms map[string]any, actions []string, at *proxy.Resource) (*policy.Request, error)
	// Grants knows what was granted to those who have asked. Nil: nothing was.
	Grants policy.Grants
	// Volatile are functions that are not among the harmless ones: time.now_ns, rand.intn,
	// uuid.rfc4122. What a policy that calls one decides is not remembered.
	Volatile []string
	// Timeout is how long one decision may take; 0 is 50 ms. Longer than a second is an error.
	Timeout time.Duration
	// Log is told why a policy did not decide, without data. Nil is slog.Default.
	Log *slog.Logger
}

const (
	name            = "opa"
	defaultDecision = "data.sallyport.decision"
	defaultTimeout  = 50 * time.Millisecond
	maxTimeout      = time.Second
)

// Policy is one revision of a policy. It is a [proxy.Interceptor], immutable and safe for
// concurrent use.
type Policy struct {
	query    rego.PreparedEvalQuery
	store    storage.Store
	revision string
	reads    Reads
	decides  bool
	carries  policy.Carries
	budgets  *policy.Budgets
	terms    func(map[string]any, []string, *proxy.Resource) (*policy.Request, error)
	grants   policy.Grants
	timeout  time.Duration
	log      *slog.Logger
	running  chan struct{} // has room for as many evaluations as may run at once
	memory   memory
}

// New reads and compiles a policy. Its error names file and line of everything that is wrong.
func New(c Config) (*Policy, error) {
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		return nil, fmt.Errorf("a decision cannot take %s: want up to %s", c.Timeout, maxTimeout)
	}
	s, err := read(&c)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	decision := or(c.Decision, defaultDecision)
	compiler, err := compile(s, s.modules, decision)
	if err != nil {
		return nil, fmt.Errorf("compiling the policy: %w", err)
	}
	p := &Policy{
		store: inmem.NewFromObject(s.data), reads: readsOf(compiler), decides: c.Decides, carries: c.Carries, budgets: c.Budgets, terms: c.Request, grants: c.Grants, timeout: or(c.Timeout, defaultTimeout), log: c.Log,
		running: make(chan struct{}, 16*runtime.GOMAXPROCS(0)),
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	if p.revision, err = revisionOf(s, decision); err != nil {
		return nil, fmt.Errorf("compiling the policy: %w", err)
	}
	p.query, err = rego.New(
		rego.Query(decision), rego.Compiler(compiler), rego.Store(p.store), rego.StrictBuiltinErrors(true), rego.SetRegoVersion(ast.RegoV1),
	).PrepareForEval(context.Background())
	if err != nil {
		return nil, fmt.Errorf("compiling the policy: %w", err)
	}
	return p, nil
}

func compile(s *source, modules map[string]*ast.Module, decision string) (*ast.Compiler, error) {
	ref, err := ast.ParseRef(decision)
	if err != nil || !ref.HasPrefix(ast.DefaultRootRef) || !ref.IsGround() {
		return nil, fmt.Errorf("decision %q is not a path such as %s", decision, defaultDecision)
	}
	c := newCompiler(s).WithStrict(true)
	if c.Compile(modules); c.Failed() {
		return nil, c.Errors
	}
	if len(c.GetRulesExact(ref)) == 0 {
		return nil, fmt.Errorf("no module has the rule %s, which is asked", decision)
	}
	return c, nil
}

// newCompiler returns a compiler that knows what may be used, and the form of the input: a path
// that it does not have is an error.
func newCompiler(s *source) *ast.Compiler {
	var form any
	if err := json.Unmarshal(schema, &form); err != nil {
		panic("opa: input.schema.json is broken: " + err.Error()) // it is part of the program
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, form)
	return ast.NewCompiler().WithCapabilities(s.options.Capabilities).WithSchemas(schemas).WithEnablePrintStatements(false)
}

// revisionOf names what a policy is made of by a hash.
func revisionOf(s *source, decision string) (string, error) {
	h := sha256.New()
	e := json.NewEncoder(h)
	err := e.Encode([]any{decision, s.data})
	for _, file := range slices.Sorted(maps.Keys(s.modules)) {
		err = errors.Join(err, e.Encode([]string{file, s.modules[file].String()}))
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), err
}

// Name returns "opa".
func (p *Policy) Name() string { return name }

// Revision names the policy's modules and data by a hash.
func (p *Policy) Revision() string { return p.revision }

// Reads says what the policy reads of what differs between questions, by which the memory of
// decisions goes.
func (p *Policy) Reads() Reads { return p.reads }

// Intercept returns the hooks that ask the policy, and carry out its obligations.
func (p *Policy) Intercept(ctx context.Context, s *proxy.Session) (proxy.Hooks, error) {
	a, err := p.asker(s, s.Identity)
	if err != nil {
		return proxy.Hooks{}, err
	}
	if her := s.Identity.Human(); her != nil {
		if a.human, err = p.asker(s, her); err != nil {
			return proxy.Hooks{}, err
		}
	}
	h, err := p.bind(ctx, a)
	h.Ask = a.ask
	return h, err
}

// asker asks about a session as if it were that of id.
func (p *Policy) asker(s *proxy.Session, id *proxy.Identity) (*asker, error) {
	in := inputOf(s, id)
	alike, err := p.memory.of(in, p.reads)
	return &asker{policy: p, session: s, input: in, alike: alike}, err
}

// asker asks in one session.
type asker struct {
	policy  *Policy
	session *proxy.Session
	input   Input
	alike   uint64
	human   *asker // as the human of a delegated agent, which may do what both may; nil: the session is not that of one

	bound   binding                                       // of the session
	limits  func(context.Context, proxy.Op) proxy.Verdict // which asks whether they are met
	unbound error                                         // why they are not known; nil when they are
}

func (a *asker) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	v := a.judge(ctx, op)
	if v.Action == proxy.ActionDeny {
		return v
	}
	if a.human != nil {
		if hers := a.human.judge(ctx, op); hers.Action == proxy.ActionDeny || hers.Action == proxy.ActionHold && v.Action != proxy.ActionHold {
			v = hers
		}
		if v.Action == proxy.ActionDeny {
			return v
		}
	}
	limit := a.limits(ctx, op)
	if limit.Refuses() {
		return limit
	}
	v.Warn, v.Grant = limit.Warn, limit.Grant
	return v
}

// judge is the policy's answer, of which it may know already.
func (a *asker) judge(ctx context.Context, op proxy.Op) proxy.Verdict {
	p := a.policy
	if op.Info().Kind == proxy.KindConnect {
		return a.connect(ctx, op)
	}
	st, remembers := op.(*proxy.Statement)
	if !remembers || p.reads.Arguments || p.reads.Chance {
		v, _ := p.decide(ctx, a.input.ask(op, a.session.Now(), p.reads.Arguments), op.Info().Kind)
		return v
	}
	q := question{alike: a.alike, facts: st.Facts, kind: st.Kind}
	var now time.Time
	if p.reads.Time {
		now = a.session.Now()
		q.second = now.Unix()
	}
	if v, ok := p.memory.get(q); ok {
		return v
	}
	v, err := p.decide(ctx, a.input.ask(op, now, false), st.Kind)
	if err == nil {
		p.memory.put(q, v)
	}
	return v
}

// decide evaluates the policy. With an error, the verdict says that it did not decide.
func (p *Policy) decide(ctx context.Context, in Input, kind proxy.Kind) (proxy.Verdict, error) {
	r, err := p.evaluate(ctx, in)
	if err != nil {
		return p.failed(in, err), err
	}
	return p.verdict(r, kind), nil
}

// failed refuses because the policy did not decide, and tells operators why.
func (p *Policy) failed(in Input, err error) proxy.Verdict {
	p.log.Warn("a policy did not decide", "revision", p.revision, "operation", in.Operation.Kind, "why", forOperators(err))
	return undecided(forUsers(err))
}

// evaluate asks the policy, for no longer than it may take: an evaluation that does not notice
// its end is not waited for, and only so many can run.
func (p *Policy) evaluate(ctx context.Context, in Input, options ...rego.EvalOption) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	select {
	case p.running <- struct{}{}:
	case <-ctx.Done():
		return nil, errTimeout
	}
	type answer struct {
		result *Result
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		defer func() { <-p.running }()
		var a answer
		defer func() {
			if recover() != nil { // its value may be data
				a = answer{nil, errPanic}
			}
			done <- a
		}()
		a.result, a.err = p.eval(ctx, in, options)
	}()
	select {
	case a := <-done:
		if ctx.Err() != nil {
			return nil, errTimeout
		}
		return a.result, a.err
	case <-ctx.Done():
		return nil, errTimeout
	}
}

func (p *Policy) eval(ctx context.Context, in Input, options []rego.EvalOption) (*Result, error) {
	v, err := ast.InterfaceToValue(in)
	if err != nil {
		return nil, err
	}
	now := time.Unix(0, in.Time.NowNS)
	set, err := p.query.Eval(ctx, append([]rego.EvalOption{rego.EvalParsedInput(v), rego.EvalTime(now)}, options...)...)
	switch {
	case err != nil:
		return nil, err
	case len(set) == 0:
		return nil, errUndefined
	case len(set) != 1 || len(set[0].Expressions) != 1:
		return nil, formError("there are several")
	}
	r, err := parse(set[0].Expressions[0].Value)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// forUsers is an error without data.
func forUsers(err error) error {
	var form formError
	for _, known := range []error{errUndefined, errTimeout, errPanic} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.As(err, &form) {
		return form
	}
	return errFailed
}

// forOperators says where an evaluation failed, and how; never its message, which may quote
// what was evaluated.
func forOperators(err error) string {
	var e *topdown.Error
	if !errors.As(err, &e) {
		return forUsers(err).Error()
	}
	where := ""
	if e.Location != nil {
		where = fmt.Sprintf(" at %s:%d", e.Location.File, e.Location.Row)
	}
	return forUsers(err).Error() + ": " + e.Code + where
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
