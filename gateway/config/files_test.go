package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/secrets"
)

// loadIn writes files into a new folder and loads the config file of a name there.
func loadIn(t *testing.T, name, text string, files ...string) (f *File, dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, file := range append(files, name) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	f, err := Load(filepath.Join(dir, name), Options{Secrets: secrets.Default()})
	require.NoError(t, err)
	return f, dir
}

// What a config file is read with is itself, wherever it is, and the files that it names outside of the data directory.
func TestFiles(t *testing.T) {
	const text = "masking_key: {secret: file:data/masking}\naudit: {key: file:keys/audit}\nstore: {key: env:STORE_KEY}\n"
	for name, data := range map[string]string{"sallyport.yaml": "data_dir: data\n", "data/sallyport.yaml": "data_dir: .\n"} {
		t.Run(name, func(t *testing.T) {
			f, dir := loadIn(t, name, data+text, "data/masking", "keys/audit", "not-named", "data/data/masking", "data/keys/audit")
			files, elsewhere, err := f.Files()
			require.NoError(t, err)
			want := []string{filepath.Join(dir, name)}
			if name == "sallyport.yaml" {
				want = []string{filepath.Join(dir, "keys", "audit"), filepath.Join(dir, name)}
			}
			require.Equal(t, want, files)
			require.Equal(t, []string{"env"}, elsewhere)
		})
	}
}

// What the gateway talks to is listed once, with the port that its URL means.
func TestServices(t *testing.T) {
	f, _ := loadIn(t, "sallyport.yaml", `
store: {url: "postgres://gw@db.example.com/gw", key: env:STORE_KEY}
audit:
  export:
    - {type: webhook, name: siem, url: "https://siem.example.com/events", keys: [env:HOOK_KEY]}
    - {type: syslog, name: logs, address: "logs.example.com:6514"}
`)
	require.Equal(t, []Service{
		{"store", "db.example.com:5432"}, {"export siem", "siem.example.com:443"}, {"export logs", "logs.example.com:6514"},
	}, f.Services())
}
