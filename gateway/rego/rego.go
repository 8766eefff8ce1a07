// Package rego lets config files of the gateway have policies in Rego, the section "policy". Only
// who imports it builds OPA:
//
//	c := gateway.Defaults()
//	c.Rego = rego.Engine{}
package rego

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/policy/opa"
	"github.com/sallyport/sallyport/proxy"
)

// Engine makes policies with package opa. It is a [config.RegoEngine].
type Engine struct{}

// New reads and compiles a policy.
func (Engine) New(s config.RegoSource) (config.RegoPolicy, error) {
	c, err := configOf(s)
	if err != nil {
		return nil, err
	}
	p, err := opa.New(c)
	if err != nil {
		return nil, err
	}
	return rego{p}, nil
}

// Test runs the policy's own tests.
func (Engine) Test(ctx context.Context, s config.RegoSource) ([]config.RegoTest, error) {
	c, err := configOf(s)
	if err != nil {
		return nil, err
	}
	results, err := opa.Test(ctx, c)
	var list []config.RegoTest
	for _, r := range results {
		list = append(list, config.RegoTest{Name: r.Name, File: r.File, Line: r.Line, Passed: r.Passed, Skipped: r.Skipped, Err: r.Err})
	}
	return list, err
}

func configOf(s config.RegoSource) (opa.Config, error) {
	c := opa.Config{Dirs: s.Dirs, Decision: s.Decision, Decides: s.Decides, Volatile: s.Volatile, Carries: s.Carries, Budgets: s.Budgets, Request: s.Request, Grants: s.Grants, Log: s.Log}
	if s.Timeout != nil {
		c.Timeout = *s.Timeout
	}
	for _, b := range s.Bundles {
		content, err := read(b.File, maxBundle)
		if err != nil {
			return c, fmt.Errorf("reading a bundle: %w", err)
		}
		bundle := opa.Bundle{Name: b.File, Content: content, Unsigned: b.Unsigned, Keys: make(map[string]opa.Key)}
		for _, k := range b.Keys {
			pem, err := read(k.File, maxKey)
			if err != nil {
				return c, fmt.Errorf("reading a key of bundle %s: %w", b.File, err)
			}
			bundle.Keys[k.ID] = opa.Key{PEM: string(pem), Algorithm: k.Algorithm}
		}
		c.Bundles = append(c.Bundles, bundle)
	}
	return c, nil
}

// Bounds of files, in bytes.
const (
	maxBundle = 64 << 20
	maxKey    = 64 << 10
)

func read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than the %d bytes that it may have", name, limit)
	}
	return b, err
}

// rego is a policy as the gateway sees it.
type rego struct{ *opa.Policy }

// Trace evaluates the policy about op and says how.
func (r rego) Trace(ctx context.Context, s *proxy.Session, op proxy.Op) (string, error) {
	e := r.Explain(ctx, s, op)
	return e.Trace, e.Err
}
