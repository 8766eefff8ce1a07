package review

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

func (d *desk) edits(t *testing.T, r *Request, terms Terms, c Change) (*Request, error) {
	t.Helper()
	return d.Edit(t.Context(), r.ID, d.people.ids["alice"], terms, c)
}

// TestEdit: what is narrowed keeps its approvals, and anything else is approved anew; what was seen before is not approved unseen.
func TestEdit(t *testing.T) {
	later := time.Now().Add(time.Hour)
	strict, others, none := two(terms), two(terms), time.Time{}
	strict.Proof.Within = 600
	others.Stages = slices.Clone(others.Stages)
	others.Stages[1].Approvers = []string{"ops"}
	for name, c := range map[string]struct {
		terms  Terms
		change Change
		keeps  bool
	}{
		"shorter":               {two(terms), Change{For: time.Hour}, true},
		"fewer actions":         {two(terms), Change{Actions: []string{"exec"}}, true},
		"both":                  {two(terms), Change{Actions: []string{"exec"}, For: time.Minute}, true},
		"longer":                {two(terms), Change{For: 3 * time.Hour}, false},
		"shorter, other reason": {two(terms), Change{For: time.Hour, Reason: "INC-2"}, false},
		"another reason":        {two(terms), Change{Reason: "INC-2"}, false},
		"later":                 {two(terms), Change{From: &later}, false},
		"at once, and shorter":  {two(terms), Change{From: &none, For: time.Hour}, true},
		"a rule that changed":   {others, Change{For: time.Hour}, false},
		"a rule that is strict": {strict, Change{For: time.Hour}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDesk(t, store.NewMemory(), everybody())
			r := d.asks(t, two(terms), func(a *Ask) { a.For = 2 * time.Hour })
			for _, by := range []string{"olga", "otto"} {
				_, err := d.Approve(t.Context(), r.ID, d.vote(r, by), Narrow{})
				require.NoError(t, err)
			}
			got, err := d.edits(t, r, c.terms, c.change)
			require.NoError(t, err)
			require.Equal(t, Pending, got.State)
			require.Equal(t, 1, got.Access.Revision)
			require.NotEqual(t, r.Hash, got.Hash)
			require.Equal(t, c.keeps, len(got.Access.Votes) == 2)
			require.Equal(t, c.keeps, got.Access.stage() == 1)
			_, err = d.Approve(t.Context(), r.ID, d.vote(r, "sven"), Narrow{})
			require.Error(t, err, "she has seen another")
			if c.keeps {
				got, err = d.Approve(t.Context(), r.ID, d.vote(got, "sven"), Narrow{})
				require.NoError(t, err)
				require.Equal(t, Approved, got.State)
				require.Equal(t, got.Access.Actions, got.Access.Grant.Actions)
			}
			require.Equal(t, "edited ", d.notes[3])
		})
	}
}

// TestEditIsRefused: who changes what, and how often.
func TestEditIsRefused(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, terms, nil)
	other := terms
	other.Rule = "other"
	for says, err := range map[string]error{
		"there is no such request": second(d.Edit(t.Context(), r.ID, d.people.ids["eve"], terms, Change{For: time.Minute})),
		"at most 8h":               second(d.edits(t, r, terms, Change{For: 9 * time.Hour})),
		`does not allow "write"`:   second(d.edits(t, r, terms, Change{Actions: []string{"write"}})),
		"ask by rule other":        second(d.edits(t, r, other, Change{For: time.Minute})),
		"it asks for that already": second(d.edits(t, r, terms, Change{For: time.Hour, Reason: " INC-4711 "})),
		"want at least a minute":   second(d.edits(t, r, terms, Change{For: time.Second})),
	} {
		require.ErrorContains(t, err, says)
	}
	agent := &proxy.Identity{Subject: "alice", OnBehalfOf: "eve"}
	_, err := d.Edit(t.Context(), r.ID, agent, terms, Change{For: time.Minute})
	require.ErrorIs(t, err, ErrUnknown)
	for i := range MaxRevisions {
		_, err := d.edits(t, r, terms, Change{For: time.Duration(i+2) * time.Minute})
		require.NoError(t, err)
	}
	_, err = d.edits(t, r, terms, Change{For: time.Minute})
	require.ErrorContains(t, err, "it was changed 20 times")
	now, err := d.Get(t.Context(), r.ID)
	require.NoError(t, err)
	_, err = d.Approve(t.Context(), r.ID, d.vote(now, "olga"), Narrow{})
	require.NoError(t, err)
	_, err = d.edits(t, r, terms, Change{For: time.Minute})
	var decided *DecidedError
	require.ErrorAs(t, err, &decided, "what is granted is not changed")

	fails := d.asks(t, terms, nil)
	d.fails = errFull
	_, err = d.edits(t, fails, terms, Change{For: time.Minute})
	require.ErrorIs(t, err, errFull)
}

func second[T any](_ T, err error) error { return err }

// TestEditToAuto: a request that is changed to what the rule grants by itself is granted; the approvals that it had count no more.
func TestEditToAuto(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	automatic := two(terms)
	automatic.Auto = &Auto{Max: 10 * time.Minute}
	r := d.asks(t, automatic, nil)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.NoError(t, err)
	got, err := d.edits(t, r, automatic, Change{For: 10 * time.Minute})
	require.NoError(t, err)
	require.Equal(t, Approved, got.State)
	require.Equal(t, "rule prod", got.DecidedBy)
	require.Equal(t, r.ID, d.granted("prod"))
	require.Empty(t, got.Access.Votes)
}

// TestEditRenews: a change that asks anew has the whole time to be decided about, and escalates anew; one that narrows has not.
func TestEditRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		waits := terms
		waits.Escalate = []Escalation{{After: 50, Approvers: []string{"security"}}}
		r := d.asks(t, waits, nil)
		time.Sleep(5 * time.Hour)
		d.touches(t)
		d.settle(t.Context())
		narrow, err := d.edits(t, r, waits, Change{For: 30 * time.Minute})
		require.NoError(t, err)
		require.Equal(t, r.Deadline, narrow.Deadline)
		require.Equal(t, 1, narrow.Access.Escalated)
		wide, err := d.edits(t, r, waits, Change{For: time.Hour})
		require.NoError(t, err)
		require.Equal(t, time.Now().Add(8*time.Hour).UTC(), wide.Deadline)
		require.Zero(t, wide.Access.Escalated)
		require.Equal(t, r.Created, wide.Created)
	})
}

// TestPropose: an approver proposes other terms, which count once the requester has accepted them and somebody has approved them.
func TestPropose(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, two(terms), nil)
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "otto"), Narrow{})
	require.NoError(t, err)
	change := Change{For: 4 * time.Hour, Actions: []string{"exec"}}
	propose := func(by string, terms Terms, c Change) (*Request, error) {
		return d.Propose(t.Context(), r.ID, d.vote(r, by), terms, c)
	}
	accept := func(by, hash string) (*Request, error) {
		return d.Accept(t.Context(), r.ID, d.people.ids[by], two(terms), hash, "")
	}
	other := two(terms)
	other.Rule = "other"
	for says, err := range map[string]error{
		"your own request":         second(propose("alice", two(terms), change)),
		"not one of its approvers": second(propose("eve", two(terms), change)),
		"at most 8h":               second(propose("olga", two(terms), Change{For: 9 * time.Hour})),
		`does not allow "write"`:   second(propose("olga", two(terms), Change{Actions: []string{"write"}})),
		"approve it":               second(propose("olga", two(terms), Change{For: time.Hour})),
		"rule prod is not there":   second(propose("olga", other, change)),
		"nothing is proposed":      second(accept("alice", "")),
	} {
		require.ErrorContains(t, err, says)
	}
	silent := d.vote(r, "olga")
	silent.Reason = " "
	_, err = d.Propose(t.Context(), r.ID, silent, two(terms), change)
	require.ErrorContains(t, err, "a proposal needs a reason")

	first, err := propose("olga", two(terms), change)
	require.NoError(t, err)
	require.Equal(t, r.Hash, first.Hash, "it is what it was")
	require.Len(t, first.Access.Votes, 1)
	require.Contains(t, first.Lines(), "proposed    connect, exec for 4h0m0s by olga: because\n")
	now, err := propose("otto", two(terms), Change{For: 2 * time.Hour})
	require.NoError(t, err)
	p := now.Access.Proposal
	_, err = accept("alice", first.Access.Proposal.Hash)
	require.ErrorIs(t, err, ErrChanged, "another is proposed by now")
	_, err = accept("olga", p.Hash)
	require.ErrorIs(t, err, ErrUnknown)
	got, err := accept("alice", p.Hash)
	require.NoError(t, err)
	require.Equal(t, Pending, got.State)
	require.Equal(t, 2*time.Hour, got.Access.For())
	require.Nil(t, got.Access.Proposal)
	require.Empty(t, got.Access.Votes, "who has proposed it has not approved it, and who has approved less, neither")
	_, err = accept("alice", p.Hash)
	require.ErrorContains(t, err, "nothing is proposed")
	require.Equal(t, []string{"pending ", "voted otto", "proposed olga", "proposed otto", "edited "}, d.notes)

	// What only narrows keeps what there is.
	_, err = d.Approve(t.Context(), r.ID, d.vote(got, "olga"), Narrow{})
	require.NoError(t, err)
	r = got
	now, err = propose("otto", two(terms), Change{For: time.Hour})
	require.NoError(t, err)
	got, err = accept("alice", now.Access.Proposal.Hash)
	require.NoError(t, err)
	require.Len(t, got.Access.Votes, 1)

	// A change of the requester's own withdraws what was proposed for another.
	r = got
	now, err = propose("otto", two(terms), Change{For: 3 * time.Hour})
	require.NoError(t, err)
	_, err = d.edits(t, r, two(terms), Change{For: 30 * time.Minute})
	require.NoError(t, err)
	_, err = accept("alice", now.Access.Proposal.Hash)
	require.ErrorContains(t, err, "nothing is proposed")
}

// TestAskAgainForAnotherReason: the reason of who asks again for what waits is the one that approvers read, and is on record; approvals
// for the reason of before are neither used for it nor taken away by the way.
func TestAskAgainForAnotherReason(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	r := d.asks(t, two(terms), nil)
	require.Equal(t, r.Hash, d.asks(t, two(terms), nil).Hash, "the same for the same reason")
	again := d.asks(t, two(terms), func(a *Ask) { a.Reason = "INC-4712" })
	require.Equal(t, r.ID, again.ID)
	require.Equal(t, "INC-4712", again.Access.Reason)
	require.Equal(t, 1, again.Access.Revision)
	require.Equal(t, []string{"pending ", "edited "}, d.notes)
	require.Contains(t, again.Lines(), "why         INC-4712\n")
	_, err := d.Approve(t.Context(), r.ID, d.vote(r, "olga"), Narrow{})
	require.ErrorIs(t, err, ErrChanged, "an approver who has read the reason of before reads it again")

	_, err = d.Approve(t.Context(), r.ID, d.vote(again, "olga"), Narrow{})
	require.NoError(t, err)
	_, err = d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm1", Terms: two(terms), Reason: "INC-4713"})
	require.ErrorIs(t, err, ErrAsk)
	require.ErrorContains(t, err, "request "+r.ID+" asks for the same, and was approved by some for another reason")
	got, err := d.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, "INC-4712", got.Access.Reason)
	require.Len(t, got.Access.Votes, 1)
	_, err = d.Edit(t.Context(), r.ID, d.people.ids["alice"], two(terms), Change{Reason: "INC-4713"})
	require.NoError(t, err, "she has everybody approve it anew on purpose")
	d.asks(t, two(terms), func(a *Ask) { a.Reason, a.connects = "connecting by ssh", true })
	got, err = d.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, "INC-4713", got.Access.Reason, "who connects says no reason")
}
