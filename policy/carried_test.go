package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// carrying is a policy for an assembly that carries everything out.
func carrying(t *testing.T, rules ...Rule) *Policy {
	t.Helper()
	p, err := New(append([]Rule{{Groups: []string{"dev"}, Allow: []string{"connect", "read", "write", "shell"}}}, rules...), CarriesMasking, CarriesRecording)
	require.NoError(t, err)
	return p
}

func asks(o Obligations) Rule {
	return Rule{Name: "asks", Groups: []string{"*"}, Obligations: o}
}

// begun opens a session of a member of dev.
func begun(t *testing.T, p *Policy) (*proxy.Gateway, *proxy.Session) {
	t.Helper()
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p}}
	s, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: orders})
	require.NoError(t, err)
	s.Done(op, &proxy.Outcome{})
	return g, s
}

// TestMoreIsAskedWithTime: at the hour from which a rule asks for more than a session began
// with, the session ends; it goes on when a rule asks for less.
func TestMoreIsAskedWithTime(t *testing.T) {
	evening := Condition{Hours: []Hours{{From: 60, To: 120}}} // it begins at midnight UTC
	for name, c := range map[string]struct {
		Obligations
		ends string
	}{
		"recording": {Obligations{Recording: RecordingFull}, `a session at orders/shop must be recorded at the level "full" from its beginning now, and this one is not (rule asks)`},
		"masking":   {Obligations{Masking: []string{"eu"}}, `a session at orders/shop must be masked by the profile "eu" now, and this one is not (rule asks)`},
		"time":      {Obligations{Session: 10 * time.Hour}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				later := asks(c.Obligations)
				later.When = evening
				_, s := begun(t, carrying(t, later))
				defer s.Close(nil)
				time.Sleep(time.Hour - time.Second)
				require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if c.ends == "" {
					require.NoError(t, s.Err())
					return
				}
				require.EqualError(t, s.Err(), c.ends)
			})
			synctest.Test(t, func(t *testing.T) {
				early := asks(c.Obligations)
				early.When = Condition{Hours: []Hours{{From: 0, To: 60}}}
				_, s := begun(t, carrying(t, early))
				defer s.Close(nil)
				time.Sleep(61 * time.Minute)
				synctest.Wait()
				require.NoError(t, s.Err(), "it has more than is asked for")
			})
		})
	}
}

// TestMoreIsAskedByARevision: what is recorded of a session begins with it, so one that a new
// revision wants more of ends. What is masked begins with the revision.
func TestMoreIsAskedByARevision(t *testing.T) {
	for name, c := range map[string]struct {
		before, now Obligations
		ends        bool
	}{
		"recording":            {Obligations{}, Obligations{Recording: RecordingDigest}, true},
		"more recording":       {Obligations{Recording: RecordingDigest}, Obligations{Recording: RecordingFull}, true},
		"the same recording":   {Obligations{Recording: RecordingFull}, Obligations{Recording: RecordingFull}, false},
		"less recording":       {Obligations{Recording: RecordingFull}, Obligations{Recording: RecordingDigest}, false},
		"recording of default": {Obligations{Recording: RecordingFull}, Obligations{}, false},
		"masking":              {Obligations{}, Obligations{Masking: []string{"eu"}}, false},
		"other masking":        {Obligations{Masking: []string{"eu"}}, Obligations{Masking: []string{"us"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			rules := func(o Obligations) *Policy {
				if o.carried() {
					return carrying(t, asks(o))
				}
				return carrying(t)
			}
			g, s := begun(t, rules(c.before))
			defer s.Close(nil)
			require.False(t, run(s, statement(proxy.EffectRead)).Refuses())
			require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{rules(c.now)}}))
			require.Equal(t, c.ends, run(s, statement(proxy.EffectRead)).Refuses())
			if !c.ends {
				require.NoError(t, s.Err())
				return
			}
			require.ErrorContains(t, s.Err(), "from its beginning now, and this one is not (rule asks)")
			again, op, err := g.Open(t.Context(), proxy.OpenRequest{Identity: s.Identity, Target: orders})
			require.NoError(t, err, "a new session has it")
			again.Done(op, &proxy.Outcome{})
			require.False(t, run(again, statement(proxy.EffectRead)).Refuses())
			again.Close(nil)
		})
	}
}

// TestTheEndIsAnnounced: the user is told once, with an answer, that the session ends soon.
func TestTheEndIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := begun(t, carrying(t, asks(Obligations{Session: 8 * time.Hour})))
		defer s.Close(nil)
		time.Sleep(7 * time.Hour)
		require.Empty(t, run(s, statement(proxy.EffectRead)).Warn)
		time.Sleep(56 * time.Minute)
		require.Empty(t, run(s, statement(proxy.EffectTransaction)).Warn, "settings and transactions come from drivers")
		require.True(t, run(s, statement(proxy.EffectDrop)).Refuses())
		require.Equal(t, "this session ends in 4m: rule asks allows 8h", run(s, statement(proxy.EffectRead)).Warn)
		require.Empty(t, run(s, statement(proxy.EffectRead)).Warn, "once")
	})
}

// TestTheEndIsAnnouncedAtTerminals: who sits at a terminal is told on time, of an end by idleness
// again when something has happened in between.
func TestTheEndIsAnnouncedAtTerminals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := begun(t, carrying(t, asks(Obligations{Session: time.Hour, Idle: 20 * time.Minute})))
		defer s.Close(nil)
		var told []string
		s.HandleReminders(func(text string) bool { told = append(told, text); return true })
		shell := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}}
		require.False(t, s.Ask(t.Context(), shell).Refuses())
		f, err := s.Flow(shell, &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true})
		require.NoError(t, err)
		for range 3 {
			time.Sleep(18*time.Minute + time.Second)
			synctest.Wait()
			_, err = f.Bytes(nil, []byte("l"))
			require.NoError(t, err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.ErrorIs(t, s.Err(), proxy.ErrDeadline)
		idle := "this session ends in 2m if nothing happens in it: rule asks allows to be idle for 20m"
		require.Equal(t, []string{idle, idle, idle, "this session ends in 5m: rule asks allows 1h"}, told)
	})
}

// TestObligationsTogether: of what two ask for, the strictest counts, and neither is changed.
func TestObligationsTogether(t *testing.T) {
	a := Obligations{Masking: []string{"us", "eu"}, Recording: RecordingDigest, Session: time.Hour, Rows: 5, Review: &Review{}}
	b := Obligations{Masking: []string{"eu", "de"}, Recording: RecordingFull, Idle: 90 * time.Second, Session: 2 * time.Hour, Statements: 7}
	both := a.And(b)
	require.Equal(t, Obligations{
		Masking: []string{"de", "eu", "us"}, Recording: RecordingFull, Session: time.Hour, Idle: 90 * time.Second, Rows: 5, Statements: 7, Review: a.Review,
	}, both)
	require.Equal(t, []string{"us", "eu"}, a.Masking)
	require.Equal(t, []string{"eu", "de"}, b.Masking)
	require.Equal(t, "session 1h, idle 1m30s, 7 statements, 5 rows, masking de, masking eu, masking us, recording full", both.String())
	require.Empty(t, Obligations{}.String())
	require.Equal(t, []string{"eu", "us"}, a.And(Obligations{}).Masking)
}
