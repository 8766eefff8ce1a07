package proxy_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// witness says whether something was so when it was asked about an operation.
type witness struct{ is, was atomic.Bool }

func (*witness) Name() string { return "witness" }

func (w *witness) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		w.was.Store(w.is.Load())
		return proxy.Allow("all")
	}}, nil
}

func statement() *proxy.Statement {
	return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 1")}
}

// TestFreeze: what is asked of a session that is frozen is asked when it goes on, and not at all when it is ended.
func TestFreeze(t *testing.T) {
	w := &witness{}
	s, err := proxytest.Open(&proxy.Gateway{}, w)
	require.NoError(t, err)
	defer s.Close(nil)
	s.Await(t.Context()) // nothing is frozen
	require.False(t, s.Thaw())
	require.True(t, s.Freeze(proxy.Freeze{By: "ada", Reason: "what is this?", At: time.Now()}))
	require.False(t, s.Freeze(proxy.Freeze{By: "olga"}), "it is frozen already")
	f, is := s.Frozen()
	require.True(t, is)
	require.Equal(t, "ada", f.By)

	done := make(chan bool)
	ask := func() {
		op := statement()
		v := s.Ask(s.Context(), op)
		refused := v.Refuses()
		if !refused {
			s.Done(op, &proxy.Outcome{})
		}
		done <- refused
	}
	go ask()
	w.is.Store(true)
	require.True(t, s.Thaw())
	require.False(t, <-done)
	require.True(t, w.was.Load(), "nobody was asked before")

	require.True(t, s.Freeze(proxy.Freeze{By: "ada"}))
	gone, leave := context.WithCancel(t.Context())
	leave()
	s.Await(gone) // who has left does not wait
	w.was.Store(false)
	go ask()
	s.Kill(errors.New("enough"))
	require.True(t, <-done, "the end of a session ends the freeze")
	require.False(t, w.was.Load())
}

// TestWords: what is written to a user who does not listen comes with her next answer, once; so much of it waits, and no more.
func TestWords(t *testing.T) {
	s, err := proxytest.Open(&proxy.Gateway{}, &witness{})
	require.NoError(t, err)
	defer s.Close(nil)
	for i := range 9 {
		now, err := s.Message("lunch")
		require.False(t, now)
		if i == 8 {
			require.ErrorIs(t, err, proxy.ErrTooManyWords)
		}
	}
	op := statement()
	require.Contains(t, s.Ask(s.Context(), op).Warn, "lunch\nlunch")
	s.Done(op, &proxy.Outcome{})
	again := statement()
	require.Empty(t, s.Ask(s.Context(), again).Warn)
	s.Done(again, &proxy.Outcome{})

	heard := ""
	s.HandleReminders(func(text string) bool { heard = text; return true })
	now, err := s.Message("dinner")
	require.NoError(t, err)
	require.True(t, now)
	require.Equal(t, "dinner", heard)
}
