package jira_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/store"
)

const signing = "a secret of the webhook"

// decider has people decide in a fake Jira.
type decider struct {
	*jira.Decisions
	jira    *fake
	store   store.Store
	mu      sync.Mutex
	pending []review.Request
	done    []string // what was decided, as "VERB ID HASH BY: REASON"
	err     error    // of decisions
	asked   []jira.Account
}

func newDecider(t *testing.T, cloud bool, change func(c *jira.Config)) *decider {
	d := &decider{jira: newFake(t, cloud), store: store.NewMemory()}
	c := d.jira.config(d.store)
	if change != nil {
		change(&c)
	}
	d.Decisions = &jira.Decisions{
		Notifier: open(t, c), Signing: proxy.NewSecret(signing), Approve: d.decide("approve"), Deny: d.decide("deny"), Log: slog.New(slog.DiscardHandler),
		Pending: func() []review.Request {
			d.mu.Lock()
			defer d.mu.Unlock()
			return append([]review.Request(nil), d.pending...)
		},
		Who: func(_ context.Context, a jira.Account) (*proxy.Identity, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.asked = append(d.asked, a)
			switch {
			case a.Email == "bob@example.com" || a.ID == "JIRAUSER10100":
				return &proxy.Identity{Subject: "bob"}, nil
			case a.ID == "robot":
				return &proxy.Identity{Subject: "robot", Kind: proxy.Service}, nil
			}
			return nil, &review.RefusalError{Message: "nobody knows you"}
		},
	}
	n := reviewtest.Notice("n", review.Asked)
	require.NoError(t, d.Notifier.Notify(t.Context(), n))
	d.pending = []review.Request{n.Request}
	return d
}

func (d *decider) decide(verb string) func(ctx context.Context, id string, v review.Vote) error {
	return func(_ context.Context, id string, v review.Vote) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.err == nil {
			d.done = append(d.done, fmt.Sprintf("%s %s %s %s in %s: %s", verb, id, v.Hash[:4], v.By.Subject, v.Channel, v.Reason))
		}
		return d.err
	}
}

// hook is a webhook about an issue.
func (d *decider) hook(id string, change func(r *http.Request)) int {
	body := fmt.Sprintf(`{"timestamp":1,"webhookEvent":"jira:issue_updated","user":{"accountId":"bob"},"issue":{"id":%q,"key":"OPS-1"},"changelog":{"items":[{"field":"status","toString":"Approved"}]}}`, id)
	r := httptest.NewRequest(http.MethodPost, "/jira/ops", strings.NewReader(body))
	mac := hmac.New(sha256.New, []byte(signing))
	mac.Write([]byte(body))
	r.Header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Code
}

// moves has somebody move the issue, and says so.
func (d *decider) moves(by, to string) int {
	d.jira.do(func(i *issue) { d.jira.move(i, by, to) })
	return d.hook("10001", nil)
}

// said is the latest comment of the gateway's.
func (d *decider) said() (text string) {
	d.jira.do(func(i *issue) {
		for _, c := range i.comments {
			if c.author == self {
				text = c.body
			}
		}
	})
	return text
}

func (d *decider) status() (status string) {
	d.jira.do(func(i *issue) { status = i.status })
	return status
}

// TestWebhookVector is the example of Jira's documents, which is WebSub's.
func TestWebhookVector(t *testing.T) {
	d := newDecider(t, true, nil)
	d.Signing = proxy.NewSecret("It's a Secret to Everybody")
	for signature, want := range map[string]int{
		"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9": http.StatusOK,
		"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c8": http.StatusUnauthorized,
	} {
		r := httptest.NewRequest(http.MethodPost, "/jira/ops", strings.NewReader("Hello World!"))
		r.Header.Set("X-Hub-Signature", signature)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		require.Equal(t, want, w.Code)
	}
}

// TestDecide: who moves the issue decides, once, with what she wrote in it.
func TestDecide(t *testing.T) {
	for to, want := range map[string]string{"Approved": "approve 4jzq7nbkw2 abab bob in jira ops OPS-0001: ", "Declined": "deny 4jzq7nbkw2 abab bob in jira ops OPS-0001: denied in OPS-0001"} {
		d := newDecider(t, true, nil)
		require.Equal(t, http.StatusOK, d.moves("bob", to))
		require.Equal(t, http.StatusOK, d.hook("10001", nil))
		require.Equal(t, []string{want}, d.done)
		require.Empty(t, d.said())
		require.Equal(t, []jira.Account{{ID: "bob", Email: "bob@example.com"}}, d.asked)
	}
	d := newDecider(t, true, nil)
	d.jira.do(func(i *issue) {
		i.comments = append(i.comments, comment{"bob", "first", d.jira.tick()}, comment{"bob", " the ticket \n is  closed ", d.jira.tick()}, comment{"eve", "approve it", d.jira.tick()})
	})
	d.moves("bob", "Declined")
	require.Equal(t, []string{"deny 4jzq7nbkw2 abab bob in jira ops OPS-0001: the ticket is closed"}, d.done)

	// Only where it is now counts, and what is no longer pending is left alone.
	d = newDecider(t, true, nil)
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Approved"); d.jira.move(i, "bob", "Waiting") })
	require.Equal(t, http.StatusOK, d.hook("10001", nil))
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Approved") })
	d.pending = nil
	require.Equal(t, http.StatusOK, d.hook("10001", nil))
	require.Equal(t, http.StatusOK, d.hook("99999", nil))
	require.Empty(t, d.done)
	operation := reviewtest.Notice("n", review.Asked).Request
	operation.Access = nil
	d.pending = []review.Request{operation}
	require.Equal(t, http.StatusOK, d.hook("10001", nil))
	require.Empty(t, d.done, "an operation is not decided by an issue that does not show it")
}

// TestDecideSigned: what Jira has not signed causes nothing, and what it has signed is no more than a hint.
func TestDecideSigned(t *testing.T) {
	d := newDecider(t, true, nil)
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Approved") })
	before := len(d.jira.calls)
	for name, change := range map[string]func(r *http.Request){
		"no signature":   func(r *http.Request) { r.Header.Del("X-Hub-Signature") },
		"another secret": func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha256="+strings.Repeat("00", 32)) },
		"another method": func(r *http.Request) {
			r.Header.Set("X-Hub-Signature", strings.Replace(r.Header.Get("X-Hub-Signature"), "sha256", "sha1", 1))
		},
		"half of it": func(r *http.Request) { r.Header.Set("X-Hub-Signature", r.Header.Get("X-Hub-Signature")[:20]) },
		"not hex":    func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha256=zz") },
	} {
		require.Equal(t, http.StatusUnauthorized, d.hook("10001", change), name)
	}
	d.Signing = proxy.Secret{}
	empty := hmac.New(sha256.New, nil)
	require.Equal(t, http.StatusUnauthorized, d.hook("10001", func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(empty.Sum(nil))) }))
	require.Equal(t, http.StatusMethodNotAllowed, d.hook("10001", func(r *http.Request) { r.Method = http.MethodGet }))
	require.Len(t, d.jira.calls, before)
	require.Empty(t, d.done)

	// The webhook says that bob has approved. The issue says that nobody has.
	d = newDecider(t, true, nil)
	require.Equal(t, http.StatusOK, d.hook("10001", nil))
	require.Empty(t, d.done)
}

// TestDecideWho: only a person who Jira says for certain, and the gateway knows.
func TestDecideWho(t *testing.T) {
	for name, c := range map[string]struct {
		by   string
		user user
		want string
	}{
		"unknown here":          {"eve", user{kind: "atlassian", email: "eve@example.com"}, "nobody knows you"},
		"an app":                {"app", user{kind: "app", email: "bob@example.com"}, "does not say for certain who you are"},
		"not active":            {"bob", user{kind: "atlassian", email: "bob@example.com", inactive: true}, "does not say for certain who you are"},
		"a customer's address":  {"customer", user{kind: "customer", email: "bob@example.com"}, "nobody knows you"},
		"an address of no kind": {"odd", user{email: "bob@example.com"}, "nobody knows you"},
		"a service here":        {"robot", user{kind: "atlassian"}, "does not say for certain who you are"},
	} {
		d := newDecider(t, true, nil)
		d.jira.users[c.by] = c.user
		require.Equal(t, http.StatusOK, d.moves(c.by, "Approved"), name)
		require.Empty(t, d.done, name)
		require.Contains(t, d.said(), "The decision of the "+c.by+" does not count: ", name)
		require.Contains(t, d.said(), c.want, name)
		require.Equal(t, "Waiting", d.status(), name)
	}
	// Somebody who is gone from Jira, and the gateway itself, which shows what was decided.
	d := newDecider(t, true, nil)
	d.moves("gone", "Approved")
	require.Empty(t, d.done)
	require.Contains(t, d.said(), "does not say for certain")
	said := d.said()
	d.moves(self, "Approved")
	d.moves("", "Approved")
	require.Empty(t, d.done)
	require.Equal(t, said, d.said())
	require.Equal(t, "Approved", d.status())
}

// TestDecideDataCenter: in Data Center an account is known by its key, and its mail address, which people write themselves, proves nothing.
func TestDecideDataCenter(t *testing.T) {
	d := newDecider(t, false, nil)
	d.jira.users["JIRAUSER10100"] = user{email: "x@example.com"}
	d.jira.users["JIRAUSER10666"] = user{email: "bob@example.com"}
	d.moves("JIRAUSER10666", "Approved")
	require.Empty(t, d.done)
	require.Contains(t, d.said(), "nobody knows you")
	d.moves("JIRAUSER10100", "Approved")
	require.Len(t, d.done, 1)
	require.Equal(t, []jira.Account{{ID: "JIRAUSER10666"}, {ID: "JIRAUSER10100"}}, d.asked)
}

// TestDecideEdited: an issue that is not what the gateway wrote, or of which that is not known, decides nothing.
func TestDecideEdited(t *testing.T) {
	for _, field := range []string{"summary", "description"} {
		for _, cloud := range []bool{true, false} {
			d := newDecider(t, cloud, nil)
			d.jira.users["JIRAUSER10100"], d.jira.users["bob"] = user{}, user{kind: "atlassian", email: "bob@example.com"}
			by := map[bool]string{true: "bob", false: "JIRAUSER10100"}[cloud]
			d.jira.do(func(i *issue) {
				i.changes = append(i.changes, change{"1", "eve", field, "harmless", d.jira.tick()}, change{"2", "eve", field, "as it was", d.jira.tick()})
			})
			d.moves(by, "Approved")
			require.Empty(t, d.done)
			require.Contains(t, d.said(), "the text of this issue was changed")
		}
	}
	d := newDecider(t, true, nil)
	d.jira.do(func(i *issue) { i.total = 500 })
	d.moves("bob", "Approved")
	require.Empty(t, d.done)
	require.Contains(t, d.said(), "does not show all that was changed")
}

// TestDecideEarlier: what was decided before the issue showed the request as it is now does not count.
func TestDecideEarlier(t *testing.T) {
	d := newDecider(t, true, nil)
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Approved") })
	narrowed := reviewtest.Notice("m", review.Voted)
	narrowed.Request.Hash = strings.Repeat("cd", 32)
	d.jira.mu.Lock()
	d.jira.flow = nil // so that the notice leaves it there
	d.jira.mu.Unlock()
	require.NoError(t, d.Notifier.Notify(t.Context(), narrowed))
	d.hook("10001", nil)
	require.Empty(t, d.done)
	require.Contains(t, d.said(), "before the issue showed the request as it is now")
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Waiting") })
	d.moves("bob", "Approved")
	require.Equal(t, []string{"approve 4jzq7nbkw2 cdcd bob in jira ops OPS-0001: "}, d.done)
}

// TestDecideRefused: why a decision does not count is said in the issue, once, and the issue waits again; what went wrong inside is not said, and
// is tried again.
func TestDecideRefused(t *testing.T) {
	for _, err := range []error{review.ErrOwn, review.ErrIneligible, review.ErrChanged, review.ErrOnCall} {
		d := newDecider(t, true, nil)
		d.err = err
		d.moves("bob", "Approved")
		require.Equal(t, "{noformat}\nThe decision of the bob does not count: "+err.Error()+"\n{noformat}\n", d.said())
		require.Equal(t, "Waiting", d.status())
		d.moves("bob", "Approved")
		require.Equal(t, "Waiting", d.status())
		d.jira.do(func(i *issue) { require.Len(t, i.comments, 1) })
	}
	d := newDecider(t, true, nil)
	d.err = &review.DecidedError{State: review.Denied, By: "carol", At: time.Unix(0, 0)}
	d.moves("bob", "Approved")
	require.Contains(t, d.said(), "this request was denied by carol")
	require.Equal(t, "Approved", d.status(), "the notice of the denial gives it its status")

	d = newDecider(t, true, nil)
	d.err = errors.New("hunter2: the store is down")
	require.Equal(t, http.StatusServiceUnavailable, d.moves("bob", "Approved"))
	require.Empty(t, d.said())
	d.err = nil
	require.Equal(t, http.StatusOK, d.hook("10001", nil))
	require.Len(t, d.done, 1)

	// The comment cannot be written: it is, later.
	d = newDecider(t, true, nil)
	d.err = review.ErrOwn
	d.jira.fails["POST /rest/api/2/issue/10001/comment"] = http.StatusInternalServerError
	require.Equal(t, http.StatusServiceUnavailable, d.moves("bob", "Approved"))
	delete(d.jira.fails, "POST /rest/api/2/issue/10001/comment")
	require.Equal(t, http.StatusOK, d.hook("10001", nil))
	require.Contains(t, d.said(), review.ErrOwn.Error())
	require.Equal(t, "Waiting", d.status())
}

// TestDecideOnce: what arrives at several gateways at once, or again, is taken once.
func TestDecideOnce(t *testing.T) {
	d := newDecider(t, true, nil)
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Approved") })
	other := &jira.Decisions{
		Notifier: open(t, d.jira.config(d.store)), Signing: d.Signing, Pending: d.Pending, Who: d.Who, Approve: d.Approve, Deny: d.Deny, Log: d.Log,
	}
	var wg sync.WaitGroup
	for k := range 16 {
		wg.Go(func() {
			at := &decider{Decisions: d.Decisions}
			if k%2 == 0 {
				at.Decisions = other
			}
			if code := at.hook("10001", nil); code != http.StatusOK {
				t.Error(code)
			}
		})
	}
	wg.Wait()
	require.Len(t, d.done, 1)
}

func approval(id, decision, by string, created time.Time) string {
	return fmt.Sprintf(`{"id":%q,"name":"Waiting for approval","finalDecision":"pending","canAnswerApproval":false,"approvers":[
		{"approver":{"accountId":"carol","displayName":"Carol","active":true},"approverDecision":"pending"},
		{"approver":{"accountId":%q,"displayName":"Bob","active":true},"approverDecision":%q}],"createdDate":{"iso8601":"x","epochMillis":%d}}`, id, by, decision, created.UnixMilli())
}

// TestApprovals: answers to a service desk's approvals are decisions, and its statuses are not.
func TestApprovals(t *testing.T) {
	desk := func(c *jira.Config) { c.Project, c.IssueType, c.ServiceDesk, c.RequestType = "", "", "10", "25" }
	for decision, want := range map[string]string{"approved": "approve", "declined": "deny", "pending": ""} {
		d := newDecider(t, true, desk)
		d.jira.do(func(i *issue) {
			i.approvals = fmt.Sprintf(`{"size":2,"start":0,"limit":50,"isLastPage":true,"values":[%s]}`, approval("7", decision, "bob", d.jira.now))
			d.jira.move(i, "bob", "Approved")
		})
		require.Equal(t, http.StatusOK, d.hook("10001", nil))
		require.Equal(t, http.StatusOK, d.hook("10001", nil))
		if want == "" {
			require.Empty(t, d.done)
			continue
		}
		require.Len(t, d.done, 1)
		require.True(t, strings.HasPrefix(d.done[0], want+" 4jzq7nbkw2 abab bob"))
	}
	// An approval that began before the issue showed the request as it is now.
	d := newDecider(t, true, desk)
	began := d.jira.now
	narrowed := reviewtest.Notice("m", review.Voted)
	narrowed.Request.Hash = strings.Repeat("cd", 32)
	require.NoError(t, d.Notifier.Notify(t.Context(), narrowed))
	d.jira.do(func(i *issue) {
		i.approvals = `{"isLastPage":true,"values":[` + approval("7", "approved", "bob", began) + `]}`
	})
	d.hook("10001", nil)
	require.Empty(t, d.done)
	require.Contains(t, d.said(), "before the issue showed the request")
	d.jira.do(func(i *issue) {
		i.approvals = `{"isLastPage":true,"values":[` + approval("8", "approved", "bob", d.jira.tick()) + `]}`
	})
	d.hook("10001", nil)
	require.Len(t, d.done, 1)
	// It must be an answer.
	for _, odd := range []string{`{}`, `<html>`, `{"values":[]}`, `{"isLastPage":false,"values":[{"id":"1"}]}`} {
		d.jira.do(func(i *issue) { i.approvals = odd })
		require.Equal(t, http.StatusServiceUnavailable, d.hook("10001", nil), odd)
	}
}

// TestPoll: issues are read without a webhook, by one gateway of those on a store; one that fails keeps no other from being read.
func TestPoll(t *testing.T) {
	d := newDecider(t, true, nil)
	d.Signing, d.Every = proxy.Secret{}, 10*time.Millisecond
	second := reviewtest.Notice("n2", review.Asked)
	second.Request.ID = "second"
	require.NoError(t, d.Notifier.Notify(t.Context(), second))
	unknown := second.Request
	unknown.ID = "of-no-issue"
	d.mu.Lock()
	d.pending = append(d.pending, second.Request, unknown)
	d.mu.Unlock()
	d.jira.mu.Lock()
	d.jira.fails["GET /rest/api/2/issue/10001"] = http.StatusInternalServerError
	d.jira.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	other := *d.Decisions
	for _, one := range []*jira.Decisions{d.Decisions, &other} {
		wg.Go(func() { one.Run(ctx) })
	}
	decided := func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.done)
	}
	d.jira.do(func(i *issue) { d.jira.move(i, "bob", "Approved") })
	require.Eventually(t, func() bool { return decided() == 1 }, 20*time.Second, 5*time.Millisecond)
	d.jira.mu.Lock()
	delete(d.jira.fails, "GET /rest/api/2/issue/10001")
	d.jira.move(d.jira.list[0], "bob", "Declined")
	d.jira.mu.Unlock()
	require.Eventually(t, func() bool { return decided() == 2 }, 20*time.Second, 5*time.Millisecond)
	cancel()
	wg.Wait()
	require.Equal(t, "approve second", d.done[0][:14])
	lease, err := d.store.Acquire(t.Context(), "jira ops", "another", time.Minute)
	require.NoError(t, err, "it was given back")
	require.NotZero(t, lease.Fence)
	require.Empty(t, d.said())
}
