package backup_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/backup"
)

// signed is a backup with each file changed, or left out for nil, and signed anew by the key of the gateway's log.
func (p *place) signed(t testing.TB, b []byte, each func(name string, content []byte) []byte) []byte {
	t.Helper()
	type listed struct {
		Size   int64  `json:"size"`
		Mode   int64  `json:"mode"`
		SHA256 string `json:"sha256"`
	}
	opened, err := age.Decrypt(bytes.NewReader(b), p.id)
	require.NoError(t, err)
	var out bytes.Buffer
	sealed, err := age.Encrypt(&out, p.id.Recipient())
	require.NoError(t, err)
	in, w := tar.NewReader(opened), tar.NewWriter(sealed)
	manifest := make(map[string]listed)
	add := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	for {
		h, err := in.Next()
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		if h.Name != "manifest.json" {
			if content = each(h.Name, content); content != nil {
				sum := sha256.Sum256(content)
				manifest[h.Name] = listed{int64(len(content)), h.Mode, hex.EncodeToString(sum[:])}
				add(h, content)
			}
			continue
		}
		content, err = json.Marshal(manifest)
		require.NoError(t, err)
		add(h, content)
		sum := sha256.Sum256(content)
		log, err := os.OpenRoot(filepath.Join(p.data, "audit"))
		require.NoError(t, err)
		note, err := audit.SignNote(log, "backup", hex.EncodeToString(sum[:])+"\n")
		require.NoError(t, errors.Join(err, log.Close()))
		h, err = in.Next()
		require.NoError(t, err)
		add(h, note)
		require.NoError(t, errors.Join(w.Close(), sealed.Close()))
		return out.Bytes()
	}
}

// interrupting does something when a backup begins to be read, and then reads it.
type interrupting struct {
	io.Reader
	once sync.Once
	do   func()
}

func (r *interrupting) Read(b []byte) (int, error) {
	r.once.Do(r.do)
	return r.Reader.Read(b)
}

// Who owns a folder that root restores into leads it to no other: nothing is written through a link that is put there meanwhile.
func TestRestoreLinked(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	for _, which := range []string{"data", "config"} {
		t.Run(which, func(t *testing.T) {
			outside := t.TempDir()
			to := p.target(t)
			to.Config = filepath.Join(t.TempDir(), "etc")
			at := map[string]string{"data": to.Data, "config": to.Config}[which]
			_, err := backup.Restore(t.Context(), &interrupting{Reader: bytes.NewReader(b), do: func() {
				require.NoError(t, os.Rename(filepath.Join(at, ".restoring"), filepath.Join(at, "moved")))
				require.NoError(t, os.Symlink(outside, filepath.Join(at, ".restoring")))
			}}, to)
			require.Error(t, err)
			require.Empty(t, namesOf(t, outside))
		})
	}
}

// Of two restores into one folder one is done, and what somebody puts there meanwhile stays as it is.
func TestRestoreMeanwhile(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	to := p.target(t)
	_, err := backup.Restore(t.Context(), &interrupting{Reader: bytes.NewReader(b), do: func() {
		_, err := p.restore(t, b, to)
		require.ErrorContains(t, err, "did not come to its end, or goes on")
	}}, to)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(to.Data, "store.db"))

	for _, name := range []string{"store.db", "masking.key"} {
		to = p.target(t)
		_, err = backup.Restore(t.Context(), &interrupting{Reader: bytes.NewReader(b), do: func() {
			require.NoError(t, os.WriteFile(filepath.Join(to.Data, name), []byte("mine"), 0o600))
		}}, to)
		require.ErrorIs(t, err, os.ErrExist, name)
		text, err := os.ReadFile(filepath.Join(to.Data, name))
		require.NoError(t, err)
		require.Equal(t, "mine", string(text))
		require.Error(t, backup.Interrupted(to.Data))
	}
}

// A data directory can be in the folder of the configuration, as "data_dir: data" has it, and not the other way round.
func TestRestoreTogether(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	to := p.target(t)
	to.Config = filepath.Dir(to.Data)
	_, err := p.restore(t, b, to)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(to.Config, "sallyport.yaml"))
	require.FileExists(t, filepath.Join(to.Data, "store.db"))
	to = p.target(t)
	for _, to.Config = range []string{to.Data, filepath.Join(to.Data, "etc")} {
		_, err = p.restore(t, b, to)
		require.ErrorContains(t, err, "is in the data directory")
		require.NoDirExists(t, to.Data)
	}
}

// Proving a backup opens its store and reads its whole log, not its files alone, and leaves nothing.
func TestCheckProves(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	target := backup.Target{Keys: []age.Identity{p.id}, Public: p.public}
	r, err := backup.Check(t.Context(), bytes.NewReader(p.signed(t, b, same)), target)
	require.NoError(t, err)
	require.Equal(t, 4, r.Log.Sessions)
	lost := ""
	for what, c := range map[string]struct {
		each func(name string, content []byte) []byte
		says string
	}{
		"a damaged store": {func(name string, content []byte) []byte {
			if name == "data/store.db" {
				copy(content[len(content)-4096:], bytes.Repeat([]byte{0xaa}, 64))
			}
			return content
		}, "damaged"},
		"no store":    {drop("data/store.db"), "store.db"},
		"not a store": {replace("data/store.db", strings.Repeat("no database ", 1000)), "restore a backup"},
		"another key": {replace("data/store.key", strings.Repeat("ab", 32)), "sealed"},
		"no key":      {drop("data/store.key"), "the key that seals the store is to be in the backup"},
		"a lost record": {func(name string, content []byte) []byte {
			if strings.HasSuffix(name, ".rec") && (lost == "" || lost == name) {
				lost = name
				return nil
			}
			return content
		}, "its audit log is not as it was sealed"},
	} {
		t.Run(what, func(t *testing.T) {
			text := p.signed(t, b, c.each)
			_, err := backup.Check(t.Context(), bytes.NewReader(text), target)
			require.ErrorContains(t, err, c.says)
			require.Empty(t, namesOf(t, temp))
			to := p.target(t)
			_, err = p.restore(t, text, to)
			require.ErrorContains(t, err, c.says)
			require.NoDirExists(t, to.Data)
		})
	}
}

// A key of the store that the config file names elsewhere is not looked for in the data directory, also where an earlier one is there.
func TestRestoreKeyElsewhere(t *testing.T) {
	t.Setenv("STORE_KEY", strings.Repeat("ab", 32))
	p := newPlace(t, "store: {key: env:STORE_KEY}\n")
	_, err := p.restore(t, p.write(t, backup.Options{}), p.target(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(p.data, "store.key"), []byte(strings.Repeat("cd", 32)+"\n"), 0o600))
	_, err = p.restore(t, p.write(t, backup.Options{}), p.target(t))
	require.NoError(t, err)

	p = newPlace(t, "")
	require.NoError(t, os.Remove(filepath.Join(p.data, "store.key")))
	_, err = backup.Write(t.Context(), io.Discard, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
	require.ErrorContains(t, err, "store.key is missing")
}
