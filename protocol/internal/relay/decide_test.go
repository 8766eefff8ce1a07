package relay

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// desk holds each request by the rules that its query names, asks for approvals, and decides as the test says.
type desk struct {
	mu       sync.Mutex
	requests []string                      // what was asked about
	waiting  map[string]chan proxy.Verdict // by what is asked about; the last one of several alike
	asked    map[proxy.Op]int
	over     map[proxy.Op]int
	ended    []string     // those that were not refused
	left     atomic.Int32 // approvals that nobody waits for any more
	atOnce   bool         // the first one is given as soon as it is asked for
}

func (*desk) Name() string { return "desk" }

func (d *desk) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: d.ask, Done: d.done}, nil
}

// ask holds a request by each rule that it names, one after the other.
func (d *desk) ask(_ context.Context, op proxy.Op) proxy.Verdict {
	q, ok := op.(*proxy.Request)
	if !ok {
		return proxy.Allow("desk")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[op]++
	rules := strings.Split(q.Query, ",")
	if n := d.asked[op]; n <= len(rules) && rules[n-1] != "" {
		rule := rules[n-1]
		if rule == "never" {
			return proxy.Deny(proxy.CausePolicy, rule, "this may never run", "")
		}
		return proxy.Verdict{Action: proxy.ActionHold, Rule: rule, Hold: &proxy.Hold{Rules: []string{rule}, Approvers: [][]string{{"lead"}}, For: time.Minute}}
	}
	return proxy.Allow("desk")
}

func (d *desk) done(_ context.Context, op proxy.Op, out *proxy.Outcome) {
	if q, ok := op.(*proxy.Request); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.over[op]++; !out.Verdict.Refuses() {
			d.ended = append(d.ended, fmt.Sprintf("%s %v", q.Path, out.Err))
		}
	}
}

// Request asks for an approval.
func (d *desk) Request(_ context.Context, _ *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	q := op.(*proxy.Request)
	about, decide := q.Path+" "+h.Rules[0], make(chan proxy.Verdict, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests = append(d.requests, about)
	d.waiting[about] = decide
	if d.atOnce && len(d.requests) == 1 {
		decide <- proxy.Allow("lead")
	}
	return &proxy.Pending{
		ID: fmt.Sprintf("REQ%d", len(d.requests)), Deadline: time.Now().Add(h.For),
		Wait: func(ctx context.Context) proxy.Verdict {
			select {
			case v := <-decide:
				return v
			case <-ctx.Done():
				d.left.Add(1)
				return proxy.Deny(proxy.CauseDenied, "", "nobody decided", "")
			}
		},
	}, nil
}

func (d *desk) decide(about string, v proxy.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[about] <- v
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.requests)
}

func (d *desk) outcomes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ended)
}

// visited is a visit whose requests a desk decides about.
func visited(t *testing.T) (*Visit, *desk) {
	t.Helper()
	d := &desk{waiting: map[string]chan proxy.Verdict{}, asked: map[proxy.Op]int{}, over: map[proxy.Op]int{}}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{d}, Reviewer: d, Unrecorded: true, Log: slog.New(slog.DiscardHandler)}
	s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "bob", Method: proxy.MethodPassword, AuthTime: time.Now()},
		Target:   proxy.Target{Resource: &proxy.Resource{Name: "wiki", Type: "web", Address: "127.0.0.1:1"}}, Protocol: "web", Remote: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)},
	})
	require.NoError(t, err)
	v := &Visit{session: s, visits: &Visits{}}
	s.Handle(v.holds.hold, nil)
	s.Done(connect, &proxy.Outcome{})
	t.Cleanup(func() { s.Close(nil) })
	return v, d
}

// call is an exchange that remembers its answer.
type call struct {
	visit  *Visit
	op     *proxy.Request
	body   string
	broken error // in the place of a body
	answer *string
}

func (c call) Op() proxy.Op { return c.op }

func (c call) Key() string { return c.op.Path + "?" + c.op.Query }

func (c call) Buffer(limit int64) error {
	if c.broken == nil && int64(len(c.body)) > limit {
		return errLong
	}
	return c.broken
}

func (c call) Print() [sha256.Size]byte { return Print(c.op.Path, c.op.Query, c.body) }

func (c call) Run(op proxy.Op, _ *proxy.Verdict) {
	*c.answer = "ran"
	c.visit.session.Done(op, &proxy.Outcome{})
}

func (c call) Denied(v *proxy.Verdict) { *c.answer = "denied: " + v.Message() }

func (c call) Waits(p *proxy.Pending) { *c.answer = "waits: " + p.ID }

func (c call) TooLong(err error) { *c.answer = "too long: " + err.Error() }

// request decides about calls that are one request, such as "/path?rules body", and returns the answer.
func request(ctx context.Context, v *Visit, broken error, calls ...string) string {
	answer := "nothing"
	var list []Exchange
	for i, text := range calls {
		target, body, _ := strings.Cut(text, " ")
		path, rules, _ := strings.Cut(target, "?")
		c := call{visit: v, op: &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "POST", Path: path, Query: rules}, body: body, answer: &answer}
		if i == len(calls)-1 {
			c.broken = broken
		}
		list = append(list, c)
	}
	v.Decide(ctx, list...)
	return answer
}

// becomes waits until a request is answered in another way than with what it was told before.
func becomes(t *testing.T, v *Visit, was string, calls ...string) (answer string) {
	t.Helper()
	require.Eventually(t, func() bool { answer = request(t.Context(), v, nil, calls...); return answer != was }, 10*time.Second, time.Millisecond)
	return answer
}

// decided is how many requests have their approval, and wait for being sent again.
func decided(v *Visit) (n int) {
	v.holds.mu.Lock()
	defer v.holds.mu.Unlock()
	for _, k := range v.holds.list {
		select {
		case <-k.decided:
			n++
		default:
		}
	}
	return n
}

// ends checks that every operation is on record as ended, once.
func (d *desk) ends(t *testing.T, v *Visit) {
	t.Helper()
	v.session.Kill(proxy.ErrDeadline)
	v.session.Close(nil)
	require.Zero(t, len(v.holds.asking))
	d.mu.Lock()
	defer d.mu.Unlock()
	for op := range d.asked {
		require.Equal(t, 1, d.over[op], op.(*proxy.Request).Path)
	}
}

// TestAttackBrokenRepeat: a request that repeats an approved one, and whose body breaks off or comes too late, is refused and takes nothing: the
// approval stays for the whole request.
func TestAttackBrokenRepeat(t *testing.T) {
	v, d := visited(t)
	require.Equal(t, "waits: REQ1", request(t.Context(), v, nil, "/deploy?lead v1"))
	broken := &partError{io.ErrUnexpectedEOF}
	refusal := "too long: " + broken.Error()
	require.Equal(t, refusal, request(t.Context(), v, broken, "/deploy?lead v1"), "while it waits")
	d.decide("/deploy lead", proxy.Allow("lead"))
	for range 3 {
		require.Equal(t, refusal, request(t.Context(), v, broken, "/deploy?lead v1"))
	}
	require.Equal(t, 1, d.count(), "nobody was asked about what did not come")
	require.Empty(t, d.outcomes())
	require.Equal(t, "ran", becomes(t, v, "waits: REQ1", "/deploy?lead v1"))
	require.Equal(t, []string{"/deploy <nil>"}, d.outcomes())
	require.Equal(t, 1, d.count())

	// So it is where the request does several things, and the body of the last one breaks off.
	require.Equal(t, "waits: REQ2", request(t.Context(), v, nil, "/read?lead", "/write?lead v1"))
	d.decide("/read lead", proxy.Allow("lead"))
	require.Equal(t, "waits: REQ3", becomes(t, v, "waits: REQ2", "/read?lead", "/write?lead v1"))
	d.decide("/write lead", proxy.Allow("lead"))
	require.Equal(t, refusal, request(t.Context(), v, broken, "/read?lead", "/write?lead v1"))
	require.Equal(t, "ran", becomes(t, v, "waits: REQ3", "/read?lead", "/write?lead v1"))
	require.Equal(t, []string{"/deploy <nil>", "/read <nil>", "/write <nil>"}, d.outcomes())
	require.Equal(t, 3, d.count())
	d.ends(t, v)
}

// TestLongRepeat: a body that is longer than what can wait repeats nothing, and takes no approval.
func TestLongRepeat(t *testing.T) {
	v, d := visited(t)
	require.Equal(t, "waits: REQ1", request(t.Context(), v, nil, "/deploy?lead v1"))
	d.decide("/deploy lead", proxy.Allow("lead"))
	require.Equal(t, "too long: "+errLong.Error(), request(t.Context(), v, nil, "/deploy?lead "+strings.Repeat("x", MaxHeldBody+1)))
	require.EqualValues(t, 1, d.left.Load(), "nobody decides about what cannot run")
	require.Equal(t, "ran", becomes(t, v, "waits: REQ1", "/deploy?lead v1"))
	require.Equal(t, []string{"/deploy <nil>"}, d.outcomes())
	d.ends(t, v)
}

// TestPartRefused: what is refused after another part was approved keeps that approval, and nothing runs.
func TestPartRefused(t *testing.T) {
	v, d := visited(t)
	require.Equal(t, "waits: REQ1", request(t.Context(), v, nil, "/read?lead", "/write"))
	d.decide("/read lead", proxy.Allow("lead"))
	require.Contains(t, becomes(t, v, "waits: REQ1", "/read?lead", "/write?never"), "denied: this may never run")
	require.Empty(t, d.outcomes())
	require.Equal(t, "ran", becomes(t, v, "waits: REQ1", "/read?lead", "/write"))
	require.Equal(t, []string{"/read <nil>", "/write <nil>"}, d.outcomes())
	d.ends(t, v)
}

// TestPartRefusedLate: a part that was approved and may not run any more, when the request is sent again, keeps the others from running, and they
// are recorded as what did not run.
func TestPartRefusedLate(t *testing.T) {
	v, d := visited(t)
	calls := []string{"/read?lead,never", "/also?lead", "/write"}
	require.Equal(t, "waits: REQ1", request(t.Context(), v, nil, calls...))
	d.decide("/read lead", proxy.Allow("lead"))
	require.Equal(t, "waits: REQ2", becomes(t, v, "waits: REQ1", calls...))
	d.decide("/also lead", proxy.Allow("lead"))
	require.Contains(t, becomes(t, v, "waits: REQ2", calls...), "denied: this may never run")
	require.ElementsMatch(t, []string{"/also " + errPart.Error(), "/write " + errPart.Error()}, d.outcomes())
	require.Zero(t, v.holds.count.Load())
	d.ends(t, v)
}

// TestAttackPartsAtOnce: of requests that come at once by the same approvals one runs, and each of its parts ends once.
func TestAttackPartsAtOnce(t *testing.T) {
	v, d := visited(t)
	calls := []string{"/read?lead", "/also?lead", "/write"}
	require.Equal(t, "waits: REQ1", request(t.Context(), v, nil, calls...))
	d.decide("/read lead", proxy.Allow("lead"))
	require.Equal(t, "waits: REQ2", becomes(t, v, "waits: REQ1", calls...))
	d.decide("/also lead", proxy.Allow("lead"))
	require.Eventually(t, func() bool { return decided(v) == 2 }, 10*time.Second, time.Millisecond)
	var ran atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if answer := request(t.Context(), v, nil, calls...); answer == "ran" {
				ran.Add(1)
			} else if !strings.HasPrefix(answer, "waits: ") {
				t.Error(answer)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, ran.Load())
	d.mu.Lock()
	for _, want := range []string{"/read <nil>", "/also <nil>", "/write <nil>"} {
		n := 0
		for _, got := range d.ended {
			if got == want {
				n++
			}
		}
		require.Equal(t, 1, n, want)
	}
	d.mu.Unlock()
	d.ends(t, v)
}

// TestSecondApprovalLeft: a client that leaves while another approval is waited for, which its request needs after one that came at once or
// before, takes the request back.
func TestSecondApprovalLeft(t *testing.T) {
	const call = "/deploy?lead,owner v1"
	for _, atOnce := range []bool{true, false} {
		t.Run(fmt.Sprint("at once ", atOnce), func(t *testing.T) {
			v, d := visited(t)
			if d.atOnce = atOnce; !atOnce {
				require.Equal(t, "waits: REQ1", request(t.Context(), v, nil, call))
				d.decide("/deploy lead", proxy.Allow("lead"))
				require.Eventually(t, func() bool { return decided(v) == 1 }, 10*time.Second, time.Millisecond)
			}
			ctx, leave := context.WithCancel(t.Context())
			answer := make(chan string, 1)
			go func() { answer <- request(ctx, v, nil, call) }()
			require.Eventually(t, func() bool { return d.count() == 2 }, 10*time.Second, time.Millisecond)
			leave()
			select {
			case text := <-answer:
				require.Contains(t, text, "denied: ")
			case <-time.After(10 * time.Second):
				t.Fatal("the request waits for nobody")
			}
			require.EqualValues(t, 1, d.left.Load(), "the approval is taken back")
			require.Zero(t, v.holds.count.Load())
			d.ends(t, v)
		})
	}
}

// TestRefusedMakesRoom: requests that were refused, and that nobody sends again to be told so, keep no other request from waiting.
func TestRefusedMakesRoom(t *testing.T) {
	v, d := visited(t)
	var wg sync.WaitGroup
	for i := range MaxHeld {
		wg.Go(func() { request(t.Context(), v, nil, fmt.Sprintf("/%d?lead", i)) })
	}
	wg.Wait()
	require.EqualValues(t, MaxHeld, v.holds.count.Load())
	require.Contains(t, request(t.Context(), v, nil, "/more?lead"), "denied: too many of your requests wait")
	first, second := v.holds.list[3], v.holds.list[5]
	for _, k := range []*held{first, second} {
		d.decide(k.op.(*proxy.Request).Path+" lead", proxy.Deny(proxy.CauseDenied, "lead", "no", ""))
		<-k.done
	}
	require.Contains(t, request(t.Context(), v, nil, "/more?lead"), "waits: ")
	require.EqualValues(t, MaxHeld, v.holds.count.Load())
	require.Contains(t, request(t.Context(), v, nil, second.key), "denied: no", "it is told so still")
	require.Contains(t, request(t.Context(), v, nil, first.key), "waits: ", "it has given way, and is asked about again")
	d.ends(t, v)
}
