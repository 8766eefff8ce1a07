package secretstest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/secrets"
)

// What is searched for is found, wherever it begins.
func TestLeaks(t *testing.T) {
	quoted, err := json.Marshal(canary)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"plain": canary, "hex": hex.EncodeToString([]byte(canary)), "URL": url.QueryEscape(canary), "JSON": string(quoted),
	} {
		require.Contains(t, Leaks("a "+text+" b", canary), name)
	}
	for _, before := range []string{"", "a", "ab", "abc", "user:"} {
		for _, after := range []string{"", "x", "xy"} {
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
				require.Contains(t, Leaks(e.EncodeToString([]byte(before+canary+after)), canary), "base64")
			}
		}
	}
	require.Contains(t, Leaks("68756E7465723268756E74657232", "hunter2hunter2"), "hex")
	require.Empty(t, Leaks("there is nothing here, canary-", canary))
}

func TestEnv(t *testing.T) {
	Run(t, func(t *testing.T) *Rig {
		return &Rig{
			Scheme: "env", Provider: secrets.Env{}, Ref: "env:SECRETSTEST", Missing: "env:SECRETSTEST_MISSING",
			Set: func(value string) { t.Setenv("SECRETSTEST", value) }, Empties: true, Large: true,
		}
	})
}

func TestFile(t *testing.T) {
	for name, key := range map[string]string{"whole": "", "JSON": "p"} {
		t.Run(name, func(t *testing.T) {
			Run(t, func(t *testing.T) *Rig {
				dir := t.TempDir()
				r := &Rig{
					Scheme: "file", Provider: secrets.File{}, Ref: secrets.Ref{Scheme: "file", Path: filepath.Join(dir, "s"), Key: key}.String(),
					Missing: secrets.Ref{Scheme: "file", Path: filepath.Join(dir, "none")}.String(), Empties: true, Large: true,
				}
				r.WrongType = secrets.Ref{Scheme: "file", Path: filepath.Join(dir, "bytes")}.String()
				require.NoError(t, os.WriteFile(filepath.Join(dir, "bytes"), []byte("\xff\xfe"+canary), 0o600))
				r.Set = func(value string) {
					text := []byte(value)
					if key != "" {
						var err error
						text, err = json.Marshal(map[string]string{key: value})
						require.NoError(t, err)
					}
					require.NoError(t, os.WriteFile(filepath.Join(dir, "s"), text, 0o600))
				}
				return r
			})
		})
	}
}

// program answers as the contract of exec says, from a file.
const program = `read -r question
case "$question" in
*'"key":"none"'*) echo "$1" >&2; exit 2;;
esac
exec cat "$1"`

func TestExec(t *testing.T) {
	Run(t, func(t *testing.T) *Rig {
		answer := filepath.Join(t.TempDir(), "answer")
		return &Rig{
			Scheme:   "exec",
			Provider: secrets.Exec{Commands: map[string][]string{"db": {"/bin/sh", "-c", program, "sh", answer}}, Env: []string{"PATH=/usr/bin:/bin"}},
			Ref:      "exec:db#p", Missing: "exec:db#none", WrongType: "exec:db#object", Empties: true, Large: true,
			Set: func(value string) {
				text, err := json.Marshal(map[string]any{"values": map[string]any{"p": value, "object": map[string]int{"x": 1}}})
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(answer, text, 0o600))
			},
		}
	})
}
