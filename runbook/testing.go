package runbook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// Case is a test of a runbook: values, what its resources answer, and what they have to see.
type Case struct {
	Name     string            `yaml:"name"`
	Params   map[string]string `yaml:"params"`
	Numbered *bool             `yaml:"numbered"` // parameters are $1, as on PostgreSQL; false: ?, as on MySQL
	Answers  []*Answer         `yaml:"answers"`  // by step
	Expect   []Expected        `yaml:"expect"`   // of a run that fails it may be left out
	State    string            `yaml:"state"`    // of the run; empty is done
	Error    string            `yaml:"error"`    // a part of why it is refused or fails
	Line     int               `yaml:"-"`
}

// Answer is what a step's resource answers.
type Answer struct {
	Name     string     `yaml:"-"`
	Columns  []string   `yaml:"columns"`
	Rows     [][]string `yaml:"rows"`
	Affected int64      `yaml:"affected"`
	Status   int64      `yaml:"status"` // of a command; of a request, where 0 is 200
	Body     string     `yaml:"body"`   // of the answer to a request
	Fail     string     `yaml:"fail"`   // what the server says of it
	Line     int        `yaml:"-"`
}

// Expected is what a resource has to see.
type Expected struct {
	Step  string   `yaml:"step"`
	Text  string   `yaml:"text"` // a statement, a command line, or the method and address of a request
	Args  []string `yaml:"args"` // values of a statement, or headers of a request
	Input string   `yaml:"input"`
	Line  int      `yaml:"-"`
}

// ParseTests reads a file of tests. The error is of the type Problems.
func ParseTests(text []byte) ([]Case, error) {
	n, p := document(text)
	if p != nil {
		return nil, Problems{*p}
	}
	d := &decoder{}
	var f struct {
		Cases []Case `yaml:"cases"`
	}
	d.into(n, reflect.ValueOf(&f).Elem(), "")
	if len(d.problems) > 0 {
		return nil, d.sorted()
	}
	return f.Cases, nil
}

// Test runs a case: everything happens but what resources do. The error says what differs.
func (b *Runbook) Test(ctx context.Context, c Case) error {
	numbered := c.Numbered == nil || *c.Numbered
	choice := Choice{Values: make(map[string]json.RawMessage)}
	for name, v := range c.Params {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		choice.Values[name] = raw
	}
	var resources []Resource
	for _, g := range b.Targets {
		r := Resource{Name: "test-" + g.Name, Labels: g.Match, Dialect: &Dialect{numbered, map[bool]byte{true: '"', false: '`'}[numbered]}, Commands: true, Requests: true}
		if len(g.Types) > 0 {
			r.Type = g.Types[0]
		}
		resources = append(resources, r)
	}
	if choice.Targets = make(map[string][]string); len(resources) > 0 {
		for _, g := range b.Targets {
			choice.Targets[g.Name] = []string{"test-" + g.Name}
		}
	}
	p, err := b.Plan(Origin{Source: "test", Path: "test", Digest: b.Digest, Author: "author"}, choice, resources)
	if err != nil {
		return c.wrong(err, Refused)
	}
	gate := &testGate{answers: c.Answers, plan: p}
	r := &Runner{Store: store.NewMemory(), Gate: gate, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if err := Open(ctx, r); err != nil {
		return err
	}
	run, err := r.Start(ctx, &proxy.Identity{Subject: "test"}, p, Options{})
	if err != nil {
		return err
	}
	for !run.State.Over() {
		pause(ctx, time.Millisecond)
		if err := ctx.Err(); err != nil {
			return errors.Join(err, r.Close())
		}
		if run, err = r.Get(ctx, run.ID); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	if run.State != Done || c.Error != "" || c.State != "" {
		err := errors.New(or(run.Message, "the run is "+string(run.State)))
		if werr := c.wrong(err, run.State); werr != nil {
			return werr
		}
		if c.Expect == nil {
			return nil // what came before is not of interest
		}
	}
	return c.compare(gate.saw)
}

// wrong is nil when a case wants the error.
func (c *Case) wrong(err error, state State) error {
	if c.Error == "" && c.State == "" || c.State != "" && c.State != string(state) || !strings.Contains(err.Error(), c.Error) {
		return fmt.Errorf("line %d: %s: got %s: %w; want %s %s", c.Line, c.Name, state, err, or(c.State, "done"), c.Error)
	}
	return nil
}

func (c *Case) compare(saw []Expected) error {
	for i := range max(len(saw), len(c.Expect)) {
		if i >= len(saw) || i >= len(c.Expect) {
			return fmt.Errorf("line %d: %s: got %d statements, commands and requests, want %d: %v", c.Line, c.Name, len(saw), len(c.Expect), saw)
		}
		got, want := saw[i], c.Expect[i]
		if got.Step != want.Step || strings.TrimSpace(got.Text) != strings.TrimSpace(want.Text) || !slices.Equal(got.Args, want.Args) || got.Input != want.Input {
			return fmt.Errorf("line %d: %s: got the step %s %q %q %q, want %s %q %q %q", want.Line, c.Name, got.Step, got.Text, got.Args, got.Input, want.Step, want.Text, want.Args, want.Input)
		}
	}
	return nil
}

// testGate answers in the place of resources, and writes down what they see.
type testGate struct {
	answers []*Answer
	plan    *Plan
	saw     []Expected
	asked   int
}

func (g *testGate) answer(step string) *Answer {
	for _, a := range g.answers {
		if a.Name == step {
			return a
		}
	}
	return &Answer{}
}

// next is the step that runs now: the run has one at a time, in order.
func (g *testGate) next(kind, text string) string {
	for _, s := range g.plan.Steps {
		if s.Kind == kind && (s.Text == text || kind != StepSQL) && !slices.ContainsFunc(g.saw, func(e Expected) bool { return e.Step == s.ID }) {
			return s.ID
		}
	}
	return ""
}

// Begin implements [Gate].
func (g *testGate) Begin(ctx context.Context, _ *proxy.Identity, _ Resource, _ func(*proxy.Pending)) (Session, error) {
	return testSession{g, ctx}, nil
}

type testSession struct {
	gate *testGate
	ctx  context.Context
}

func (s testSession) ID() string               { return "test" }
func (s testSession) Context() context.Context { return s.ctx }
func (s testSession) Close(error)              {}

func (s testSession) Ask(_ context.Context, _ string, hold *proxy.Hold) ([]Grant, error) {
	if hold == nil {
		return nil, nil
	}
	s.gate.asked++
	return []Grant{{"test", fmt.Sprint("approver ", s.gate.asked)}}, nil
}

// Database implements [Gate].
func (g *testGate) Database(context.Context, *proxy.Identity, Resource) (Database, error) {
	return testDatabase{g}, nil
}

type testDatabase struct{ gate *testGate }

func (d testDatabase) ID() string   { return "test" }
func (d testDatabase) Close() error { return nil }

func (d testDatabase) Execute(_ context.Context, text string, args []Arg, _ int64, _ int) (r Result, err error) {
	step := d.gate.next(StepSQL, text)
	if step == "" {
		return r, nil // of the run's own: transactions
	}
	e := Expected{Step: step, Text: text}
	for _, a := range args {
		if a.Null {
			a.Text = "NULL"
		}
		e.Args = append(e.Args, a.Text)
	}
	d.gate.saw = append(d.gate.saw, e)
	a := d.gate.answer(step)
	if a.Fail != "" {
		return r, &StatementError{Message: a.Fail}
	}
	r.Columns, r.Rows, r.Affected = a.Columns, int64(len(a.Rows)), a.Affected
	if len(a.Rows) > 0 {
		for _, c := range a.Rows[0] {
			r.First = append(r.First, Cell{Text: c})
		}
	}
	return r, nil
}

// Command implements [Gate].
func (g *testGate) Command(_ context.Context, _ *proxy.Identity, _ Resource, c Command) (CommandResult, error) {
	if strings.HasPrefix(c.Line, "printf %s 'a\\b") {
		return CommandResult{Output: []byte(probe)}, nil
	}
	step := g.next(StepExec, c.Line)
	g.saw = append(g.saw, Expected{Step: step, Text: c.Line, Input: string(bytes.TrimSpace(c.Input))})
	return CommandResult{Status: int(g.answer(step).Status)}, nil
}

// Request implements [Gate].
func (g *testGate) Request(_ context.Context, _ *proxy.Identity, _ Resource, q Request) (Response, error) {
	step := g.next(StepHTTP, "")
	e := Expected{Step: step, Text: q.Method + " " + q.Path, Input: string(q.Body)}
	if q.Query != "" {
		e.Text += "?" + q.Query
	}
	for _, h := range q.Header {
		if !slices.ContainsFunc(g.plan.steps, func(s *planned) bool { return s.Planned.ID == step && s.HTTP.Key == h.Name }) { // another one in each run
			e.Args = append(e.Args, h.Name+": "+h.Value)
		}
	}
	g.saw = append(g.saw, e)
	a := g.answer(step)
	if a.Fail != "" {
		return Response{}, fmt.Errorf("%w: %s", ErrUnsent, a.Fail)
	}
	return Response{Status: int(or(a.Status, 200)), Body: []byte(a.Body)}, nil
}

// Standing implements [Gate].
func (g *testGate) Standing(context.Context, *proxy.Identity) ([]Scope, error) { return nil, nil }

// Secret implements [Gate].
func (g *testGate) Secret(_ context.Context, _, ref string) (string, error) {
	return "secret of " + ref, nil
}

// People implements [Gate].
func (g *testGate) People(string, ...string) ([]string, error) { return []string{"author"}, nil }
