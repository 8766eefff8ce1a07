package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/proxy"
)

// reasons are what policy explain finds, apart from wording.
type reasons struct {
	outcome, by, rule, cause string
	rewritten                string   // what would run instead
	rules                    []string // the guardrails that answer, in their order; "?" where they cannot tell
	exit                     int
	effects                  proxy.Effects
}

// explainer explains texts by the corpus' rules. It is the one place that knows
// how policy explain comes to its verdict.
type explainer struct{ *judge }

func newExplainer(t *testing.T) explainer {
	t.Helper()
	cfg, err := gateway.Load(filepath.Join("testdata", "corpus", "sallyport.yaml"), config.Options{})
	require.NoError(t, err)
	j, err := newJudge(&cli{err: io.Discard}, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return explainer{j}
}

func (e explainer) explain(ctx context.Context, t *testing.T, user, resource, text string) reasons {
	t.Helper()
	target, err := e.Target(resource, "", "")
	require.NoError(t, err)
	id, err := e.User(user)
	require.NoError(t, err)
	v, err := e.ask(ctx, gateway.Question{Identity: id, Target: target, Text: text})
	require.NoError(t, err, text)
	out := reasons{outcome: string(v.Outcome()), by: v.By, rule: v.Rule, rewritten: v.Rewritten, exit: exit(v)}
	if v.Facts != nil {
		out.effects = v.Facts.Effects
	}
	if v.Refuses() {
		out.cause = v.Cause.String()
	}
	for _, n := range v.Notes {
		if n.Kind != proxy.NoteAnswered && n.Kind != proxy.NoteObserved {
			continue
		}
		name := n.Rule
		if strings.HasSuffix(n.Text, "cannot be understood") {
			name += "?"
		}
		out.rules = append(out.rules, name)
	}
	return out
}

// TestGoldenExplain pins what policy explain finds about the corpus, and its
// exit codes.
func TestGoldenExplain(t *testing.T) {
	e := newExplainer(t)
	decided := make(map[string]bool) // rules that refuse something
	outcomes := make(map[string]bool)
	var effects proxy.Effects
	for _, c := range []struct{ file, resource, golden string }{
		{"statements.txt", "shop", "explain-shop.txt"},
		{"statements.txt", "archive", "explain-archive.txt"},
		{"commands.txt", "vm1", "explain-vm1.txt"},
		{"cluster.txt", "cluster", "explain-cluster.txt"},
		{"cloud.txt", "cloud", "explain-cloud.txt"},
	} {
		g := newGolden(c.golden, "user", "outcome", "by", "rule", "cause", "exit", "guardrails that answer", "text", "runs instead")
		for i, text := range corpusLines(t, c.file) {
			for _, user := range []string{"reader", "admin"} {

				x := e.explain(t.Context(), t, user, c.resource, text)

				fields := []string{user, x.outcome, x.by, x.rule, x.cause, fmt.Sprint(x.exit), strings.Join(x.rules, " "), text}
				if x.rewritten != "" {
					fields = append(fields, x.rewritten)
				}
				g.add(fields...)
				decided[x.rule], outcomes[x.outcome] = true, true
				effects |= x.effects
				if i%4 != 0 && !(x.outcome != "allow" && x.outcome != "deny") {
					continue
				}
				// The command answers as its parts do.
				code, out, errs := sallyport(t, "", "policy", "explain", "-c", filepath.Join("testdata", "corpus", "sallyport.yaml"), "-u", user, "-r", c.resource, "--", text)
				require.Equal(t, x.exit, code, "%s: %s: %s%s", user, text, out, errs)
				require.Empty(t, errs, "its answer is data")
			}
		}
		g.check(t)
	}
	// The corpus has something of everything.
	for _, r := range guardrail.Defaults() {
		require.True(t, decided[r.Name], "no case is decided by rule %s", r.Name)
	}
	for _, o := range []string{"allow", "warn", "rewrite", "hold", "deny"} {
		require.True(t, outcomes[o], "no case ends in %s", o)
	}
	for _, name := range proxy.EffectNames() {
		effect, ok := proxy.ParseEffect(name)
		require.True(t, ok)
		require.True(t, effects.Has(effect), "no statement has the effect %s", name)
	}
}

// TestGoldenExplainUsage pins the exit codes of what cannot be reasons.
func TestGoldenExplainUsage(t *testing.T) {
	g := newGolden("explain-usage.txt", "exit", "arguments")
	for _, args := range [][]string{
		{"-u", "mallory", "--", "SELECT 1"},
		{"-r", "nowhere", "--", "SELECT 1"},
		{"-a", "nobody", "--", "SELECT 1"},
		{"--dialect", "oracle", "--", "SELECT 1"},
		{"--at", "noon", "--", "SELECT 1"},
		{"--rows", "-1", "--", "SELECT 1"},
		{"--cost", "much", "--", "SELECT 1"},
		{"-nonsense"},
		{},
		{"--", "SELECT 1"},
		{"--dialect", "mysql", "-u", "admin", "--", "SELECT 1 /*! ; DELETE FROM `t` */"},
		{"--dialect", "mysql", "-u", "admin", "--", "SELECT load_file('/etc/passwd')"},
		{"-d", "other", "-u", "admin", "--", "DELETE FROM items"},
		{"-c", "missing.yaml", "--", "SELECT 1"},
	} {
		words := append([]string{"policy", "explain", "-c", filepath.Join("testdata", "corpus", "sallyport.yaml")}, args...)
		code, _, _ := sallyport(t, "", words...)
		g.add(fmt.Sprint(code), strings.Join(args, " "))
	}
	g.check(t)
}
