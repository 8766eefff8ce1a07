package sops

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// file is a file that is encrypted as the documentation of SOPS describes it.
type file struct {
	t        testing.TB
	identity *age.X25519Identity
	key      []byte
	summed   []string // plain values, in their order
	only     bool     // values that are encrypted are summed alone
}

func newFile(t testing.TB, identity *age.X25519Identity) *file {
	f := &file{t: t, identity: identity, key: make([]byte, 32)}
	rand.Read(f.key)
	return f
}

// seal encrypts a value for a place.
func (f *file) seal(text, where, kind string) string {
	block, err := aes.NewCipher(f.key)
	require.NoError(f.t, err)
	gcm, err := cipher.NewGCMWithNonceSize(block, 32)
	require.NoError(f.t, err)
	nonce := make([]byte, 32)
	rand.Read(nonce)
	out := gcm.Seal(nil, nonce, []byte(text), []byte(where))
	e := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]", e(out[:len(out)-16]), e(nonce), e(out[len(out)-16:]), kind)
}

// value encrypts a value that is summed.
func (f *file) value(text, path, kind string) string {
	f.summed = append(f.summed, text)
	return f.seal(text, strings.ReplaceAll(path, ".", ":")+":", kind)
}

// clear is a value that is not encrypted; text is how it is summed.
func (f *file) clear(text string) {
	if !f.only {
		f.summed = append(f.summed, text)
	}
}

// section is the metadata, as JSON, which is YAML too.
func (f *file) section() string {
	h := sha512.New()
	if f.only {
		begin := sha256.Sum256([]byte("sops"))
		h.Write(begin[:])
	}
	for _, s := range f.summed {
		h.Write([]byte(s))
	}
	var sealed bytes.Buffer
	a := armor.NewWriter(&sealed)
	w, err := age.Encrypt(a, f.identity.Recipient())
	require.NoError(f.t, err)
	_, err = w.Write(f.key)
	require.NoError(f.t, err)
	require.NoError(f.t, w.Close())
	require.NoError(f.t, a.Close())
	const at = "2026-01-02T03:04:05Z"
	text, err := json.Marshal(map[string]any{
		"age": []any{map[string]string{"recipient": f.identity.Recipient().String(), "enc": sealed.String()}}, "lastmodified": at,
		"mac": f.seal(fmt.Sprintf("%X", h.Sum(nil)), at, "str"), "mac_only_encrypted": f.only, "version": "3.10.2",
	})
	require.NoError(f.t, err)
	return string(text)
}

func identity(t *testing.T, dir string) *age.X25519Identity {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.txt"), []byte(i.String()+"\n"), 0o600))
	return i
}

func provider(t *testing.T, dir string) secrets.Provider {
	t.Helper()
	s := &Settings{Identity: "file:key.txt"}
	require.NoError(t, s.Validate())
	p, err := Kind().Open(s, secrets.Host{Dir: dir})
	require.NoError(t, err)
	return p
}

func TestSuite(t *testing.T) {
	for name, form := range map[string]string{
		"YAML": "db:\n    password: %s\n    list: [a]\nsops: %s\n",
		"JSON": `{"db": {"password": "%s", "list": ["a"]}, "sops": %s}`,
	} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				dir := t.TempDir()
				i := identity(t, dir)
				return &secretstest.Rig{
					Scheme: "sops", Provider: provider(t, dir), Ref: "sops:x.enc#db.password", Missing: "sops:x.enc#db.none", WrongType: "sops:x.enc#db.list", Empties: true, Large: true,
					Set: func(value string) {
						f := newFile(t, i)
						sealed := f.value(value, "db.password", "str")
						f.clear("a")
						require.NoError(t, os.WriteFile(filepath.Join(dir, "x.enc"), []byte(fmt.Sprintf(form, sealed, f.section())), 0o600))
					},
				}
			})
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	i := identity(t, dir)
	p := provider(t, dir)
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(text), 0o600))
	}
	get := func(ref string) (*secrets.Value, error) {
		r, err := secrets.Parse("sops:x.yaml" + ref)
		require.NoError(t, err)
		return p.Resolve(t.Context(), r, secrets.Use{})
	}
	whole := func(only bool) (text, password, other string) {
		f := newFile(t, i)
		f.only = only
		f.clear("app")
		password = f.value("hunter2", "db.password", "str")
		f.clear("5432")
		f.clear("1.5")
		f.clear("True")
		other = f.value("other2", "other", "str")
		port := f.value("6432", "list", "int")
		return "db:\n  user: app\n  password: " + password + "\n  port: 5432\n  ratio: 1.50\n  tls: true\n  none: null\nother: " + other + "\nlist:\n  - " + port + "\n# a comment\nsops: " + f.section() + "\n", password, other
	}
	for _, only := range []bool{false, true} {
		text, password, other := whole(only)
		write(text)
		v, err := get("#db.password?user=db.user")
		require.NoError(t, err)
		require.Equal(t, []string{"hunter2", "app"}, []string{v.Plain().Reveal(), v.Username})
		_, err = get("#db.port")
		require.ErrorContains(t, err, "in clear")
		for name, changed := range map[string]string{
			"values that are exchanged":  strings.NewReplacer(password, other, other, password).Replace(text),
			"a value in clear":           strings.Replace(text, password, "evil", 1),
			"a value that is gone":       strings.Replace(text, "other: "+other+"\n", "", 1),
			"a value under another name": strings.Replace(text, "password:", "passwords:", 1),
			"another time":               strings.Replace(text, "03:04:05", "03:04:06", 1),
			"another digest":             strings.Replace(text, `"mac_only_encrypted":`+fmt.Sprint(only), `"mac_only_encrypted":`+fmt.Sprint(!only), 1),
		} {
			require.NotEqual(t, text, changed, name)
			write(changed)
			_, err := get("#db.password")
			require.ErrorIs(t, err, secrets.ErrType, name)
			require.NotContains(t, err.Error(), "hunter2")
		}
		write(strings.Replace(text, "user: app", "user: evil", 1))
		_, err = get("#db.password")
		require.Equal(t, only, err == nil, "what is in clear is covered too, unless the file says otherwise")
	}
	text, _, _ := whole(false)
	for _, bad := range []string{
		"", "hunter2", "a: b\n", "sops: {}\n", text + "---\na: b\n", strings.Replace(text, "other:", "db: 1\nother:", 1), "a: &x b\nc: *x\n" + text, strings.Replace(text, `"enc":`, `"was":`, 1),
		strings.Replace(text, `"age":`, `"key_groups":[{}],"age":`, 1), "sops: {}\n" + text,
	} {
		write(bad)
		_, err := get("#db.password")
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
	stranger, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	f := newFile(t, stranger)
	write("a: " + f.value("hunter2", "a", "str") + "\nsops: " + f.section() + "\n")
	_, err = get("#a")
	require.ErrorIs(t, err, secrets.ErrDenied)
	_, err = get("")
	require.ErrorContains(t, err, "give the key")
	require.True(t, secrets.Source{"sops": p}.Local("sops:x.yaml#a"), "it reads the gateway's host")
	require.Error(t, (&Settings{}).Validate())
}
