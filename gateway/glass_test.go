package gateway

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// loud adds to a config file a channel that wants to be told of nothing that happens, and the API.
func loud(t *testing.T, dir string, r *receiver) string {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	return fmt.Sprintf(`api: {listen: 127.0.0.1:0, url: "https://gw.example.com"}
notify: [{name: quiet, type: webhook, url: %q, keys: ["file:%s/key"], private: true, ca: "%s/a.pem", events: [expired]}]
`, r.URL, dir, dir)
}

// TestBreakGlass: with a real client: access without an approval opens sessions that are recorded in full, at every gateway, is told to a
// channel that wants to be told of nothing, ends when it is taken back, and is reviewed.
func TestBreakGlass(t *testing.T) {
	dir := t.TempDir()
	told := newReceiver(t, dir, "a.pem")
	one, two, _ := openPair(t, onRequest(`{approvers: ["local:ops"], break_glass: {groups: [dev], max: 30m}}`)+loud(t, dir, told))
	alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
	terms, err := one.requestable(t.Context(), alice, "", "shop", "")
	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, terms[0].BreakGlass)
	none, err := one.requestable(t.Context(), &proxy.Identity{Subject: "ci", Groups: []string{"dev"}, Kind: proxy.Service}, "", "shop", "")
	require.NoError(t, err)
	require.Zero(t, none[0].BreakGlass)
	r, err := one.desk.Break(t.Context(), alice, review.Ask{Resource: "shop", Terms: terms[0], Reason: "orders are lost", Remote: "test"}, "password (pwd otp mfa)")
	require.NoError(t, err)
	told.told(t, one, r.ID+" break_glass")
	for _, g := range []*house{two, one} {
		require.NoError(t, g.desk.Follow(t.Context(), r.ID))
		s := connect(t, g.database("alice", "shop"))
		require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
		id := g.session(t, "alice", "shop").ID
		var rows [][]*string
		require.Eventually(t, func() bool {
			for _, e := range g.records(t)[id] {
				switch e.Type {
				case audit.SessionStart:
					require.Equal(t, "full", e.Recording["rows"])
				case audit.RecordingRows:
					rows = e.Values
				}
			}
			return rows != nil
		}, 20*time.Second, 20*time.Millisecond)
		require.Equal(t, "hello", *rows[0][0])
		if g == one {
			_, err = two.desk.Revoke(t.Context(), r.ID, review.Vote{By: olga, Reason: "enough"}, false)
			require.NoError(t, err)
			m, err := s.Receive()
			require.NoError(t, err)
			require.Contains(t, m.(*pgproto3.ErrorResponse).Message, "was revoked by olga: enough")
			break
		}
	}
	require.Eventually(t, func() bool {
		now, err := one.desk.Get(t.Context(), r.ID)
		require.NoError(t, err)
		return now.State == review.ReviewDue
	}, 10*time.Second, 10*time.Millisecond)
	var unreviewed *review.UnreviewedError
	_, err = two.desk.Break(t.Context(), alice, review.Ask{Resource: "shop", Terms: terms[0], Reason: "again"}, "x")
	require.ErrorAs(t, err, &unreviewed)
	_, err = two.desk.Review(t.Context(), r.ID, review.Vote{By: olga, Hash: r.Hash, Reason: "as the record says"}, false, false)
	require.NoError(t, err)
	var steps []string
	for _, g := range []*house{one, two} {
		for _, e := range g.records(t)[""] {
			if step, ok := strings.CutPrefix(e.Type, audit.ReviewPrefix); ok && step != review.Undone {
				steps = append(steps, step+" "+e.DecidedBy)
			}
		}
	}
	slices.Sort(steps)
	require.Equal(t, []string{"break_glass ", "review_due ", "reviewed olga", "revoked olga"}, slices.Compact(steps))
	require.Equal(t, []string{r.ID + " break_glass"}, told.has(), "it is told of nothing else")
	require.Contains(t, one.log.String(), "somebody has taken access without an approval")
	require.NoError(t, two.stop())
	require.Equal(t, map[string]int{one.Gateway.records.Origin(): 1}, two.verified(t).Approvals.Others)
	require.NoError(t, one.stop())
	require.Equal(t, 1, one.verified(t).Approvals.Proven)
}
