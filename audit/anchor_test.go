package audit

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// anchored is a log with a sealed session, one that was erased and one that is open.
func anchored(t *testing.T) (l *Log, a *Archive, kept, erased, open string) {
	t.Helper()
	dir := t.TempDir()
	start := func() {
		var err error
		l, err = Open(dir, Config{Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
	}
	session := func(end bool) string {
		s, err := proxytest.Open(&proxy.Gateway{}, l)
		require.NoError(t, err)
		if end {
			s.Close(nil)
		} else {
			t.Cleanup(func() { s.Close(nil) })
		}
		return s.ID
	}
	start()
	kept, erased = session(true), session(true)
	require.NoError(t, l.Close())
	start()
	t.Cleanup(func() { l.Close() })
	require.NoError(t, l.Erase(Action{By: &proxy.Identity{Subject: "root"}, Session: erased, Reason: "asked for"}))
	open = session(false)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	return l, a, kept, erased, open
}

// TestAnchor: what is sealed is proven by one head, also elsewhere; nothing else is.
func TestAnchor(t *testing.T) {
	_, a, kept, erased, open := anchored(t)
	x, err := a.Anchor()
	require.NoError(t, err)
	elsewhere, err := OpenAnchor(x.Checkpoint, x.Public)
	require.NoError(t, err)
	require.Equal(t, []any{x.Size, x.Root}, []any{elsewhere.Size, elsewhere.Root})
	for id, wasErased := range map[string]bool{kept: false, erased: true} {
		i, gone, err := a.Proves(x, id)
		require.NoError(t, err)
		require.Equal(t, wasErased, gone)
		require.NoError(t, elsewhere.Check(i))
		require.NotEmpty(t, i.Events())
		p, err := a.Prove(id)
		require.NoError(t, err)
		require.Equal(t, []any{wasErased, i.Index, x.Size}, []any{p.Erased, p.Index, p.Sessions})

		other := *i
		other.Session = open
		require.Error(t, elsewhere.Check(&other), "the proof is of another session")
		other = *i
		other.Index = x.Size
		require.Error(t, elsewhere.Check(&other))
		other.Index = -1
		require.Error(t, elsewhere.Check(&other))
		other = *i
		other.Leaf = strings.Replace(other.Leaf, " ", " 1", 1)
		require.Error(t, elsewhere.Check(&other), "the record would have had more events")
		other = *i
		other.Proof = nil
		require.Error(t, elsewhere.Check(&other))
	}
	_, err = x.Include(open)
	require.ErrorIs(t, err, ErrUnsealed)
	_, _, err = a.Proves(x, open)
	require.ErrorIs(t, err, ErrUnsealed)
	_, err = elsewhere.Include(kept)
	require.ErrorIs(t, err, ErrUnsealed, "it has no list of sessions")

	began, ok := Began(kept)
	require.True(t, ok)
	require.WithinDuration(t, time.Now(), began, time.Minute)
	_, ok = Began("not one")
	require.False(t, ok)

	require.NoError(t, os.Truncate(filepath.Join(a.dir, "log", "leaves"), 10))
	_, err = a.Anchor()
	require.ErrorIs(t, err, errShortened)
}

// TestEvidenceIsSigned: no byte of a manifest or its signature can be changed, another log has not signed it, and no other note of the log's
// is taken for one.
func TestEvidenceIsSigned(t *testing.T) {
	l, _, _, _, _ := anchored(t)
	other, _, _, _, _ := anchored(t)
	manifest := []byte("what there is")
	signed, err := l.SignEvidence(manifest)
	require.NoError(t, err)
	require.NoError(t, CheckEvidence(signed, manifest, l.tree.public))
	require.Error(t, CheckEvidence(signed, append(manifest, '\n'), l.tree.public))
	require.Error(t, CheckEvidence(signed, manifest, other.tree.public))
	require.Error(t, CheckEvidence(signed, manifest, "no key"))
	for i := range signed {
		b := []byte(signed)
		b[i] ^= 1
		require.Error(t, CheckEvidence(string(b), manifest, l.tree.public), "byte %d", i)
	}
	twice, err := other.SignEvidence(manifest)
	require.NoError(t, err)
	_, signature, _ := strings.Cut(twice, "\n\n")
	require.Error(t, CheckEvidence(signed+signature, manifest, l.tree.public), "one signs alone")
	require.Error(t, CheckEvidence(string(l.Head().Note), manifest, l.tree.public))
	_, err = OpenGrant(signed, l.tree.public)
	require.Error(t, err)
	grant, err := l.SignGrant(&proxy.Grant{Request: "r1"})
	if err == nil {
		require.Error(t, CheckEvidence(grant, manifest, l.tree.public))
	}
}
