package review

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// TestAgentsOfOnePerson: who has several agents ask makes no more requests than by herself, and others ask as before.
func TestAgentsOfOnePerson(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	ask := func(agent int, human string, minutes int) error {
		who := &proxy.Identity{Subject: fmt.Sprintf("bot%d", agent), Kind: proxy.Agent, Groups: []string{"dev"}, OnBehalfOf: human}
		_, err := d.Ask(t.Context(), who, Ask{Resource: "vm1", Terms: terms, For: time.Duration(minutes) * time.Minute, Reason: "INC-1"})
		return err
	}
	for i := range MaxPerRequester {
		require.NoError(t, ask(i, "alice", i+1))
	}
	require.ErrorContains(t, ask(MaxPerRequester, "alice", 1), "which is the limit")
	_, err := d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm1", Terms: terms, Reason: "INC-1"})
	require.ErrorContains(t, err, "which is the limit", "nor by herself")
	require.NoError(t, ask(0, "eve", 1))
	_, err = d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: terms, Reason: "INC-1"})
	require.NoError(t, err)
}

// TestHeldOfAgents: so it is with operations.
func TestHeldOfAgents(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	for i := range MaxPerRequester {
		require.NoError(t, d.holdBounds(&Request{Requester: "bot", For: "alice"}))
		d.see(&Request{ID: fmt.Sprint(i), State: Pending, Requester: fmt.Sprintf("bot%d", i), For: "alice", Deadline: d.now().Add(time.Hour)}, int64(i+1))
	}
	for _, r := range []*Request{{Requester: "bot", For: "alice"}, {Requester: "alice"}} {
		require.ErrorContains(t, d.holdBounds(r), "which is the limit")
	}
	require.NoError(t, d.holdBounds(&Request{Requester: "bot0", For: "eve"}))
}

// TestProposeAgainAndAgain: an approver who proposes again and again does not flood those who are told, also when the request is changed
// meanwhile; others propose as before.
func TestProposeAgainAndAgain(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, terms, nil)
	propose := func(by string, minutes int) error {
		_, err := d.Propose(t.Context(), r.ID, d.vote(r, by), terms, Change{For: time.Duration(minutes) * time.Minute})
		return err
	}
	for i := range MaxProposals {
		require.NoError(t, propose("olga", i+1))
	}
	require.ErrorContains(t, propose("olga", 40), "you have proposed something else 20 times, which is the limit")
	var err error
	r, err = d.Edit(t.Context(), r.ID, d.people.ids["alice"], terms, Change{Reason: "INC-2"})
	require.NoError(t, err)
	require.ErrorContains(t, propose("olga", 40), "which is the limit")
	require.NoError(t, propose("otto", 40))
	_, err = d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
}

// TestWaitingIsCounted: numbers that are asked for every few seconds copy no request, however many are known.
func TestWaitingIsCounted(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	n, oldest := d.Waiting()
	require.Zero(t, n)
	require.True(t, oldest.IsZero())
	first := d.now()
	for i := range 100 {
		r := &Request{ID: fmt.Sprint(i), State: Pending, Requester: "alice", Arguments: []string{"x"}, Created: first.Add(time.Duration((i+50)%100) * time.Second), Deadline: first.Add(time.Hour)}
		if i >= 90 {
			r.State = Approved
		}
		d.see(r, int64(i+1))
	}
	n, oldest = d.Waiting()
	require.Equal(t, 90, n)
	require.Equal(t, first, oldest)
	require.Zero(t, testing.AllocsPerRun(10, func() { d.Waiting() }))
}
