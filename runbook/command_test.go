package runbook

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

const telling = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: telling}
targets: {vm: {types: [ssh]}}
params: {token: {type: secret, generate: 40}}
outputs: {steps: [a]}
steps:
  - {id: a, exec: {argv: [tell], stdin: $token}}
`

// speaker is a gate whose command prints what a test has it print.
type speaker struct {
	testGate
	token chan string
	say   chan string // closed: it ends
}

func (g *speaker) Command(_ context.Context, _ *proxy.Identity, _ Resource, c Command) (r CommandResult, err error) {
	g.token <- string(c.Input)
	for text := range g.say {
		c.Seen([]byte(text))
		r.Output = append(r.Output, text...)
	}
	return r, nil
}

// What a command prints is seen while it runs. No part of a secret is, wherever what is kept begins, and however much of it has come.
func TestOutputIsFollowed(t *testing.T) {
	p := planOf(t, telling)
	g := &speaker{testGate: testGate{plan: p}, token: make(chan string, 1), say: make(chan string)}
	r := &Runner{Store: store.NewMemory(), Gate: g, Log: quiet}
	require.NoError(t, Open(t.Context(), r))
	run, err := r.Start(t.Context(), alice, p, Options{})
	require.NoError(t, err)
	token := <-g.token
	shows := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			run, err = r.Get(t.Context(), run.ID)
			return err == nil && run.Steps[0].Output == want
		}, 30*time.Second, time.Millisecond, "got %q, want %q", run.Steps[0].Output, want)
	}
	g.say <- "begun\n"
	shows("begun\n")
	require.Equal(t, Running, run.Steps[0].State)
	g.say <- "it is " + token[:30]
	shows("begun\nit is ")
	g.say <- token[30:] + "\n"
	shows("begun\nit is <secret>\n")
	rest := strings.Repeat("x", maxShown-20) // what is kept would begin within the secret
	g.say <- rest
	all := "begun\nit is <secret>\n" + rest
	shows(all[len(all)-maxShown:])
	g.say <- "\x00\xff"
	close(g.say)
	require.Eventually(t, func() bool { run, err = r.Get(t.Context(), run.ID); return err == nil && run.State.Over() }, 30*time.Second, time.Millisecond)
	require.Equal(t, Done, run.State, run.Message)
	for n := 4; n < len(token); n++ {
		require.NotContains(t, run.Steps[0].Output, token[len(token)-n:])
	}
	require.NoError(t, r.Close())
}

// telltale is a gate whose command fails after it has told its input.
type telltale struct {
	testGate
	tell  func(token string) (CommandResult, error)
	token string
}

func (g *telltale) Command(_ context.Context, _ *proxy.Identity, _ Resource, c Command) (CommandResult, error) {
	g.token = string(c.Input)
	return g.tell(g.token)
}

// What is kept of a command that has failed holds no part of a secret, wherever what it says is cut.
func TestFailureHoldsNoSecret(t *testing.T) {
	for want, tell := range map[string]func(token string) (CommandResult, error){
		"got the exit status 1": func(token string) (CommandResult, error) {
			return CommandResult{Status: 1, Stderr: []byte(strings.Repeat("x", 280) + token)}, nil
		},
		"it was left": func(token string) (CommandResult, error) {
			return CommandResult{Output: []byte("it is " + token[:30]), Stderr: []byte("it is " + token[:20])}, errors.New("it was left")
		},
	} {
		p := planOf(t, telling)
		g := &telltale{testGate: testGate{plan: p}, tell: tell}
		run := running(t, p, g, Options{})
		require.True(t, run.State.Over() && run.State != Done)
		require.Contains(t, run.Message, want)
		require.NotContains(t, run.Message+run.Steps[0].Message+run.Steps[0].Output, g.token[:4], want)
	}
}
