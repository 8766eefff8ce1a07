package opa

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestResult is how one test of a policy went: a rule whose name begins with "test_", in a
// file whose name ends in _test.rego.
type TestResult struct {
	Name     string // with its package
	File     string
	Line     int
	Passed   bool
	Skipped  bool  // its name begins with "todo_"
	Err      error // why it could not be evaluated; nil when it failed plainly
	Duration time.Duration
}

// Test runs the tests of a policy, with what the policy itself may use. Its error says that
// they could not be run.
func Test(ctx context.Context, c Config) ([]TestResult, error) {
	s, err := read(&c)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	modules := maps.Clone(s.modules)
	maps.Copy(modules, s.tests)
	decision := or(c.Decision, defaultDecision)
	if _, err := compile(s, s.modules, decision); err != nil {
		return nil, fmt.Errorf("compiling the policy: %w", err)
	}
	store := inmem.NewFromObject(s.data)
	txn, err := store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return nil, fmt.Errorf("running the policy's tests: %w", err)
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().SetCompiler(newCompiler(s)).SetStore(store).SetModules(modules).SetTimeout(10 * time.Second).RaiseBuiltinErrors(true)
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("running the policy's tests: %w", err)
	}
	var list []TestResult
	for r := range results {
		t := TestResult{Name: r.Package + "." + r.Name, Passed: r.Pass(), Skipped: r.Skip, Err: r.Error, Duration: r.Duration}
		if r.Location != nil {
			t.File, t.Line = r.Location.File, r.Location.Row
		}
		list = append(list, t)
	}
	return list, ctx.Err()
}
