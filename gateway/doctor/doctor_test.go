package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"flag"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // opens the store as another program does

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/doctor"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/store/sqlstore"
)

var update = flag.Bool("update", false, "write the golden files anew")

// machine is one that is as a test says.
type machine struct {
	free, freeFiles, open uint64
	synchronised          bool
	now                   time.Time
	dead                  string // a host without an address
	closed                string // an address where nobody answers
	readOnly              error
	silent                error // why it does not tell its space and limits
}

func (m *machine) Writable(string) error { return m.readOnly }

func (m *machine) Space(string) (bytes, freeBytes, files, freeFiles uint64, err error) {
	return 100 << 30, m.free, 1000, m.freeFiles, m.silent
}
func (m *machine) Descriptors() (uint64, error)             { return m.open, m.silent }
func (m *machine) Synchronised() (synchronised, known bool) { return m.synchronised, true }
func (m *machine) Now() time.Time                           { return m.now }
func (m *machine) Resolve(_ context.Context, host string) ([]string, error) {
	if host == m.dead {
		return nil, errors.New("no such host")
	}
	return []string{"192.0.2.1"}, nil
}

func (m *machine) Dial(_ context.Context, address string) (net.Conn, error) {
	if address == m.closed {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	return a, b.Close()
}

const canary = "canary-of-a-secret-0123456789"

// healthy is a deployment with which nothing is wrong.
func healthy(t *testing.T, extra string) (*doctor.Examination, *machine, string) {
	t.Helper()
	t.Setenv("HOOK_KEY", "whsec_"+strings.Repeat("Y2FuYXJ5", 6))
	t.Setenv("CANARY", canary)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte("data_dir: data\nlimits: {max_sessions: 1000}\n"+extra), 0o600))
	cfg, err := config.Load(file, config.Options{Secrets: secrets.Default()})
	require.NoError(t, err)
	s, err := sqlstore.OpenSQLite(t.Context(), cfg.StoreFile(), sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	m := &machine{free: 50 << 30, freeFiles: 500, open: 1 << 20, synchronised: true, now: time.Now()}
	return &doctor.Examination{Config: cfg, Machine: m}, m, dir
}

const exports = `audit:
  export:
    - {type: webhook, name: siem, url: "https://siem.example.com/events", keys: [env:HOOK_KEY]}
    - {type: syslog, name: logs, address: "logs.example.com:6514"}
`

// findings are those of a check that are not good.
func findings(found []doctor.Finding, check string) (list []doctor.Finding) {
	for _, f := range found {
		if f.Check == check && f.Level != doctor.OK && f.Level != doctor.Note {
			list = append(list, f)
		}
	}
	return list
}

// Nothing is wrong with a deployment that is well, and what is said of it is the same each time.
func TestHealthy(t *testing.T) {
	e, _, dir := healthy(t, exports)
	e.Reach = func(_ context.Context, each func(resource, name string, tried bool, err error)) error {
		each("shop", "shop", true, nil)
		each("lab", "lab", false, errors.New("agent berlin reaches it"))
		return nil
	}
	var text strings.Builder
	for _, f := range e.Run(t.Context()) {
		require.Contains(t, []doctor.Level{doctor.OK, doctor.Note}, f.Level, f)
		if f.Check == "store" { // how long it takes differs
			f.Text, _, _ = strings.Cut(f.Text, ",")
		}
		text.WriteString(string(f.Level) + " | " + f.Check + " | " + strings.ReplaceAll(f.About, dir, "DIR") + " | " + f.Text + "\n")
	}
	const golden = "testdata/healthy.golden"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text.String())
}

// Every finding can be had: each thing that is wrong is told by its check, once, with what to do.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		extra string
		wrong func(t *testing.T, e *doctor.Examination, m *machine, dir string)
		check string
		level doctor.Level
		says  string
	}{
		"others write the config file": {"", func(t *testing.T, e *doctor.Examination, _ *machine, _ string) {
			require.NoError(t, os.Chmod(e.Config.Name(), 0o666))
			reload(t, e)
		}, "config", doctor.Problem, "write"},
		"a secret that is not there": {exports, func(t *testing.T, _ *doctor.Examination, _ *machine, _ string) {
			require.NoError(t, os.Unsetenv("HOOK_KEY"))
		}, "config", doctor.Problem, "HOOK_KEY"},
		"the data directory is open": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "data"), 0o755))
		}, "data_dir", doctor.Problem, "want 0700"},
		"it is not there": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "data")))
		}, "data_dir", doctor.Warning, "is not there"},
		"it is a file": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "data")))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o600))
		}, "data_dir", doctor.Problem, "not a folder"},
		"a restore was interrupted": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "data", ".restoring"), 0o700))
		}, "data_dir", doctor.Problem, "did not come to its end"},
		"it cannot be written": {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) {
			m.readOnly = errors.New("read-only file system")
		}, "data_dir", doctor.Problem, "it cannot be written: read-only file system"},
		"little space":             {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.free = 1 << 30 }, "space", doctor.Warning, "1024 MiB"},
		"no space":                 {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.free = 1 << 20 }, "space", doctor.Problem, "1 MiB"},
		"few inodes":               {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.freeFiles = 3 }, "space", doctor.Warning, "3 of 1000"},
		"space that is not told":   {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.silent = errors.New("not told") }, "space", doctor.Problem, "not told"},
		"limits that are not told": {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.silent = errors.New("not told") }, "descriptors", doctor.Problem, "not told"},
		"few descriptors":          {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.open = 1024 }, "descriptors", doctor.Warning, "needs 4000"},
		"no time service":          {"", func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.synchronised = false }, "clock", doctor.Warning, "not synchronised"},
		"the clock went back": {"", func(t *testing.T, _ *doctor.Examination, m *machine, dir string) {
			folder := filepath.Join(dir, "data", "audit", "log")
			require.NoError(t, os.MkdirAll(folder, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(folder, "checkpoint"), nil, 0o600))
			m.now = m.now.Add(-time.Hour)
		}, "clock", doctor.Problem, "the newest record"},
		"an authority that ended": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			certificate(t, dir, -2*time.Hour, -time.Hour)
		}, "certificates", doctor.Problem, "it ended on"},
		"one that ends soon": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			certificate(t, dir, -time.Hour, 100*time.Hour)
		}, "certificates", doctor.Warning, "it ends on"},
		"one of tomorrow": {"", func(t *testing.T, _ *doctor.Examination, _ *machine, dir string) {
			certificate(t, dir, 24*time.Hour, 1000*time.Hour)
		}, "certificates", doctor.Problem, "not valid before"},
		"a store that is none": {"", func(t *testing.T, e *doctor.Examination, _ *machine, _ string) {
			require.NoError(t, os.WriteFile(e.Config.StoreFile(), []byte(strings.Repeat("no database ", 1000)), 0o600))
		}, "store", doctor.Problem, "restore a backup"},
		"a store that others read": {"", func(t *testing.T, e *doctor.Examination, _ *machine, _ string) {
			require.NoError(t, os.Chmod(e.Config.StoreFile(), 0o644))
		}, "store", doctor.Problem, "want 0600"},
		"a store without a schema": {"", func(t *testing.T, e *doctor.Examination, _ *machine, _ string) {
			require.NoError(t, os.Remove(e.Config.StoreFile()))
			require.NoError(t, os.WriteFile(e.Config.StoreFile(), nil, 0o600))
		}, "store", doctor.Warning, "has version 0"},
		"a store of a newer program": {"", func(t *testing.T, e *doctor.Examination, _ *machine, _ string) {
			db, err := sql.Open("sqlite", e.Config.StoreFile())
			require.NoError(t, err)
			_, err = db.Exec(`INSERT INTO migrations (version, since, applied) VALUES (1000, 1000, 0)`)
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}, "store", doctor.Problem, "update this program"},
		"a name that is not there": {exports, func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.dead = "siem.example.com" }, "dns", doctor.Problem, "export siem: it has no address"},
		"a sink that is down":      {exports, func(_ *testing.T, _ *doctor.Examination, m *machine, _ string) { m.closed = "logs.example.com:6514" }, "services", doctor.Problem, "cannot be reached"},
		"a resource that is down": {"", func(_ *testing.T, e *doctor.Examination, _ *machine, _ string) {
			e.Reach = func(_ context.Context, each func(resource, name string, tried bool, err error)) error {
				each("shop", "shop as reader", true, errors.New("connection refused"))
				return nil
			}
		}, "resources", doctor.Problem, "connection refused"},
		"resources that cannot be tried": {"", func(_ *testing.T, e *doctor.Examination, _ *machine, _ string) {
			e.Reach = func(context.Context, func(resource, name string, tried bool, err error)) error {
				return errors.New("no key")
			}
		}, "resources", doctor.Problem, "no key"},
	} {
		t.Run(name, func(t *testing.T) {
			e, m, dir := healthy(t, c.extra)
			c.wrong(t, e, m, dir)
			found := findings(e.Run(t.Context()), c.check)
			require.Len(t, found, 1)
			require.Equal(t, c.level, found[0].Level)
			require.Contains(t, found[0].Text, c.says)
		})
	}
}

// No finding holds a secret, also when what has it is wrong.
func TestNoSecrets(t *testing.T) {
	e, m, _ := healthy(t, "masking_key: {secret: env:CANARY}\naudit: {key: env:CANARY}\n")
	m.free, m.open, m.synchronised = 0, 1, false
	found := e.Run(t.Context())
	require.NotEmpty(t, findings(found, "config"), "it is no key")
	for _, f := range found {
		require.NotContains(t, f.About+f.Text+f.Do, canary)
	}
}

// An examination leaves the data directory as it is, down to its times.
func TestChangesNothing(t *testing.T) {
	e, _, dir := healthy(t, "")
	e.Machine = doctor.This{}
	data := filepath.Join(dir, "data")
	before := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(data, before, before))
	found := e.Run(t.Context())
	require.Empty(t, findings(found, "data_dir"))
	require.Empty(t, findings(found, "store"))
	info, err := os.Stat(data)
	require.NoError(t, err)
	require.WithinDuration(t, before, info.ModTime(), 0)
	list, err := os.ReadDir(data)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, filepath.Base(e.Config.StoreFile()), list[0].Name())
}

// Resources are not tried where that makes or changes a store: some logins need a key that it keeps.
func TestChangesNoStore(t *testing.T) {
	for what, change := range map[string]func(file string) error{
		"not there": os.Remove,
		"without a schema": func(file string) error {
			return errors.Join(os.Remove(file), os.WriteFile(file, nil, 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			e, _, _ := healthy(t, "")
			require.NoError(t, change(e.Config.StoreFile()))
			e.Reach = func(context.Context, func(resource, name string, tried bool, err error)) error {
				t.Error("a resource was tried")
				return nil
			}
			found := e.Run(t.Context())
			last := found[len(found)-1]
			require.Equal(t, "resources", last.Check)
			require.Equal(t, doctor.Note, last.Level)
			require.Contains(t, last.Text, "were not tried")
		})
	}
}

// Offline asks nothing by the network.
func TestOffline(t *testing.T) {
	e, _, _ := healthy(t, exports)
	e.Offline, e.Machine = true, offline{e.Machine, t}
	e.Reach = func(context.Context, func(resource, name string, tried bool, err error)) error {
		t.Error("a resource was tried")
		return nil
	}
	found := e.Run(t.Context())
	require.Contains(t, found, doctor.Finding{Check: "config", Level: doctor.Note, About: e.Config.Name(), Text: "what it refers to was not looked at"})
}

type offline struct {
	doctor.Machine
	t *testing.T
}

func (o offline) Resolve(context.Context, string) ([]string, error) {
	o.t.Error("a name was looked up")
	return nil, nil
}

func (o offline) Dial(context.Context, string) (net.Conn, error) {
	o.t.Error("something was connected to")
	return nil, errors.New("offline")
}

// The machine that tests run on answers.
func TestThis(t *testing.T) {
	var m doctor.This
	size, free, _, _, err := m.Space(t.TempDir())
	if !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		require.Positive(t, size)
		require.LessOrEqual(t, free, size)
	}
	if err := m.Writable(t.TempDir()); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		require.ErrorIs(t, m.Writable(filepath.Join(t.TempDir(), "x")), fs.ErrNotExist)
	}
	if n, err := m.Descriptors(); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		require.Positive(t, n)
	}
	list, err := m.Resolve(t.Context(), "localhost")
	require.NoError(t, err)
	require.NotEmpty(t, list)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conn, err := m.Dial(t.Context(), ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, errors.Join(conn.Close(), ln.Close()))
	_, err = m.Dial(t.Context(), ln.Addr().String())
	require.Error(t, err)
}

func reload(t *testing.T, e *doctor.Examination) {
	t.Helper()
	var err error
	e.Config, err = config.Load(e.Config.Name(), config.Options{Secrets: secrets.Default()})
	require.NoError(t, err)
}

// certificate makes that of the gateway's authority.
func certificate(t *testing.T, dir string, from, until time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	folder := filepath.Join(dir, "data", "ca")
	require.NoError(t, os.Mkdir(folder, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
}
