package rego

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

// pair makes a private key, and a file with its public key.
func pair(t *testing.T, file string) (private string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(k)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))
}

// TestSignedBundles: a config file's bundle is a policy when one of its keys has signed it, and is
// nothing otherwise.
func TestSignedBundles(t *testing.T) {
	dir := t.TempDir()
	ours, others := pair(t, filepath.Join(dir, "ops.pem")), pair(t, filepath.Join(dir, "other.pem"))
	pack := func(name, private, rule string, tamper bool) {
		b := &bundle.Bundle{Manifest: bundle.Manifest{Revision: "1"}, Data: map[string]any{}}
		b.Manifest.Init()
		b.Modules = []bundle.ModuleFile{{Path: "/policy.rego", URL: "/policy.rego", Raw: []byte("package sallyport\n\ndecision := " + rule + "\n")}}
		if private != "" {
			require.NoError(t, b.GenerateSignature(bundle.NewSigningConfig(private, "ES256", ""), "ops", false))
		}
		if tamper {
			b.Modules[0].Raw = []byte("package sallyport\n\ndecision := {\"allow\": true}\n")
		}
		var out bytes.Buffer
		require.NoError(t, bundle.NewWriter(&out).DisableFormat(true).Write(*b))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o600))
	}
	const rule = `{"allow": input.identity.subject == "alice", "obligations": {"recording": "full"}}`
	pack("signed.tar.gz", ours, rule, false)
	pack("other.tar.gz", others, rule, false)
	pack("changed.tar.gz", ours, rule, true)
	pack("plain.tar.gz", "", rule, false)
	const keys = "keys: [{id: ops, file: ops.pem, algorithm: ES256}]"
	for name, c := range map[string]struct{ bundle, want string }{
		"signed":                {"file: signed.tar.gz, " + keys, ""},
		"not signed, knowingly": {"file: plain.tar.gz, unsigned: true", ""},
		"not signed":            {"file: plain.tar.gz, " + keys, "plain.tar.gz"},
		"signed by another":     {"file: other.tar.gz, " + keys, "other.tar.gz"},
		"changed":               {"file: changed.tar.gz, " + keys, "changed.tar.gz"},
		"a key that is not one": {"file: signed.tar.gz, keys: [{id: ops, file: signed.tar.gz, algorithm: ES256}]", "signed.tar.gz"},
		"a key that is gone":    {"file: signed.tar.gz, keys: [{id: ops, file: none.pem, algorithm: ES256}]", "none.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			o := gateway.Defaults()
			o.Rego = Engine{}
			f, err := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte("policy: {opa: {decides: true, timeout: 1s, bundles: [{"+c.bundle+"}]}}\n"), o)
			require.NoError(t, err)
			p, err := f.Rego(nil, nil, nil)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, f.Check(t.Context()), c.want)
				return
			}
			require.NoError(t, err)
			require.Empty(t, f.Check(t.Context()))
			g := &proxy.Gateway{Interceptors: []proxy.Interceptor{p}, Unrecorded: true}
			open := func(user string) error {
				resource := &proxy.Resource{Name: "shop", Type: "postgres"}
				s, _, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: user}, Target: proxy.Target{Resource: resource}})
				if err == nil {
					s.Close(nil)
				}
				return err
			}
			require.NoError(t, open("alice"))
			var refused *proxy.RefusedError
			require.ErrorAs(t, open("bob"), &refused)
		})
	}
}
