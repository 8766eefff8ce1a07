package mysql

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	oracle "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"
)

// The proofs are those of another implementation.
func TestProofsAgree(t *testing.T) {
	for _, password := range []string{"", "x", "wonder", strings.Repeat("long ", 60), "pässwörd", "a\x00b"} {
		n := nonce()
		require.Equal(t, oracle.CalcNativePassword(n[:], []byte(password)), nativeProof(n[:], password), "%q", password)
		require.Equal(t, oracle.CalcCachingSha2Password(n[:], []byte(password)), cachingProof(n[:], password), "%q", password)
		long := append(n[:], n[:12]...)
		want, err := oracle.CalcEd25519Password(long, password)
		require.NoError(t, err)
		got, err := ed25519Proof(long, password)
		require.NoError(t, err)
		require.Equal(t, want, got, "%q", password)
	}
}

func TestCachingProofIsChecked(t *testing.T) {
	n, other := nonce(), nonce()
	second := doubled("wonder")
	require.True(t, provesCaching(cachingProof(n[:], "wonder"), n[:], second))
	require.False(t, provesCaching(cachingProof(n[:], "wander"), n[:], second))
	require.False(t, provesCaching(cachingProof(n[:], "wonder"), other[:], second), "a proof for another nonce")
	for _, proof := range [][]byte{nil, {}, {0}, make([]byte, 20), make([]byte, 32), make([]byte, 33)} {
		require.False(t, provesCaching(proof, n[:], second), "%d bytes", len(proof))
	}
}

func TestSealedPassword(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	n := nonce()
	sealed, err := sealedPassword(n[:], "wonder", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	require.NoError(t, err)
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, key, sealed, nil)
	require.NoError(t, err)
	for i := range plain {
		plain[i] ^= n[i%len(n)]
	}
	require.Equal(t, "wonder\x00", string(plain))
	for _, bad := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		_, err := sealedPassword(n[:], "wonder", []byte(bad))
		require.Error(t, err)
	}
}
