package opa

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// signer signs bundles with a key of its own.
type signer struct{ private, public string }

func newSigner(t *testing.T) signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(k)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	require.NoError(t, err)
	write := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return signer{write("EC PRIVATE KEY", private), write("PUBLIC KEY", public)}
}

func (s signer) key() Key { return Key{PEM: s.public, Algorithm: "ES256"} }

// pack makes a bundle of a module and data, signed by s when it is not nil, and changed by
// tamper after that.
func pack(t *testing.T, s *signer, keyID string, tamper func(*bundle.Bundle)) []byte {
	t.Helper()
	b := &bundle.Bundle{Data: map[string]any{"names": []any{"alice"}}, Manifest: bundle.Manifest{Revision: "1"}}
	b.Manifest.Init()
	b.Modules = []bundle.ModuleFile{{
		Path: "/policy.rego", URL: "/policy.rego", Raw: []byte("package sallyport\n\ndecision := {\"allow\": input.identity.subject in data.names}\n"),
	}}
	if s != nil {
		require.NoError(t, b.GenerateSignature(bundle.NewSigningConfig(s.private, "ES256", ""), keyID, false))
	}
	if tamper != nil {
		tamper(b)
	}
	var out bytes.Buffer
	w := bundle.NewWriter(&out)
	require.NoError(t, w.DisableFormat(true).Write(*b))
	return out.Bytes()
}

func TestBundles(t *testing.T) {
	ours, other := newSigner(t), newSigner(t)
	keys := map[string]Key{"ours": ours.key()}
	signed := pack(t, &ours, "ours", nil)
	for _, c := range []struct {
		name   string
		bundle Bundle
		want   string
	}{
		{"signed", Bundle{Content: signed, Keys: keys}, ""},
		{"signed, by the key that is named", Bundle{Content: signed, Keys: map[string]Key{"ours": ours.key(), "other": other.key()}, KeyID: "ours"}, ""},
		{"unsigned, and that is allowed", Bundle{Content: pack(t, nil, "", nil), Unsigned: true}, ""},
		{"unsigned", Bundle{Content: pack(t, nil, "", nil), Keys: keys}, "bundle b: "},
		{"no keys", Bundle{Content: signed}, "there is no key"},
		{"by another", Bundle{Content: pack(t, &other, "ours", nil), Keys: keys}, "bundle b: "},
		{"by a key that is not known", Bundle{Content: pack(t, &other, "other", nil), Keys: keys}, "bundle b: "},
		{"by another key than is named", Bundle{Content: pack(t, &other, "other", nil), Keys: map[string]Key{"ours": ours.key(), "other": other.key()}, KeyID: "ours"}, "bundle b: "},
		{"a module was changed", Bundle{Content: pack(t, &ours, "ours", func(b *bundle.Bundle) {
			b.Modules[0].Raw = []byte("package sallyport\n\ndecision := {\"allow\": true}\n")
		}), Keys: keys}, "bundle b: "},
		{"a module was added", Bundle{Content: pack(t, &ours, "ours", func(b *bundle.Bundle) {
			b.Modules = append(b.Modules, bundle.ModuleFile{Path: "/b.rego", URL: "/b.rego", Raw: []byte("package sallyport\n\ndecision := {\"allow\": true}\n")})
		}), Keys: keys}, "bundle b: "},
		{"data was changed", Bundle{Content: pack(t, &ours, "ours", func(b *bundle.Bundle) { b.Data["names"] = []any{"eve"} }), Keys: keys}, "bundle b: "},
		{"a shared secret as a key", Bundle{Content: signed, Keys: map[string]Key{"ours": {PEM: "secret", Algorithm: "HS256"}}}, "everybody who verifies can sign"},
		{"no algorithm", Bundle{Content: signed, Keys: map[string]Key{"ours": {PEM: ours.public}}}, "needs a public key and an algorithm"},
		{"garbage", Bundle{Content: []byte("garbage"), Keys: keys}, "bundle b: "},
		{"nothing", Bundle{Keys: keys}, "bundle b: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.bundle.Name = "b"
			p, err := New(Config{Bundles: []Bundle{c.bundle}})
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, proxy.ActionPass, judge(t, p, reading(proxy.EffectRead)).Action)
			bob := *session
			bob.Identity = &proxy.Identity{Subject: "bob"}
			h, err := p.Intercept(t.Context(), &bob)
			require.NoError(t, err)
			v := h.Ask(t.Context(), reading(proxy.EffectRead))
			require.True(t, v.Refuses())
		})
	}
}

// TestBundlesAreBoundByWhatPoliciesMay holds that a signature gives no further functions.
func TestBundlesAreBoundByWhatPoliciesMay(t *testing.T) {
	ours := newSigner(t)
	b := &bundle.Bundle{Data: map[string]any{}}
	b.Manifest.Init()
	b.Modules = []bundle.ModuleFile{{Path: "/p.rego", URL: "/p.rego", Raw: []byte("package sallyport\n\ndecision := http.send({})\n")}}
	require.NoError(t, b.GenerateSignature(bundle.NewSigningConfig(ours.private, "ES256", ""), "ours", false))
	var out bytes.Buffer
	require.NoError(t, bundle.NewWriter(&out).DisableFormat(true).Write(*b))
	_, err := New(Config{Bundles: []Bundle{{Name: "b", Content: out.Bytes(), Keys: map[string]Key{"ours": ours.key()}}}})
	require.ErrorContains(t, err, "undefined function http.send")
	require.True(t, strings.Contains(err.Error(), "p.rego:3"), err)
}
