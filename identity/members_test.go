package identity_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// TestMembers: what an administrator says about somebody is seen by who refreshes, and
// told to live sessions once.
func TestMembers(t *testing.T) {
	var told []identity.Change
	m := &identity.Members{Documents: &identity.Memory{}, Changed: func(c identity.Change) { told = append(told, c) }}
	alice := &proxy.Identity{Subject: "entra/7f3a", Name: "alice", Groups: []string{"entra:dba", "local:forged"}}
	ctx := t.Context()

	now, err := m.Refresh(ctx, alice)
	require.NoError(t, err)
	require.Equal(t, []string{"entra:dba"}, now.Groups, "only Members gives groups of its prefix")
	require.Equal(t, []string{"entra:dba", "local:forged"}, alice.Groups, "an identity is read-only")

	require.NoError(t, m.Saw(ctx, alice))
	_, err = m.Assign(ctx, alice.Subject, []string{"local:dba", "local:ops", "local:dba"})
	require.NoError(t, err)
	_, err = m.Assign(ctx, alice.Subject, []string{"local:ops", "local:dba"})
	require.NoError(t, err)
	require.Equal(t, []identity.Change{{Subject: alice.Subject}}, told, "what changes nothing is not told")
	now, err = m.Refresh(ctx, alice)
	require.NoError(t, err)
	require.Equal(t, []string{"entra:dba", "local:dba", "local:ops"}, now.Groups)
	again, err := m.Refresh(ctx, now)
	require.NoError(t, err)
	require.Same(t, now, again)

	list, err := m.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, []string{"entra:dba"}, list[0].Given)
	require.False(t, list[0].Seen.IsZero())

	_, err = m.Disable(ctx, alice.Subject)
	require.NoError(t, err)
	require.True(t, told[1].Ended)
	_, err = m.Refresh(ctx, alice)
	require.ErrorIs(t, err, identity.ErrDisabled)
	_, err = m.Refresh(ctx, &proxy.Identity{Subject: "bot", Kind: proxy.Agent, OnBehalfOf: alice.Subject})
	require.ErrorIs(t, err, identity.ErrDisabled, "her agents are she")
	_, err = m.Refresh(ctx, &proxy.Identity{Subject: "entra/other"})
	require.NoError(t, err)
	require.NoError(t, m.Saw(ctx, alice), "who is seen stays disabled")
	_, err = m.Enable(ctx, alice.Subject)
	require.NoError(t, err)
	now, err = m.Refresh(ctx, alice)
	require.NoError(t, err)
	require.Equal(t, []string{"entra:dba", "local:dba", "local:ops"}, now.Groups, "groups outlast that")
}

func TestMembersRefuse(t *testing.T) {
	m := &identity.Members{Documents: &identity.Memory{}}
	for _, group := range []string{"admin", "entra:dba", "local:", "local:a:b", "local:a b", "local:a+b", "local:\x00", "local:" + strings.Repeat("x", 200)} {
		_, err := m.Assign(t.Context(), "alice", []string{group})
		require.Error(t, err, group)
	}
	_, err := m.Assign(t.Context(), "alice", make([]string, 0))
	require.NoError(t, err)
	_, err = m.Disable(t.Context(), "")
	require.Error(t, err)
}

// TestMembersDelegated: an agent that a human has made has her assigned groups, and ends with her.
func TestMembersDelegated(t *testing.T) {
	m := &identity.Members{Documents: &identity.Memory{}}
	_, err := m.Assign(t.Context(), "alice", []string{"local:dba"})
	require.NoError(t, err)
	agent := &proxy.Identity{Subject: "alice~coder", Kind: proxy.Agent, OnBehalfOf: "alice", Delegated: true, Groups: []string{"dev"}}
	now, err := m.Refresh(t.Context(), agent)
	require.NoError(t, err)
	require.Equal(t, []string{"dev", "local:dba"}, now.Groups)
	own := *agent
	own.Delegated = false
	now, err = m.Refresh(t.Context(), &own)
	require.NoError(t, err)
	require.Equal(t, []string{"dev"}, now.Groups, "an agent with groups of its own has no others")
	_, err = m.Disable(t.Context(), "alice")
	require.NoError(t, err)
	_, err = m.Refresh(t.Context(), agent)
	require.ErrorIs(t, err, identity.ErrDisabled)
}

// TestMembersRace: of what several administrators do at once, nothing is lost.
func TestMembersRace(t *testing.T) {
	m := &identity.Members{Documents: &identity.Memory{}}
	var all sync.WaitGroup
	for _, do := range []func(context.Context, string) (identity.Member, error){m.Disable, func(ctx context.Context, s string) (identity.Member, error) {
		return m.Assign(ctx, s, []string{"local:a"})
	}} {
		all.Go(func() {
			_, err := do(t.Context(), "alice")
			require.NoError(t, err)
		})
	}
	all.Wait()
	k, err := m.Get(t.Context(), "alice")
	require.NoError(t, err)
	require.True(t, k.Disabled)
	require.Equal(t, []string{"local:a"}, k.Groups)
}
