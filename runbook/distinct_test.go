package runbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// deciders is a gate that knows some authors, and notes who may not approve.
type deciders struct {
	testGate
	people map[string]string
	not    [][]string
}

func (g *deciders) People(_ string, mails ...string) (list []string, err error) {
	for _, m := range mails {
		if g.people[m] == "" {
			return nil, errors.New("nobody knows " + m)
		}
		list = append(list, g.people[m])
	}
	return list, nil
}

func (g *deciders) Begin(ctx context.Context, _ *proxy.Identity, _ Resource, _ func(*proxy.Pending)) (Session, error) {
	return decidersSession{testSession{&g.testGate, ctx}, g}, nil
}

type decidersSession struct {
	testSession
	gate *deciders
}

func (s decidersSession) Ask(_ context.Context, _ string, hold *proxy.Hold) ([]Grant, error) {
	s.gate.not = append(s.gate.not, slices.Clone(hold.Not))
	return []Grant{{"r", fmt.Sprint("approver ", len(s.gate.not))}}, nil
}

// Neither the author nor the signer of a runbook approves its runs, and nobody does twice. Where it is not known who they are, nobody is
// asked and nothing runs.
func TestDistinctAuthor(t *testing.T) {
	b, err := Parse([]byte(twoSteps + "review: {need: 2, from: [leads], distinct: [author]}\n"))
	require.NoError(t, err)
	for name, x := range map[string]struct {
		origin Origin
		people map[string]string
		not    [][]string
		state  State
	}{
		"author and signer": {
			Origin{Source: "x", Author: "ada@x", Signer: "sam@x"},
			map[string]string{"ada@x": "ada", "sam@x": "sam"},
			[][]string{{"ada", "sam"}, {"ada", "sam", "approver 1"}},
			Done,
		},
		"author alone":      {Origin{Source: "x", Author: "ada@x"}, map[string]string{"ada@x": "ada"}, [][]string{{"ada"}, {"ada", "approver 1"}}, Done},
		"an unknown author": {Origin{Source: "x", Author: "eve@x"}, map[string]string{"ada@x": "ada"}, nil, Failed},
		"an unknown signer": {Origin{Source: "x", Author: "ada@x", Signer: "eve@x"}, map[string]string{"ada@x": "ada"}, nil, Failed},
		"no author":         {Origin{Source: "x"}, map[string]string{"ada@x": "ada"}, nil, Failed},
	} {
		p, err := b.Plan(x.origin, Choice{}, places3)
		require.NoError(t, err)
		g := &deciders{testGate: testGate{plan: p}, people: x.people}
		r := &Runner{Store: store.NewMemory(), Gate: g, Log: quiet}
		require.NoError(t, Open(t.Context(), r))
		run, err := r.Start(t.Context(), alice, p, Options{})
		require.NoError(t, err)
		require.Eventually(t, func() bool { run, err = r.Get(t.Context(), run.ID); return err == nil && run.State.Over() }, 30*time.Second, time.Millisecond)
		require.Equal(t, x.state, run.State, "%s: %s", name, run.Message)
		require.Equal(t, x.not, g.not, name)
		if x.state != Done {
			require.Empty(t, g.saw, name)
		}
		require.NoError(t, r.Close())
	}
}
