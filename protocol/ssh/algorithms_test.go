package ssh

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

// TestDocumentedAlgorithms: the document lists what is offered, in its order.
func TestDocumentedAlgorithms(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ssh.md"))
	require.NoError(t, err)
	listed := func(row string) (names []string) {
		t.Helper()
		line := regexp.MustCompile(`(?m)^\| ` + row + ` \| (.*?)[|,;] *(and certificates.*)?\|?$`).FindSubmatch(text)
		require.NotNil(t, line, row)
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllSubmatch(line[1], -1) {
			names = append(names, string(name[1]))
		}
		return names
	}
	config := (&Handler{}).config(false)
	require.Equal(t, config.KeyExchanges, listed("key exchange"))
	require.Equal(t, config.Ciphers, listed("ciphers"))
	require.Equal(t, config.MACs, listed("MACs"))
	require.Equal(t, []string{gossh.KeyAlgoED25519, gossh.KeyAlgoECDSA256, gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512}, listed("the gateway's host keys"))
}

// hostSigners returns a host key of each kind.
func hostSigners(t *testing.T) (keys []gossh.Signer) {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, private := range []any{ed, ec, r} {
		key, err := gossh.NewSignerFromKey(private)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	return keys
}

// HostSigners is for the tests outside of the package.
var HostSigners = hostSigners
