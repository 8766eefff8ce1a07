package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/proxy"
)

func grantOf(request string) *proxy.Grant {
	return &proxy.Grant{
		Version: proxy.GrantVersion, State: proxy.GrantApproved, Request: request, Requester: "alice", Resource: "r", Kind: "statement", Rules: []string{"big"},
		NotAfter: time.Now().Add(time.Hour).UTC().Truncate(time.Second), Uses: 1, Hash: "h", Document: "d", Votes: []proxy.GrantVote{{By: "bob"}},
	}
}

// A grant is proven by the public key of the log that has signed it, and by nothing else; no byte of it can be changed.
func TestGrantIsSigned(t *testing.T) {
	l, other := openLog(t, t.TempDir(), Config{}), openLog(t, t.TempDir(), Config{})
	defer l.Close()
	defer other.Close()
	g := grantOf("abc\n")
	signed, err := l.SignGrant(g)
	require.NoError(t, err)
	origin, err := GrantOrigin(signed)
	require.NoError(t, err)
	require.Equal(t, l.Origin(), origin)
	for _, keys := range [][]string{{l.PublicKey()}, {other.PublicKey(), l.PublicKey()}} {
		got, err := OpenGrant(signed, keys...)
		require.NoError(t, err)
		require.Equal(t, g, got)
	}
	for _, keys := range [][]string{nil, {other.PublicKey()}} {
		_, err = OpenGrant(signed, keys...)
		require.ErrorIs(t, err, ErrOtherSigner)
		require.ErrorContains(t, err, l.Origin())
	}
	_, err = OpenGrant(signed, "nonsense")
	require.Error(t, err)
	for i := range signed {
		for _, bit := range []byte{1, 0x20, 0x80} {
			changed := []byte(signed)
			changed[i] ^= bit
			_, err := OpenGrant(string(changed), l.PublicKey())
			require.Error(t, err, "byte %d ^ %#x", i, bit)
		}
	}
	lines := strings.SplitAfter(signed, "\n")
	for name, changed := range map[string]string{
		"cut": signed[:len(signed)-1], "appended": signed + "\n", "signed twice": signed + lines[len(lines)-2], "nothing": "", "long": signed + strings.Repeat("x", maxGrant),
		"by another in its name": strings.ReplaceAll(func() string { s, err := other.SignGrant(g); require.NoError(t, err); return s }(), other.Origin(), l.Origin()),
	} {
		_, err := OpenGrant(changed, l.PublicKey())
		require.Error(t, err, name)
	}
	_, err = l.SignGrant(&proxy.Grant{Requester: strings.Repeat("x", maxGrant)})
	require.Error(t, err)
}

// What the log signs of one kind is not taken for another.
func TestGrantIsNoHead(t *testing.T) {
	l := openLog(t, t.TempDir(), Config{})
	defer l.Close()
	signed, err := l.SignGrant(grantOf("abc"))
	require.NoError(t, err)
	_, err = openCheckpoint([]byte(signed), l.PublicKey())
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "log", tailName), []byte(signed), 0o600))
	_, err = readTail(l.dir, l.PublicKey())
	require.Error(t, err)
	_, err = OpenGrant(string(l.Head().Note), l.PublicKey())
	require.Error(t, err)
	_, err = OpenGrant(string(read(t, filepath.Join(l.dir, "log", checkpointName))), l.PublicKey())
	require.Error(t, err)
	// Nor is what somebody calls a grant whose log it is not.
	forged, err := note.Sign(&note.Note{Text: "x" + grantLine + "\n{}\n"}, l.tree.signer)
	require.NoError(t, err)
	_, err = OpenGrant(string(forged), l.PublicKey())
	require.Error(t, err)
}
