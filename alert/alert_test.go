package alert_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/alert"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// refused is an event of a session of somebody, so many seconds after noon.
func refused(user string, index, seconds int) audit.Outgoing {
	return audit.Outgoing{
		Session: "s-" + user, Index: uint64(index), Type: "operation.refused", Start: &audit.Event{Type: "session.start", User: user, Groups: []string{"dev"}, Resource: "orders"},
		JSON: fmt.Appendf(nil, `{"i":%d,"t":%q,"type":"operation.refused","text":"SELECT 'hunter2'","rule":"no-drop","reason":"hunter2"}`,
			index, noon.Add(time.Duration(seconds)*time.Second).Format("2006-01-02T15:04:05.000000Z")),
	}
}

// TestRules: when a rule fires, by events in seconds after noon, "USER SECONDS" each.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   alert.Rule
		events string
		want   []string // "USER COUNT BEFORE"
	}{
		{"each event", alert.Rule{Quiet: time.Minute}, "a 0", []string{"a 1 0"}},
		{"quiet after an alert, of which the next one tells", alert.Rule{Quiet: time.Minute}, "a 0,a 1,b 59,a 60", []string{"a 1 0", "a 1 2"}},
		{"three within a minute", alert.Rule{Count: 3, Within: time.Minute}, "a 0,a 30,a 59", []string{"a 3 0"}},
		{"three in more than a minute", alert.Rule{Count: 3, Within: time.Minute}, "a 0,a 30,a 61,a 120", nil},
		{"the window slides", alert.Rule{Count: 3, Within: time.Minute}, "a 0,a 50,a 100,a 105", []string{"a 3 0"}},
		{"several people together", alert.Rule{Count: 3, Within: time.Minute}, "a 0,b 1,c 2", []string{"c 3 0"}},
		{"for each user", alert.Rule{Count: 3, Within: time.Minute, Each: "user"}, "a 0,b 1,c 2,a 3,b 4,b 5", []string{"b 3 0"}},
		{"quiet for one user alone", alert.Rule{Quiet: time.Hour, Each: "user"}, "a 0,a 1,b 2", []string{"a 1 0", "b 1 0"}},
		{"for each resource", alert.Rule{Count: 3, Within: time.Minute, Each: "resource"}, "a 0,b 1,c 2", []string{"c 3 0"}},
		{"other users", alert.Rule{Users: []string{"b*"}}, "a 0,a 1", nil},
		{"a user by a pattern", alert.Rule{Users: []string{"b*"}}, "a 0,bob 1", []string{"bob 1 0"}},
		{"a group", alert.Rule{Groups: []string{"ops", "dev"}}, "a 0", []string{"a 1 0"}},
		{"another group", alert.Rule{Groups: []string{"ops"}}, "a 0", nil},
		{"a resource", alert.Rule{Resource: func(name string) bool { return name == "orders" }}, "a 0", []string{"a 1 0"}},
		{"another resource", alert.Rule{Resource: func(name string) bool { return name == "bills" }}, "a 0", nil},
		{"a rule of the policy", alert.Rule{Rules: []string{"no-*"}}, "a 0", []string{"a 1 0"}},
		{"another rule of the policy", alert.Rule{Rules: []string{"yes"}}, "a 0", nil},
		{"another event", alert.Rule{Events: []string{"admin.*"}}, "a 0", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.rule
			r.Name, r.Channels = "r", []string{"mails"}
			if r.Events == nil {
				r.Events = []string{"operation.ref*"}
			}
			require.NoError(t, r.Valid())
			var events []alert.Seen
			for i, w := range strings.Split(c.events, ",") {
				var user string
				var at int
				_, err := fmt.Sscan(w, &user, &at)
				require.NoError(t, err)
				out := refused(user, i+1, at)
				s, err := alert.See(out.Session, out.Index, out.JSON, out.Start)
				require.NoError(t, err)
				events = append(events, s)
			}
			tried := r.Try(events)
			var got []string
			for _, f := range tried.Firings {
				got = append(got, fmt.Sprintf("%s %d %d", f.Alert.User, f.Alert.Count, f.Alert.Before))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, len(c.want), tried.Fired)
		})
	}
}

// TestValid: what a rule cannot say.
func TestValid(t *testing.T) {
	good := alert.Rule{Name: "r", Events: []string{"operation.refused"}, Channels: []string{"mails"}, Count: 5, Within: time.Minute}
	require.NoError(t, good.Valid())
	for want, change := range map[string]func(r *alert.Rule){
		"name: want":                    func(r *alert.Rule) { r.Name = "a/b" },
		"events: got none":              func(r *alert.Rule) { r.Events = nil },
		`no event has the type "x.y"`:   func(r *alert.Rule) { r.Events = []string{"x.y"} },
		`events: "[" is not a pattern`:  func(r *alert.Rule) { r.Events = []string{"["} },
		"no event has the type \"reco":  func(r *alert.Rule) { r.Events = []string{"recording.output"} },
		"notify: got 0 channels":        func(r *alert.Rule) { r.Channels = nil },
		"count: got 1001, want 1 to 10": func(r *alert.Rule) { r.Count = 1001 },
		"count: got 101, want 1 to 100": func(r *alert.Rule) { r.Count, r.Each = 101, "user" },
		"within: got 0s":                func(r *alert.Rule) { r.Within = 0 },
		"within: got 25h":               func(r *alert.Rule) { r.Within = 25 * time.Hour },
		"within: got 1m0s, want none":   func(r *alert.Rule) { r.Count = 1 },
		"quiet: got 1s":                 func(r *alert.Rule) { r.Quiet = time.Second },
		"each: got \"table\"":           func(r *alert.Rule) { r.Each = "table" },
		"message: got 501 bytes":        func(r *alert.Rule) { r.Message = strings.Repeat("x", 501) },
	} {
		r := good
		change(&r)
		require.ErrorContains(t, r.Valid(), want)
	}
}

// TestTypes: rules may be about every event that docs/audit.md explains, but for what recordings hold.
func TestTypes(t *testing.T) {
	doc, err := os.ReadFile("../docs/audit.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(doc), "| type | when |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for line := range strings.Lines(table) {
		types, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for i, typ := range strings.Split(types, "`") {
			if i%2 == 1 && !strings.HasPrefix(typ, "recording.") {
				want = append(want, typ)
			}
		}
	}
	require.Subset(t, alert.Types(), want)
}

// TestNothingSecret: an alert has nothing that people typed: no statement, no reason, and no name that somebody only claims to have.
func TestNothingSecret(t *testing.T) {
	r := alert.Rule{Name: "r", Events: []string{"*.*"}, Channels: []string{"mails"}, Quiet: time.Minute, Each: "user"}
	for _, c := range []struct{ name, event, user string }{
		{"a refused statement", string(refused("alice", 1, 0).JSON), "alice"},
		{"a login that failed", `{"i":1,"t":"2026-03-01T12:00:00Z","type":"gateway.login-failed","user":"hunter2","error":"hunter2","remote":"10.0.0.1:1"}`, ""},
		{"a login that was refused", `{"i":1,"t":"2026-03-01T12:00:00Z","type":"admin.refused","action":"admin.login","user":"hunter2","reason":"hunter2"}`, ""},
		{"a change", `{"i":1,"t":"2026-03-01T12:00:00Z","type":"admin.configure","user":"bob","reason":"hunter2","action":"apply"}`, "bob"},
	} {
		var start *audit.Event
		if c.user == "alice" {
			start = refused("alice", 1, 0).Start
		}
		s, err := alert.See("own", 1, []byte(c.event), start)
		require.NoError(t, err)
		tried := r.Try([]alert.Seen{s})
		require.Equal(t, 1, tried.Fired, c.name)
		b, err := json.Marshal(tried.Firings)
		require.NoError(t, err)
		require.NotContains(t, string(b), "hunter2", c.name)
		require.Equal(t, c.user, tried.Firings[0].Alert.User, c.name)
	}
}

// engine is one of a gateway, with the channel mails.
func engine(t *testing.T, s store.Store, rules ...alert.Rule) *alert.Engine {
	o := &review.Outbox{Store: s}
	require.NoError(t, o.Use([]review.Channel{{Name: "mails"}, {Name: "chat"}}))
	e := &alert.Engine{Store: s, Writes: o.Writes, Now: func() time.Time { return noon.Add(time.Hour) }}
	for i := range rules {
		rules[i].Channels = []string{"mails"}
		if rules[i].Events == nil {
			rules[i].Events = []string{"operation.refused"}
		}
		require.NoError(t, rules[i].Valid())
	}
	e.Use(rules)
	return e
}

// notices are those that wait, "CHANNEL RULE COUNT BEFORE" each.
func notices(t *testing.T, s store.Store) (list []string) {
	for doc, err := range store.All(t.Context(), s, review.KindNotice, "") {
		require.NoError(t, err)
		var l struct{ Notice review.Notice }
		require.NoError(t, json.Unmarshal(doc.Body, &l))
		channel, _, _ := strings.Cut(doc.Name, "/")
		list = append(list, fmt.Sprintf("%s %s %d %d", channel, l.Notice.Alert.Rule, l.Notice.Alert.Count, l.Notice.Alert.Before))
	}
	return list
}

// TestEngineOnce: several gateways on a store count together and tell once, also where they are given events again.
func TestEngineOnce(t *testing.T) {
	s := store.NewMemory()
	rule := alert.Rule{Name: "r", Count: 40, Within: time.Hour, Quiet: time.Hour}
	var wg sync.WaitGroup
	for g := range 4 {
		e := engine(t, s, rule)
		wg.Go(func() {
			for i := range 10 {
				out := refused(fmt.Sprint("user", g), i+1, 100*g+i)
				for range 3 { // the same again
					if err := e.Deliver(t.Context(), []audit.Outgoing{out}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, []string{"mails r 40 0"}, notices(t, s))
	e := engine(t, s, rule)
	require.NoError(t, e.Deliver(t.Context(), []audit.Outgoing{refused("user0", 10, 9), refused("user0", 11, 500)}))
	require.Len(t, notices(t, s), 1) // it is quiet
	list, err := e.Firings(t.Context(), "r")
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// down is a store that does not answer for some time.
type down struct {
	store.Store
	err error
}

func (d *down) Write(ctx context.Context, ws ...store.Write) (int64, error) {
	if d.err != nil {
		return 0, d.err
	}
	return d.Store.Write(ctx, ws...)
}

// TestEngineStoreDown: what could not be kept comes again, and is told then; what is told and what was counted are kept together.
func TestEngineStoreDown(t *testing.T) {
	s := &down{Store: store.NewMemory(), err: errors.New("the disk is full")}
	e := engine(t, s, alert.Rule{Name: "r", Quiet: time.Minute})
	batch := []audit.Outgoing{refused("alice", 1, 0), refused("alice", 2, 100)}
	require.ErrorContains(t, e.Deliver(t.Context(), batch), "the disk is full")
	require.Empty(t, notices(t, s))
	s.err = nil
	require.NoError(t, e.Deliver(t.Context(), batch))
	require.Equal(t, []string{"mails r 1 0", "mails r 1 0"}, notices(t, s))
}

// TestEngineFlood: names without an end take no more than a bounded document, and what they do is told.
func TestEngineFlood(t *testing.T) {
	s := store.NewMemory()
	e := engine(t, s, alert.Rule{Name: "r", Each: "user", Count: 100, Within: time.Hour})
	for n := range 40 {
		var batch []audit.Outgoing
		for i := range 100 {
			batch = append(batch, refused(fmt.Sprintf("user%d", n*100+i), 1, n))
		}
		require.NoError(t, e.Deliver(t.Context(), batch))
	}
	doc, err := s.Get(t.Context(), alert.Kind, "r")
	require.NoError(t, err)
	require.Less(t, len(doc.Body), store.MaxBody/4)
	require.NotEmpty(t, notices(t, s)) // the others together
	list, err := e.Firings(t.Context(), "r")
	require.NoError(t, err)
	require.Empty(t, list[0].Alert.User)
}

// TestEngineFrom: a rule that comes while the gateway runs is about what happens from then on, and no rule about what was long ago.
func TestEngineFrom(t *testing.T) {
	s := store.NewMemory()
	e := engine(t, s, alert.Rule{Name: "there", Quiet: time.Minute})
	now := noon.Add(time.Minute)
	e.Now = func() time.Time { return now }
	e.Use([]alert.Rule{
		{Name: "there", Events: []string{"operation.refused"}, Quiet: time.Minute, Channels: []string{"mails"}},
		{Name: "new", Events: []string{"operation.refused"}, Quiet: time.Minute, Channels: []string{"chat"}},
	})
	require.NoError(t, e.Deliver(t.Context(), []audit.Outgoing{refused("alice", 1, 59), refused("alice", 2, 121)}))
	require.ElementsMatch(t, []string{"mails there 1 0", "mails there 1 0", "chat new 1 0"}, notices(t, s))
	now = noon.Add(48 * time.Hour)
	require.NoError(t, e.Deliver(t.Context(), []audit.Outgoing{refused("alice", 3, 600)}))
	require.Len(t, notices(t, s), 3)
}

// BenchmarkDeliver: what events cost that no rule is about.
func BenchmarkDeliver(b *testing.B) {
	e := &alert.Engine{Store: store.NewMemory()}
	e.Use([]alert.Rule{{Name: "r", Events: []string{"admin.*"}, Channels: []string{"mails"}}})
	batch := make([]audit.Outgoing, 512)
	for i := range batch {
		batch[i] = refused("alice", i+1, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Deliver(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
