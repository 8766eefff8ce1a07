package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(time.Second, 3)
	now := time.Now()
	for range 3 {
		require.Zero(t, l.wait("a", now))
		require.Zero(t, l.take("a", now))
	}
	require.Equal(t, time.Second, l.take("a", now))
	require.Equal(t, time.Second, l.wait("a", now), "who has to wait is not counted")
	require.Zero(t, l.take("a", now.Add(time.Second)))
	require.NotZero(t, l.take("a", now.Add(time.Second)))
	later := now.Add(time.Hour)
	for range 3 {
		require.Zero(t, l.take("a", later), "a burst comes back, and no more than one")
	}
	require.NotZero(t, l.take("a", later))
	other := 0
	for _, key := range []string{"b", "c", "d", "e", "f"} {
		if l.take(key, later) == 0 {
			other++
		}
	}
	require.Greater(t, other, 3, "keys have rates of their own")
	require.Zero(t, testing.AllocsPerRun(100, func() { l.take("a", later) }))
}

func TestHost(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.7", "[::ffff:192.0.2.7]:80": "192.0.2.7", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::", "@": "@",
	} {
		require.Equal(t, want, host(remote), remote)
	}
}

func TestRates(t *testing.T) {
	r, now := newRates(time.Second, 2), time.Now()
	in := func(remote string) (n int) {
		for r.take(remote, now) == 0 {
			n++
		}
		return n
	}
	require.Equal(t, 2, in("192.0.2.7:80"))
	require.Equal(t, 0, in("192.0.2.7:81"))
	require.Equal(t, 2, in("192.0.2.8:80"))
	all := 0
	for i := range 100 {
		all += in(fmt.Sprintf("[2001:db8:7:%x::1]:80", i))
	}
	require.Equal(t, 20, all, "of one network")
	require.Equal(t, 2, in("[2001:db8:8::1]:80"))
}
