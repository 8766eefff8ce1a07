package backup_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/backup"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// place is the folders of a gateway that has run.
type place struct {
	config *config.File
	data   string
	id     *age.X25519Identity
	public string // of its log
}

// newPlace makes what a gateway leaves: a store with a document, its key, other keys, and an audit log with sessions.
func newPlace(t testing.TB, extra string) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{data: filepath.Join(dir, "etc", "data")}
	var err error
	p.id, err = age.GenerateX25519Identity()
	require.NoError(t, err)
	name := filepath.Join(dir, "etc", "sallyport.yaml")
	require.NoError(t, os.MkdirAll(filepath.Join(p.data, "ca"), 0o700))
	require.NoError(t, os.WriteFile(name, []byte("data_dir: data\n"+extra), 0o640))
	p.config, err = config.Load(name, config.Options{Secrets: secrets.Default()})
	require.NoError(t, err)
	keys, err := p.config.StoreKeys(t.Context(), nil)
	require.NoError(t, err)
	if p.config.Store.URL == "" {
		s, err := sqlstore.OpenSQLite(t.Context(), p.config.StoreFile(), sqlstore.Options{})
		require.NoError(t, err)
		_, err = store.OpenSealer(t.Context(), s, keys[0])
		require.NoError(t, err)
		_, err = s.Write(t.Context(), store.Create(store.Document{Kind: "note", Name: "a", Body: json.RawMessage(`{"b":1}`)}))
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	for name, mode := range map[string]fs.FileMode{"masking.key": 0o600, "ca/ca.pem": 0o644, "leases": 0o600, ".new-x": 0o600} {
		require.NoError(t, os.WriteFile(filepath.Join(p.data, name), []byte("content of "+name), mode))
	}
	l, err := audit.Open(filepath.Join(p.data, "audit"), audit.Config{})
	require.NoError(t, err)
	for range 3 {
		s, err := proxytest.Open(&proxy.Gateway{}, l)
		require.NoError(t, err)
		s.Ask(t.Context(), proxytest.Statement("SELECT 1", proxy.EffectRead))
		s.Close(nil)
	}
	p.public = l.PublicKey()
	require.NoError(t, l.Close())
	return p
}

func (p *place) write(t testing.TB, o backup.Options) []byte {
	t.Helper()
	var out bytes.Buffer
	o.To = []age.Recipient{p.id.Recipient()}
	_, err := backup.Write(t.Context(), &out, p.config, o)
	require.NoError(t, err)
	return out.Bytes()
}

func (p *place) target(t testing.TB) backup.Target {
	t.Helper()
	return backup.Target{Data: filepath.Join(t.TempDir(), "data"), Keys: []age.Identity{p.id}}
}

func (p *place) restore(t testing.TB, b []byte, o backup.Target) (*backup.Proven, error) {
	t.Helper()
	return backup.Restore(t.Context(), bytes.NewReader(b), o)
}

// What was backed up comes back, with its modes, and without what is of a running process.
func TestRestore(t *testing.T) {
	p := newPlace(t, "masking_key: {secret: env:MASKING_KEY}\n")
	b := p.write(t, backup.Options{Version: "v1.2.3"})
	to := p.target(t)
	to.Config, to.Public = filepath.Join(t.TempDir(), "etc"), p.public
	r, err := p.restore(t, b, to)
	require.NoError(t, err)
	require.Equal(t, "v1.2.3", r.Version)
	require.Equal(t, []string{"env"}, r.Elsewhere)
	require.Len(t, r.Missing(), 1)
	require.Empty(t, r.Log.Problems)
	require.Equal(t, 4, r.Log.Sessions)

	s, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(to.Data, "store.db"), sqlstore.Options{})
	require.NoError(t, err)
	d, err := s.Get(t.Context(), "note", "a")
	require.NoError(t, err)
	require.JSONEq(t, `{"b":1}`, string(d.Body))
	require.NoError(t, s.Close())
	for name, mode := range map[string]fs.FileMode{"store.key": 0o600, "masking.key": 0o600, "ca/ca.pem": 0o644, "audit/log/key": 0o600} {
		info, err := os.Stat(filepath.Join(to.Data, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	for _, name := range []string{"leases", ".new-x", ".restoring", "audit/lock"} {
		require.NoFileExists(t, filepath.Join(to.Data, name))
	}
	require.NoDirExists(t, filepath.Join(to.Data, ".restoring"))
	require.NoDirExists(t, filepath.Join(to.Config, ".restoring"))
	text, err := os.ReadFile(filepath.Join(to.Config, "sallyport.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "MASKING_KEY")
	l, err := audit.Open(filepath.Join(to.Data, "audit"), audit.Config{})
	require.NoError(t, err)
	require.Equal(t, p.public, l.PublicKey())
	require.NoError(t, l.Close())
}

// A backup with any byte changed, or cut off anywhere, is refused, and leaves nothing.
func TestRestoreDamaged(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	step := max(1, len(b)/9)
	for at := 0; at < len(b); at += step {
		flipped := bytes.Clone(b)
		flipped[at] ^= 1
		for what, text := range map[string][]byte{"flipped": flipped, "cut": b[:at], "more": append(bytes.Clone(b), b[:at+1]...)} {
			to := p.target(t)
			_, err := p.restore(t, text, to)
			require.Error(t, err, "%s at %d of %d", what, at, len(b))
			require.NoDirExists(t, to.Data)
			_, err = backup.Check(t.Context(), bytes.NewReader(text), backup.Target{Keys: to.Keys})
			require.Error(t, err, "%s at %d of %d", what, at, len(b))
		}
	}
	last := bytes.Clone(b)
	last[len(last)-1] ^= 0x80
	_, err := backup.Check(t.Context(), bytes.NewReader(last), backup.Target{Keys: []age.Identity{p.id}})
	require.Error(t, err)
	_, err = backup.Check(t.Context(), bytes.NewReader(b), backup.Target{Keys: []age.Identity{p.id}, Public: p.public})
	require.NoError(t, err)
}

// A backup is for the keys that it was sealed to, and by the gateway whose log has signed it.
func TestRestoreOthers(t *testing.T) {
	p, q := newPlace(t, ""), newPlace(t, "")
	b := p.write(t, backup.Options{})
	to := p.target(t)
	to.Keys = []age.Identity{q.id}
	_, err := p.restore(t, b, to)
	require.ErrorContains(t, err, "it is for other keys")
	to = p.target(t)
	to.Public = q.public
	_, err = p.restore(t, b, to)
	require.ErrorContains(t, err, "not signed by the key of this audit log")
	require.NoDirExists(t, to.Data)
	var plain bytes.Buffer
	w, err := age.Encrypt(&plain, p.id.Recipient())
	require.NoError(t, err)
	_, err = w.Write([]byte("a letter"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = p.restore(t, plain.Bytes(), p.target(t))
	require.ErrorContains(t, err, "not a backup of a gateway")
}

// A backup is restored into an empty folder alone.
func TestRestoreNotEmpty(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	to := p.target(t)
	require.NoError(t, os.MkdirAll(filepath.Join(to.Data, "lost+found"), 0o700))
	other := filepath.Join(to.Data, "x")
	require.NoError(t, os.WriteFile(other, []byte("mine"), 0o600))
	_, err := p.restore(t, b, to)
	require.ErrorContains(t, err, "is not empty")
	text, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
	require.NoError(t, os.Remove(other))
	to.Config = filepath.Dir(p.data)
	_, err = p.restore(t, b, to)
	require.ErrorContains(t, err, "is not empty")
	to.Config = ""
	_, err = p.restore(t, b, to)
	require.NoError(t, err)
	_, err = p.restore(t, b, to)
	require.ErrorContains(t, err, "is not empty")
}

// A restore that was stopped before its end is told, and not taken for a data directory.
func TestRestoreInterrupted(t *testing.T) {
	p := newPlace(t, "")
	b := p.write(t, backup.Options{})
	to := p.target(t)
	require.NoError(t, os.MkdirAll(filepath.Join(to.Data, ".restoring"), 0o700))
	_, err := p.restore(t, b, to)
	require.ErrorContains(t, err, "did not come to its end")
	require.ErrorContains(t, backup.Interrupted(to.Data), "did not come to its end")
	require.NoError(t, backup.Interrupted(p.data))
}

// What a newer program made is refused: by its version, the format of the backup, or the schema of the store.
func TestRestoreNewer(t *testing.T) {
	p := newPlace(t, "")
	to := p.target(t)
	to.Version = "v1.2.2"
	_, err := p.restore(t, p.write(t, backup.Options{Version: "v1.2.3"}), to)
	require.ErrorContains(t, err, "was made by version v1.2.3, and this program is v1.2.2")
	_, err = p.restore(t, p.change(t, func(name string, content []byte) []byte {
		if name == "backup.json" {
			return bytes.Replace(content, []byte(`"format": 1`), []byte(`"format": 2`), 1)
		}
		return content
	}), p.target(t))
	require.ErrorContains(t, err, "the backup has format 2")
	db, err := sqlstore.OpenSQLite(t.Context(), p.config.StoreFile(), sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	newerSchema(t, p.config.StoreFile())
	to = p.target(t)
	_, err = p.restore(t, p.write(t, backup.Options{}), to)
	require.ErrorContains(t, err, "update this program")
	require.NoDirExists(t, to.Data)
}

// change opens a backup, has each file changed, and seals it again, as somebody who has the public key can.
func (p *place) change(t testing.TB, each func(name string, content []byte) []byte, more ...*tar.Header) []byte {
	t.Helper()
	opened, err := age.Decrypt(bytes.NewReader(p.write(t, backup.Options{})), p.id)
	require.NoError(t, err)
	var out bytes.Buffer
	sealed, err := age.Encrypt(&out, p.id.Recipient())
	require.NoError(t, err)
	in, w := tar.NewReader(opened), tar.NewWriter(sealed)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		if content = each(h.Name, content); content == nil {
			continue
		}
		if h.Name == "manifest.json" {
			for _, m := range more {
				require.NoError(t, w.WriteHeader(m))
				_, err = w.Write(bytes.Repeat([]byte("x"), int(m.Size)))
				require.NoError(t, err)
			}
		}
		h.Size = int64(len(content))
		require.NoError(t, w.WriteHeader(h))
		_, err = w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, sealed.Close())
	return out.Bytes()
}

func same(_ string, content []byte) []byte { return content }

// A backup that somebody made who has the public key alone is refused, whatever it holds.
func TestRestoreForged(t *testing.T) {
	p := newPlace(t, "")
	_, err := p.restore(t, p.change(t, same), p.target(t))
	require.NoError(t, err, "sealed again as it was")
	plain := func(name string) *tar.Header {
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: 3}
	}
	for what, c := range map[string]struct {
		each func(name string, content []byte) []byte
		more *tar.Header
		says string
	}{
		"another file":    {same, plain("data/extra"), "files that its list does not name"},
		"above":           {same, plain("data/../../x"), "with the name"},
		"absolute":        {same, plain("/etc/passwd"), "with the name"},
		"elsewhere":       {same, plain("other/x"), "with the name"},
		"not clean":       {same, plain("data//x"), "with the name"},
		"backslash":       {same, plain(`data/..\..\x`), "with the name"},
		"the folder":      {same, plain("data"), "with the name"},
		"replaced":        {same, plain("data/store.key"), "is not as it was written"},
		"a link":          {same, &tar.Header{Typeflag: tar.TypeSymlink, Name: "data/l", Linkname: "/etc"}, "is not a file"},
		"a hard link":     {same, &tar.Header{Typeflag: tar.TypeLink, Name: "data/l", Linkname: "/etc/passwd"}, "is not a file"},
		"a device":        {same, &tar.Header{Typeflag: tar.TypeChar, Name: "data/d", Devmajor: 1}, "is not a file"},
		"setuid":          {same, &tar.Header{Typeflag: tar.TypeReg, Name: "data/x", Mode: 0o4755, Size: 3}, "want one of a plain file"},
		"without a file":  {drop("data/masking.key"), nil, "data/masking.key is not in it"},
		"without a list":  {drop("manifest.json"), nil, "with the name"},
		"without a proof": {drop("manifest.sig"), nil, "cut off"},
		"another content": {replace("data/masking.key", "mine"), nil, "data/masking.key is not as it was written"},
		"another list":    {replace("manifest.json", "{}"), nil, "not signed by the key"},
		"no list":         {replace("manifest.json", "no list"), nil, "not signed by the key"},
		"another proof":   {replace("manifest.sig", "none"), nil, "not signed by the key"},
		"another key":     {replace("data/audit/log/key.pub", newPlace(t, "").public), nil, "not signed by the key"},
	} {
		t.Run(what, func(t *testing.T) {
			var more []*tar.Header
			if c.more != nil {
				more = append(more, c.more)
			}
			to := p.target(t)
			_, err := p.restore(t, p.change(t, c.each, more...), to)
			require.ErrorContains(t, err, c.says)
			require.NoDirExists(t, to.Data)
		})
	}
}

func drop(what string) func(string, []byte) []byte {
	return func(name string, content []byte) []byte {
		if name == what {
			return nil
		}
		return content
	}
}

func replace(what, by string) func(string, []byte) []byte {
	return func(name string, content []byte) []byte {
		if name == what {
			return []byte(by)
		}
		return content
	}
}

// An audit log that is not as it was sealed is told, and restored where somebody wants that.
func TestRestoreUnproven(t *testing.T) {
	p := newPlace(t, "")
	list, err := filepath.Glob(filepath.Join(p.data, "audit", "sessions", "*", "*.rec"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(list[0]))
	b := p.write(t, backup.Options{})
	_, err = p.restore(t, b, p.target(t))
	require.ErrorContains(t, err, "its audit log is not as it was sealed")
	to := p.target(t)
	to.Unproven = true
	r, err := p.restore(t, b, to)
	require.NoError(t, err)
	require.Len(t, r.Log.Problems, 1)
}

// Records can be left out; the log begins all the same, and its keys are there.
func TestRestoreWithoutRecords(t *testing.T) {
	p := newPlace(t, "")
	b, all := p.write(t, backup.Options{WithoutRecords: true}), p.write(t, backup.Options{})
	require.Less(t, len(b), len(all))
	to := p.target(t)
	r, err := p.restore(t, b, to)
	require.NoError(t, err)
	require.False(t, r.Records)
	require.Nil(t, r.Log)
	keys, err := filepath.Glob(filepath.Join(to.Data, "audit", "sessions", "*", "*.key"))
	require.NoError(t, err)
	require.Len(t, keys, 4)
	l, err := audit.Open(filepath.Join(to.Data, "audit"), audit.Config{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// A store on PostgreSQL is not in a backup, which says so.
func TestBackupPostgres(t *testing.T) {
	t.Setenv("STORE_KEY", strings.Repeat("ab", 32))
	p := newPlace(t, "store: {url: 'postgres://gw@db.example.com/gw', key: env:STORE_KEY}\n")
	r, err := p.restore(t, p.write(t, backup.Options{}), p.target(t))
	require.NoError(t, err)
	require.Equal(t, "shared", r.Store)
	require.Contains(t, strings.Join(r.Missing(), " "), "pg_dump")
}

// A passphrase opens what it was sealed by; nothing of what is in a backup can be read without it.
func TestBackupPassphrase(t *testing.T) {
	p := newPlace(t, "")
	to, err := age.NewScryptRecipient("correct horse battery")
	require.NoError(t, err)
	to.SetWorkFactor(10)
	var out bytes.Buffer
	s, err := backup.Write(t.Context(), &out, p.config, backup.Options{To: []age.Recipient{to}})
	require.NoError(t, err)
	require.Equal(t, 4, s.Sessions)
	require.Equal(t, []string{p.config.Name()}, s.Configuration)
	for _, text := range []string{"content of masking.key", "sallyport.yaml", "store.key", "PRIVATE"} {
		require.NotContains(t, out.String(), text)
	}
	id, err := age.NewScryptIdentity("correct horse battery")
	require.NoError(t, err)
	_, err = backup.Check(t.Context(), bytes.NewReader(out.Bytes()), backup.Target{Keys: []age.Identity{id}, Public: p.public})
	require.NoError(t, err)
	id, err = age.NewScryptIdentity("another")
	require.NoError(t, err)
	_, err = backup.Check(t.Context(), bytes.NewReader(out.Bytes()), backup.Target{Keys: []age.Identity{id}, Public: p.public})
	require.ErrorContains(t, err, "the passphrase is another")
}

// A data directory and its audit log can be links: the keys are in the backup all the same.
func TestBackupLinkedDataDir(t *testing.T) {
	p := newPlace(t, "")
	there := filepath.Join(t.TempDir(), "there")
	require.NoError(t, os.Rename(p.data, there))
	require.NoError(t, os.Symlink(there, p.data))
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.Rename(filepath.Join(there, "audit"), log))
	require.NoError(t, os.Symlink(log, filepath.Join(there, "audit")))
	to := p.target(t)
	r, err := p.restore(t, p.write(t, backup.Options{}), to)
	require.NoError(t, err)
	require.Equal(t, 4, r.Log.Sessions)
	for _, name := range []string{"store.db", "store.key", "masking.key", "ca/ca.pem"} {
		require.FileExists(t, filepath.Join(to.Data, name))
	}
}

// A link in the data directory is not left out unsaid, nor does it have root read another file for the gateway's user.
func TestBackupLinks(t *testing.T) {
	for name, to := range map[string]string{"masking.key": "/etc/hostname", "ca/other": "/etc", "ssh": "/nowhere"} {
		p := newPlace(t, "")
		link := filepath.Join(p.data, name)
		require.NoError(t, os.RemoveAll(link))
		require.NoError(t, os.Symlink(to, link))
		_, err := backup.Write(t.Context(), io.Discard, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
		require.ErrorContains(t, err, link+" is a link", name)
	}
}

// What the file system keeps at the top of a volume is not the gateway's.
func TestBackupLostFound(t *testing.T) {
	p := newPlace(t, "")
	lost := filepath.Join(p.data, "lost+found")
	require.NoError(t, os.Mkdir(lost, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(lost, "x"), nil, 0o600))
	to := p.target(t)
	_, err := p.restore(t, p.write(t, backup.Options{}), to)
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(to.Data, "lost+found"))
}

// A gateway that has not run has nothing to back up, and a backup for nobody is not made.
func TestBackupRefused(t *testing.T) {
	p := newPlace(t, "")
	_, err := backup.Write(t.Context(), io.Discard, p.config, backup.Options{})
	require.ErrorContains(t, err, "nobody could read it")
	require.NoError(t, os.RemoveAll(filepath.Join(p.data, "audit")))
	_, err = backup.Write(t.Context(), io.Discard, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
	require.ErrorContains(t, err, "a gateway that has run")
}

// errFull is what a full disk says.
type errFull struct{ left int }

func (e *errFull) Write(b []byte) (int, error) {
	if e.left -= len(b); e.left < 0 {
		return 0, fmt.Errorf("no space left on device")
	}
	return len(b), nil
}

// A backup that cannot be written is not taken for one.
func TestBackupDiskFull(t *testing.T) {
	p := newPlace(t, "")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	size := len(p.write(t, backup.Options{}))
	for _, left := range []int{0, 100, size / 2, size - 1} {
		_, err := backup.Write(t.Context(), &errFull{left}, p.config, backup.Options{To: []age.Recipient{p.id.Recipient()}})
		require.ErrorContains(t, err, "no space left", left)
	}
	require.Empty(t, namesOf(t, temp))
}
