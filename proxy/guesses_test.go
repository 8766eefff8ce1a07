package proxy

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func at(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }

// guess tries n wrong passwords one after the other and returns when the last is
// answered.
func guess(g *guesses, user string, from net.Addr, now time.Time, n int) time.Time {
	for range n {
		if _, wait, ok := g.begin(user, from, now); ok {
			now = now.Add(wait)
		} else {
			now = now.Add(time.Second)
		}
	}
	return now
}

// TestGuesses: guessing gets slow, one at a time and many at a time, of one user and of
// many; mistakes cost nothing, and are forgotten.
func TestGuesses(t *testing.T) {
	begun := time.Now()
	t.Run("a few mistakes cost nothing", func(t *testing.T) {
		g := &guesses{}
		require.Equal(t, begun, guess(g, "alice", at("10.0.0.1"), begun, freeGuesses))
		a, wait, ok := g.begin("alice", at("10.0.0.1"), begun.Add(freeGuesses*forgetAfter))
		require.True(t, ok)
		require.Zero(t, wait)
		a.right(begun)
	})
	t.Run("one after the other", func(t *testing.T) {
		took := guess(&guesses{}, "alice", at("10.0.0.1"), begun, 109).Sub(begun)
		require.Greater(t, took, 10*time.Minute)
	})
	t.Run("many at a time", func(t *testing.T) {
		g := &guesses{}
		taken := 0
		for range 1000 {
			if _, _, ok := g.begin("alice", at("10.0.0.1"), begun); ok {
				taken++
			}
		}
		require.Less(t, taken, 2*freeGuesses)
	})
	t.Run("many users from one address", func(t *testing.T) {
		g := &guesses{}
		now := begun
		for i := range 109 {
			now = guess(g, fmt.Sprint("user", i), at("10.0.0.1"), now, 1)
		}
		require.Greater(t, now.Sub(begun), 10*time.Minute)
	})
	t.Run("addresses of one IPv6 network", func(t *testing.T) {
		g := &guesses{}
		now := begun
		for i := range 109 {
			now = guess(g, "alice", at(fmt.Sprintf("2001:db8::%x", i+1)), now, 1)
		}
		require.Greater(t, now.Sub(begun), 10*time.Minute)
	})
	t.Run("one user from many addresses", func(t *testing.T) {
		g := &guesses{}
		for i := range 200 {
			guess(g, "alice", at(fmt.Sprintf("10.0.%d.1", i)), begun, 1)
		}
		_, wait, ok := g.begin("alice", at("10.9.9.9"), begun)
		require.True(t, ok, "she is not locked out")
		require.Equal(t, userCap, wait)
		_, wait, ok = g.begin("bob", at("10.9.9.8"), begun)
		require.True(t, ok)
		require.Zero(t, wait, "others are not slowed down")
	})
	t.Run("her own address", func(t *testing.T) {
		g := &guesses{}
		a, _, _ := g.begin("alice", at("10.0.0.7"), begun)
		a.right(begun)
		guess(g, "alice", at("10.0.0.1"), begun, 100)
		guess(g, "mallory", at("10.0.0.7"), begun, 100)
		a, wait, ok := g.begin("alice", at("10.0.0.7"), begun)
		require.True(t, ok)
		require.Zero(t, wait, "where she has logged in, the guesses of others do not slow her down")
		a.right(begun)
		require.Greater(t, guess(g, "alice", at("10.0.0.7"), begun, 109).Sub(begun), 10*time.Minute, "and hers do")
	})
	t.Run("an own login is no reset", func(t *testing.T) {
		g := &guesses{}
		now := begun
		for range 109 {
			now = guess(g, "alice", at("10.0.0.1"), now, 1)
			if a, wait, ok := g.begin("mallory", at("10.0.0.1"), now); ok {
				now = now.Add(wait)
				a.right(now)
			}
		}
		require.Greater(t, now.Sub(begun), 10*time.Minute)
	})
	t.Run("memory", func(t *testing.T) {
		g := &guesses{}
		long := string(make([]byte, 1<<10))
		for i := range 3 * maxTracked {
			a, _, _ := g.begin(fmt.Sprint(i, long), at(fmt.Sprintf("10.%d.%d.1", i>>8, i&255)), begun)
			a.right(begun)
		}
		require.LessOrEqual(t, len(g.failed), maxTracked)
		require.LessOrEqual(t, len(g.proven), maxTracked)
		for k := range g.failed {
			require.LessOrEqual(t, len(k.user), maxUserName)
		}
	})
}

// TestQuiet: what anybody can cause is told one by one only so often, and all of it is
// counted.
func TestQuiet(t *testing.T) {
	for _, c := range []struct {
		name      string
		from      func(i int) net.Addr
		told, sum int
	}{
		{"one address", func(int) net.Addr { return at("10.0.0.1") }, quietOne, 1},
		{"many addresses", func(i int) net.Addr { return at(fmt.Sprintf("10.%d.%d.1", i>>8, i&255)) }, quietAll, 1},
		{"no address", func(int) net.Addr { return &net.UnixAddr{Name: "x"} }, quietOne, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &quiet{}
			told := 0
			for i := range 10_000 {
				if q.take(Event{Kind: EventLoginFailed, Remote: c.from(i), User: "alice"}, func() {}) {
					told++
				}
			}
			sums := q.end()
			require.Equal(t, c.told, told)
			require.LessOrEqual(t, len(sums), c.sum)
			n := uint64(told)
			for _, e := range sums {
				n += e.Count
				require.Equal(t, "alice", e.User)
			}
			require.Equal(t, uint64(10_000), n, "none is lost")
			require.True(t, q.take(Event{Kind: EventLoginFailed, Remote: c.from(0)}, func() {}), "the next minute begins anew")
		})
	}
}
