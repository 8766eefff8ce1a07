package review

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

func emergency() Terms {
	t := terms
	t.BreakGlass, t.Reason = 2*time.Hour, "INC-[0-9]+"
	return t
}

func (d *desk) breaks(change func(*Ask)) (*Request, error) {
	a := Ask{Resource: "vm1", Terms: emergency(), Reason: "the tickets are down", Remote: "10.0.0.1"}
	if change != nil {
		change(&a)
	}
	return d.Break(context.Background(), d.people.ids["alice"], a, "oidc (pwd mfa)")
}

// broken is the request by which alice has the rule without an approval.
func (d *desk) broken(rule string) string {
	id, _, _, ok := d.Glass(d.people.ids["alice"], vm, rule)
	if !ok {
		return ""
	}
	return id
}

func (d *desk) follows(t *testing.T, id string) {
	t.Helper()
	d.touches(t)
	require.NoError(t, d.Follow(t.Context(), id))
}

// TestBreakGlass: access without an approval begins at once, is told, ends on time, and blocks the next one until somebody else has said
// what she thinks of it.
func TestBreakGlass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
		told := make(map[string]State)
		one.Told = func(n *Notice) ([]store.Write, error) {
			told[n.Event] = n.Request.State
			return nil, nil
		}
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); synctest.Wait() }()
		r, err := one.breaks(nil)
		require.NoError(t, err)
		require.Equal(t, Approved, r.State)
		require.Equal(t, time.Hour, r.Access.Grant.Until.Sub(r.Access.Grant.From), "as long as the rule says")
		require.Equal(t, map[string]State{BreakGlass: Approved}, told)
		require.Equal(t, r.ID, one.broken("prod"))
		require.Empty(t, one.granted("prod"), "it is no approval")
		require.Empty(t, one.broken("other"))
		two.follows(t, r.ID)
		require.Equal(t, r.ID, two.broken("prod"))
		require.Equal(t, []string{"break_glass "}, one.notes)

		var unreviewed *UnreviewedError
		for _, d := range []*desk{one, two} {
			_, err = d.breaks(nil)
			require.ErrorAs(t, err, &unreviewed)
			require.Equal(t, r.ID, unreviewed.Request)
			_, err = d.Review(t.Context(), r.ID, d.vote(r, "olga"), false, false)
			require.ErrorIs(t, err, ErrNotDue)
		}
		_, err = one.Approve(t.Context(), r.ID, one.vote(r, "olga"), Narrow{})
		require.Error(t, err, "it takes no approval any more")
		go one.Run(ctx)
		time.Sleep(time.Hour + 5*time.Second)
		synctest.Wait()
		require.Empty(t, one.broken("prod"))
		require.Equal(t, map[string]State{BreakGlass: Approved, "ended": Ended, "review_due": ReviewDue}, told)
		_, err = two.breaks(nil)
		require.ErrorAs(t, err, &unreviewed)

		r, err = one.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, [][]string{{"ops"}}, r.Approvers)
		lines := r.Lines()
		require.Contains(t, lines, "break-glass without an approval, proven by oidc (pwd mfa)\n")
		require.Contains(t, lines, "reviewed by ops\n")
		require.Contains(t, lines, "why         the tickets are down\n")
		require.NotContains(t, lines, "stage 1")
		two.follows(t, r.ID)
		for _, bad := range []struct {
			by   string
			vote func(*Vote)
			want error
		}{
			{"alice", nil, ErrOwn},
			{"eve", nil, ErrIneligible},
			{"sven", nil, ErrIneligible},
			{"olga", func(v *Vote) { v.Hash = "another" }, ErrChanged},
			{"olga", func(v *Vote) { v.Reason = " " }, ErrReview},
			{"olga", func(v *Vote) { v.Reason = strings.Repeat("x", 1001) }, ErrReview},
			{"olga", func(v *Vote) { by := *v.By; by.Kind = proxy.Agent; v.By = &by }, ErrIneligible},
		} {
			v := two.vote(r, bad.by)
			if bad.vote != nil {
				bad.vote(&v)
			}
			_, err := two.Review(t.Context(), r.ID, v, false, bad.by == "alice")
			require.ErrorIs(t, err, bad.want, bad.by)
		}
		stop()
		synctest.Wait()
		time.Sleep(2 * KeepRequests)
		_, err = s.Sweep(t.Context())
		require.NoError(t, err)
		r, err = two.Review(t.Context(), r.ID, two.vote(r, "olga"), true, false)
		require.NoError(t, err, "it is kept until it is reviewed")
		require.Equal(t, Violation, r.State)
		require.Equal(t, "olga", r.DecidedBy)
		require.Equal(t, Ended, r.Access.Glass.Ended.State)
		require.Contains(t, r.Lines(), "violation by olga because\n")
		_, err = one.Review(t.Context(), r.ID, one.vote(r, "otto"), false, false)
		var decided *DecidedError
		require.ErrorAs(t, err, &decided)
		require.Equal(t, Violation, decided.State)

		again, err := one.breaks(func(a *Ask) { a.For, a.Actions = 2*time.Hour, []string{"exec"} })
		require.NoError(t, err)
		require.Equal(t, []string{"connect", "exec"}, again.Access.Grant.Actions)
		require.NotEqual(t, r.Hash, again.Hash)
	})
}

// TestBreakGlassIsTakenBack: it ends when an approver takes it back, or she gives it back, and is reviewed all the same; sessions are told
// why also where only the last of it is heard.
func TestBreakGlassIsTakenBack(t *testing.T) {
	for name, end := range map[string]func(d *desk, r *Request) error{
		"revoked by otto because": func(d *desk, r *Request) error {
			_, err := d.Revoke(context.Background(), r.ID, d.vote(r, "otto"), false)
			return err
		},
		"over": func(d *desk, r *Request) error {
			_, err := d.Cancel(context.Background(), r.ID, d.people.ids["alice"])
			return err
		},
	} {
		s := store.NewMemory()
		one, two := openDesk(t, s, everybody()), openDesk(t, s, everybody())
		r, err := one.breaks(nil)
		require.NoError(t, err)
		two.follows(t, r.ID)
		var said []string
		defer two.Watch("alice", func(_, why string) { said = append(said, why) })()
		require.NoError(t, end(one, r))
		require.Error(t, end(one, r), "once")
		require.Empty(t, one.broken("prod"))
		_, err = one.breaks(nil)
		var unreviewed *UnreviewedError
		require.ErrorAs(t, err, &unreviewed, "also before it is said that it is due")
		one.settle(t.Context())
		require.Error(t, end(one, r), "nor when its review is due")
		two.follows(t, r.ID)
		require.Len(t, said, 1)
		require.Contains(t, strings.ReplaceAll(said[0], ":", ""), name)
		got, err := one.Get(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, ReviewDue, got.State)
		require.Empty(t, got.DecidedBy, "nobody has reviewed it")
		got, err = one.Review(t.Context(), r.ID, one.vote(got, "olga"), false, false)
		require.NoError(t, err)
		require.Equal(t, Fine, got.State)
		require.Equal(t, "reviewed olga", one.notes[len(one.notes)-1])
		_, err = two.breaks(nil)
		require.NoError(t, err)
	}
}

func TestBreakGlassIsRefused(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	for says, change := range map[string]func(*Ask){
		"a reason is needed":        func(a *Ask) { a.Reason = " " },
		"does not let you have it":  func(a *Ask) { a.Terms.BreakGlass = 0 },
		"at most 2h":                func(a *Ask) { a.For = 3 * time.Hour },
		"at least a minute":         func(a *Ask) { a.For = time.Second },
		"begins at once":            func(a *Ask) { a.From = time.Now().Add(time.Hour) },
		`does not allow "write"`:    func(a *Ask) { a.Actions = []string{"write"} },
		"rule prod has no approver": func(a *Ask) { a.Terms.Stages = nil },
	} {
		_, err := d.breaks(change)
		require.ErrorContains(t, err, says)
		require.ErrorIs(t, err, ErrAsk)
	}
	for _, who := range []*proxy.Identity{nil, {Subject: "bot", Kind: proxy.Agent}, {Subject: "ci", Kind: proxy.Service}, {Subject: "alice", OnBehalfOf: "ada"}} {
		_, err := d.Break(t.Context(), who, Ask{Resource: "vm1", Terms: emergency(), Reason: "x"}, "")
		require.ErrorIs(t, err, ErrAsk)
	}
	full := errors.New("the record is full")
	d.fails = full
	_, err := d.breaks(nil)
	require.ErrorIs(t, err, full)
	require.Empty(t, d.broken("prod"))
	d.fails = nil
	r, err := d.breaks(nil)
	require.NoError(t, err, "it has not counted")
	_, err = d.Cancel(t.Context(), r.ID, d.people.ids["alice"])
	require.NoError(t, err)
	d.settle(t.Context())
	d.fails = full
	_, err = d.Review(t.Context(), r.ID, d.vote(r, "olga"), false, false)
	require.ErrorIs(t, err, full, "a review gives something back")
	d.fails = nil
	_, err = d.breaks(nil)
	require.Error(t, err)
}

// TestBreakGlassOnce: of what she does at the same moment at two gateways one counts, and reviews of two people are one.
func TestBreakGlassOnce(t *testing.T) {
	for _, k := range teststore.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			s := k.Open(t)
			gateways := []*desk{openDesk(t, s, everybody()), openDesk(t, s, everybody())}
			for range 5 {
				results := make([]*Request, 6)
				var wg sync.WaitGroup
				for i := range results {
					wg.Go(func() {
						r, err := gateways[i%2].breaks(nil)
						var unreviewed *UnreviewedError
						if err != nil && !errors.As(err, &unreviewed) {
							t.Error(err)
						}
						results[i] = r
					})
				}
				wg.Wait()
				made := slices.DeleteFunc(results, func(r *Request) bool { return r == nil })
				require.Len(t, made, 1)
				id := made[0].ID
				_, err := gateways[0].Cancel(t.Context(), id, gateways[0].people.ids["alice"])
				require.NoError(t, err)
				gateways[0].settle(t.Context())
				gateways[1].follows(t, id)
				done := make([]bool, 4)
				for i := range done {
					wg.Go(func() {
						d := gateways[i%2]
						_, err := d.Review(context.Background(), id, d.vote(made[0], []string{"olga", "otto"}[i/2]), i%2 == 0, false)
						done[i] = err == nil
					})
				}
				wg.Wait()
				require.Len(t, slices.DeleteFunc(done, func(ok bool) bool { return !ok }), 1)
			}
		})
	}
}

// TestBreakGlassIsLoud: channels are told that want to be told of nothing else.
func TestBreakGlassIsLoud(t *testing.T) {
	o := &Outbox{Store: store.NewMemory()}
	require.NoError(t, o.Use([]Channel{{Name: "a", Wants: func(*Notice) bool { return false }}, {Name: "b"}}))
	for event, want := range map[string]int{BreakGlass: 2, string(ReviewDue): 1, Asked: 1} {
		ws, err := o.Writes(&Notice{ID: "n", Event: event, Request: Request{ID: "r"}})
		require.NoError(t, err)
		require.Len(t, ws, want, event)
	}
}

// TestBreakGlassHeadlines: what is told says that nobody has approved it.
func TestBreakGlassHeadlines(t *testing.T) {
	for event, want := range map[string]string{
		"break_glass": "BREAK-GLASS: alice has taken access to vm1 without an approval",
		"ended":       "the request of alice for access to vm1 was taken without an approval, and has ended",
		"revoked":     "the request of alice for access to vm1 was taken without an approval, and is revoked",
		"review_due":  "what alice has done at vm1 without an approval has to be reviewed",
		"reviewed":    "olga has reviewed what alice has done at vm1 without an approval: it was in order",
		"violation":   "olga has reviewed what alice has done at vm1 without an approval: it was a VIOLATION",
	} {
		n := Notice{Event: event, Request: Request{ID: "r", Requester: "alice", Resource: "vm1", DecidedBy: "olga", Access: &Access{Glass: &Glass{}}}}
		require.Equal(t, want, n.Headline())
	}
}

// TestReviewIsDueDaily: people are told again until somebody has reviewed it.
func TestReviewIsDueDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, store.NewMemory(), everybody())
		var told atomic.Int32
		d.Told = func(n *Notice) ([]store.Write, error) {
			if n.Event == string(ReviewDue) {
				told.Add(1)
			}
			return nil, nil
		}
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); synctest.Wait() }()
		go d.Run(ctx)
		r, err := d.breaks(nil)
		require.NoError(t, err)
		time.Sleep(time.Hour + RemindEvery - time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, told.Load())
		time.Sleep(2*RemindEvery + 2*time.Minute)
		synctest.Wait()
		require.EqualValues(t, 4, told.Load())
		_, err = d.Review(t.Context(), r.ID, d.vote(r, "olga"), false, false)
		require.NoError(t, err)
		time.Sleep(3 * RemindEvery)
		synctest.Wait()
		require.EqualValues(t, 4, told.Load())
	})
}

// TestEveryInterleavingOfGlass: in every order of what people do at two gateways, which may not have heard of each other, access without an
// approval becomes what its states say, and nobody has two that nobody has reviewed.
func TestEveryInterleavingOfGlass(t *testing.T) {
	steps := []move{
		{"revoke", func(d *desk, r *Request) error {
			_, err := d.Revoke(context.Background(), r.ID, d.vote(r, "otto"), false)
			return err
		}},
		{"withdraw", func(d *desk, r *Request) error {
			_, err := d.Cancel(context.Background(), r.ID, d.people.ids["alice"])
			return err
		}},
		{"settle", func(d *desk, r *Request) error {
			if err := d.Follow(context.Background(), r.ID); err != nil {
				return err
			}
			d.settle(context.Background())
			return nil
		}},
		{"fine", func(d *desk, r *Request) error {
			_, err := d.Review(context.Background(), r.ID, d.vote(r, "olga"), false, false)
			return err
		}},
		{"violation", func(d *desk, r *Request) error {
			_, err := d.Review(context.Background(), r.ID, d.vote(r, "both"), true, false)
			return err
		}},
		{"again", func(d *desk, _ *Request) error {
			_, err := d.breaks(nil)
			return err
		}},
		{"restart", func(d *desk, _ *Request) error { return d.Load(context.Background()) }},
	}
	next := func(was State, step string) State {
		switch {
		case was == Approved && step == "revoke":
			return Revoked
		case was == Approved && step == "withdraw":
			return Cancelled
		case (was == Revoked || was == Cancelled) && step == "settle":
			return ReviewDue
		case was == ReviewDue && step == "fine":
			return Fine
		case was == ReviewDue && step == "violation":
			return Violation
		}
		return was
	}
	for _, k := range teststore.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			steps := steps
			if k.Name != teststore.Memory { // which is slower
				steps = []move{steps[0], steps[2], steps[4], steps[5]}
			}
			s := k.Open(t)
			n := 0
			permutations(len(steps), func(order []int) {
				if k.Name == teststore.Memory {
					s = store.NewMemory()
				}
				n++
				gateways := []*desk{openDesk(t, s, everybody()), openDesk(t, s, everybody())}
				for _, g := range gateways { // everybody breaks one glass
					g.Log = slog.New(slog.DiscardHandler)
					g.people.ids["alice"] = &proxy.Identity{Subject: fmt.Sprint("alice-", n), Method: proxy.MethodOIDC}
				}
				r, err := gateways[0].breaks(nil)
				require.NoError(t, err)
				want, done := Approved, []string(nil)
				for i, at := range order {
					st := steps[at]
					err := st.do(gateways[(i+at)%2], r)
					will := next(want, st.name)
					done = append(done, st.name)
					switch st.name {
					case "again":
						require.Equal(t, want == Fine || want == Violation, err == nil, "%v: %v", done, err)
					case "settle", "restart":
						require.NoError(t, err)
					default:
						require.Equal(t, will != want, err == nil, "%v: %v", done, err)
					}
					want = will
				}
				for _, g := range gateways {
					require.NoError(t, g.Follow(t.Context(), r.ID))
					got, err := g.Get(t.Context(), r.ID)
					require.NoError(t, err)
					require.Equal(t, want, got.State, done)
				}
			})
		})
	}
}
