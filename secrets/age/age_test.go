package age

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// seal writes text to a file, for the holder of identity.
func seal(t *testing.T, path string, identity *age.X25519Identity, text string, armored bool) {
	t.Helper()
	var b bytes.Buffer
	var to io.Writer = &b
	var outer io.WriteCloser
	if armored {
		outer = armor.NewWriter(&b)
		to = outer
	}
	w, err := age.Encrypt(to, identity.Recipient())
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	if outer != nil {
		require.NoError(t, outer.Close())
	}
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
}

func identity(t *testing.T, dir string) *age.X25519Identity {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.txt"), []byte("# created: today\n# public key: "+i.Recipient().String()+"\n"+i.String()+"\n"), 0o600))
	return i
}

func TestSuite(t *testing.T) {
	for name, armored := range map[string]bool{"binary": false, "armored": true} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				dir := t.TempDir()
				i := identity(t, dir)
				require.NoError(t, (&Settings{Identity: "file:key.txt"}).Validate())
				p, err := Kind().Open(&Settings{Identity: "file:key.txt"}, secrets.Host{Dir: dir})
				require.NoError(t, err)
				return &secretstest.Rig{
					Scheme: "age", Provider: p, Ref: "age:db.age", Missing: "age:none.age", Empties: true, Large: true,
					Set: func(value string) { seal(t, filepath.Join(dir, "db.age"), i, value, armored) },
				}
			})
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	i := identity(t, dir)
	p, err := Kind().Open(&Settings{Identity: "file:key.txt"}, secrets.Host{Dir: dir})
	require.NoError(t, err)
	get := func(text string) (*secrets.Value, error) {
		ref, err := secrets.Parse(text)
		require.NoError(t, err)
		return p.Resolve(t.Context(), ref, secrets.Use{})
	}
	path := filepath.Join(dir, "db.age")
	seal(t, path, i, "USER=app\nPASSWORD=hunter2\n", false)
	v, err := get("age:db.age#PASSWORD?user=USER")
	require.NoError(t, err)
	require.Equal(t, []string{"hunter2", "app"}, []string{v.Password.Reveal(), v.Username})
	sealed, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "hunter2")
	sealed[len(sealed)-1] ^= 1
	require.NoError(t, os.WriteFile(path, sealed, 0o600))
	_, err = get("age:db.age#PASSWORD")
	require.ErrorContains(t, err, "damaged")
	require.NoError(t, os.WriteFile(path, []byte("PASSWORD=hunter2"), 0o600))
	_, err = get("age:db.age#PASSWORD")
	require.ErrorIs(t, err, secrets.ErrType, "a file that is not encrypted is not taken for one")
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	seal(t, path, other, "PASSWORD=hunter2", true)
	_, err = get("age:db.age#PASSWORD")
	require.ErrorIs(t, err, secrets.ErrDenied)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.txt"), []byte("hunter2"), 0o600))
	_, err = get("age:db.age#PASSWORD")
	require.ErrorIs(t, err, secrets.ErrType)
	require.NotContains(t, err.Error(), "hunter2")
	require.True(t, secrets.Source{"age": p}.Local("age:db.age"), "it reads the gateway's host")
	require.Error(t, (&Settings{}).Validate())
}
