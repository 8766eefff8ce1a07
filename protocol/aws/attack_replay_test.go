package aws

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAttackReplayLost: a request that the account may have got, and has not answered, does not come again as it is.
func TestAttackReplayLost(t *testing.T) {
	r, sent := start(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	req := r.request(r.keys("alice"), ask{method: "DELETE", uri: "/bucket/key"})
	require.Equal(t, 503, r.do(req).StatusCode)
	res := r.do(req)
	require.Equal(t, 403, res.StatusCode, res.text)
	require.Contains(t, res.text, "sent before")
	require.Len(t, sent(), 1)
	// One that cannot have come there may.
	r = startAt(t, "127.0.0.1:1", ownID, ownKey)
	req = r.request(r.keys("alice"), ask{method: "DELETE", uri: "/bucket/key"})
	require.Equal(t, 503, r.do(req).StatusCode)
	require.Equal(t, 503, r.do(req).StatusCode)
}

// TestReplayMemory: one person's requests take a part of the memory, whatever their number: those of others are remembered still, and are not
// refused.
func TestReplayMemory(t *testing.T) {
	var s seen
	now := time.Now()
	for i := range maxSeenOwn {
		fresh, full := s.add("mallory", strconv.Itoa(i), now)
		require.True(t, fresh && !full)
	}
	fresh, full := s.add("mallory", "one more", now)
	require.False(t, fresh)
	require.True(t, full)
	fresh, full = s.add("mallory", "0", now)
	require.False(t, fresh || full, "a replay is one still")
	fresh, full = s.add("alice", "hers", now)
	require.True(t, fresh && !full)
	fresh, full = s.add("alice", "hers", now)
	require.False(t, fresh || full)
	s.forget("mallory", "0")
	s.forget("mallory", "0")
	fresh, full = s.add("mallory", "one more", now)
	require.True(t, fresh && !full, "what has not run makes room")
	fresh, _ = s.add("alice", "hers", now.Add(seenFor+time.Second))
	require.False(t, fresh, "of the time before")
	fresh, full = s.add("mallory", "later", now.Add(seenFor+time.Second))
	require.True(t, fresh && !full)
	fresh, _ = s.add("alice", "hers", now.Add(2*seenFor+2*time.Second))
	require.True(t, fresh, "its signature counts no more")
}
