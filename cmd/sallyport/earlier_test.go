package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// earlier has a folder for each version that wrote one: a backup of a gateway, with its store, keys, records and config
// file; the age identity that opens it; what its clients trust; a config file with the keys of every section; and the
// descriptions of the API and of the input of policies. They are never written again: docs/compatibility.md.
const earlier = "testdata/earlier"

// described are descriptions that only grow, by their names in a folder of earlier.
var described = map[string]string{"openapi.json": "../../docs/openapi.json", "input.schema.json": "../../policy/opa/input.schema.json"}

// earlierConfig is what is added to the office's config file in a folder of earlier.
const earlierConfig = `
objects: {approval: never}
audit: {recordings: [{rows: full}]}
masking: [{columns: [people.phone], with: redact}]
`

// earlierObjects are in the store of a folder of earlier.
const earlierObjects = `
access:
  - {name: nights, groups: [dev], resources: [shop], allow: [connect, read]}
guardrails:
  - {name: no-people, deny: {effects: [truncate], relations: [people]}, message: people stay}
masking:
  - {name: mail, columns: [people.mail], with: redact}
`

const earlierSQL = `CREATE TABLE people (name text, phone text, mail text); INSERT INTO people VALUES ('Ada', '555-0101', 'ada@example.com')`

// TestEarlier holds that this program goes on from what each earlier version wrote: it restores the backup, proves and shows
// the records, takes the config files, and serves with the same keys, users and objects. SALLYPORT_EARLIER=v1.2.3 writes
// the folder of a version.
func TestEarlier(t *testing.T) {
	if version := os.Getenv("SALLYPORT_EARLIER"); version != "" {
		writeEarlier(t, filepath.Join(earlier, version))
	}
	entries, err := os.ReadDir(earlier)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) { goOnFrom(t, filepath.Join(earlier, e.Name())) })
	}
}

// TestEarlierDescribed holds that what each earlier version said about its API and the input of policies is still so:
// addresses, permissions, fields, types and values are there, in addition to new ones. It does not see that a new
// field has to be sent.
func TestEarlierDescribed(t *testing.T) {
	for name, now := range described {
		folders, err := filepath.Glob(filepath.Join(earlier, "*", name))
		require.NoError(t, err)
		require.NotEmpty(t, folders)
		for _, file := range folders {
			for _, gone := range missing("", readJSON(t, file), readJSON(t, now)) {
				t.Errorf("%s has %s, and %s does not", file, gone, now)
			}
		}
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		was, is string
		want    []string
	}{
		{`{"a": {"type": "string", "summary": "one"}}`, `{"a": {"type": "string", "summary": "two"}, "b": {}}`, nil},
		{`{"a": {}, "b": {}}`, `{"b": {}}`, []string{"/a"}},
		{`{"a": {"type": "string"}}`, `{"a": {"type": "integer"}}`, []string{"/a/type string"}},
		{`{"a": {"type": "string"}}`, `{"a": ["type"]}`, []string{"/a"}},
		{`{"enum": ["x", "y"]}`, `{"enum": ["z", "y"]}`, []string{"/enum x"}},
		{`{"a": {"properties": {"summary": {"type": "string"}}}}`, `{"a": {"properties": {}}}`, []string{"/a/properties/summary"}},
	} {
		var was, is any
		require.NoError(t, json.Unmarshal([]byte(c.was), &was))
		require.NoError(t, json.Unmarshal([]byte(c.is), &is))
		require.Equal(t, c.want, missing("", was, is), c.was)
	}
}

// missing lists what an earlier description has and a later one does not. Texts for people are not compared.
func missing(path string, was, is any) (gone []string) {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			return []string{path}
		}
		for name, old := range was {
			_, text := old.(string)
			if text && slices.Contains([]string{"summary", "description", "title", "$id"}, name) {
				continue
			}
			if now, ok := is[name]; ok {
				gone = append(gone, missing(path+"/"+name, old, now)...)
			} else {
				gone = append(gone, path+"/"+name)
			}
		}
	case []any:
		is, _ := is.([]any)
		for _, old := range was {
			if !slices.ContainsFunc(is, func(now any) bool { return len(missing("", old, now)) == 0 }) {
				gone = append(gone, fmt.Sprint(path, " ", old))
			}
		}
	default:
		if !reflect.DeepEqual(was, is) {
			gone = append(gone, fmt.Sprint(path, " ", was))
		}
	}
	return gone
}

func readJSON(t *testing.T, file string) (v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &v), file)
	return v
}

func goOnFrom(t *testing.T, folder string) {
	folder, err := filepath.Abs(folder)
	require.NoError(t, err)
	every, err := os.ReadFile(filepath.Join(folder, "sallyport.yaml"))
	require.NoError(t, err)
	must(t, "check", "-c", withSecrets(t, string(every)))

	dir := t.TempDir()
	o := &office{dir: dir, config: filepath.Join(dir, "sallyport.yaml")}
	public := filepath.Join(folder, "key.pub")
	must(t, "restore", "-i", filepath.Join(folder, "identity"), "--key", public, "--data-dir", filepath.Join(dir, "data"), "--config-dir", dir,
		filepath.Join(folder, "gateway.age"))
	records := filepath.Join(dir, "data", "audit")
	require.Contains(t, must(t, "verify", "--key", public, records), "proven")

	// The database that the file names is gone: another one takes its place.
	o.moveTo(t)
	must(t, "check", "-c", o.config)
	sessions := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items
	require.Len(t, sessions, 2)
	var shown strings.Builder
	for _, s := range sessions {
		require.Equal(t, "shop", s.Resource)
		shown.WriteString(must(t, "sessions", "show", "-c", o.config, s.ID))
	}
	require.Contains(t, shown.String(), "SELECT name, phone, mail FROM people")
	require.Contains(t, shown.String(), "DELETE FROM people")
	require.NotContains(t, shown.String(), "555-0101")
	csv := must(t, "report", "-c", o.config)
	require.Contains(t, csv, "admin.configure")

	o.process = start(t, "serve", "-c", o.config)
	o.wait(t, "listening")
	trusted := func(user string) string {
		return strings.Replace(o.conn(user), filepath.Join(dir, "data", "ca", "ca.pem"), filepath.Join(folder, "ca.pem"), 1)
	}
	c, err := pgx.Connect(t.Context(), trusted("alice"))
	require.NoError(t, err, "the certificate is by the authority that clients trust")
	var phone, mail string
	require.NoError(t, c.QueryRow(t.Context(), "SELECT phone, mail FROM people").Scan(&phone, &mail))
	require.NotEqual(t, "555-0101", phone, "a masking rule of the file")
	require.NotEqual(t, "ada@example.com", mail, "a masking rule of the store")
	require.NoError(t, c.Close(t.Context()))
	_, err = pgx.Connect(t.Context(), trusted("bob"))
	require.Error(t, err, "he was disabled")
	objects := must(t, "get", "-c", o.config)
	for _, name := range []string{"access/nights", "guardrail/no-people", "masking/mail"} {
		require.Regexp(t, name+` +store\n`, objects)
	}
	require.Contains(t, must(t, "revisions", "show", "-c", o.config, "1"), "the first rules")
	o.stop(t)
	require.Contains(t, must(t, "verify", "--key", public, records), "proven")
	require.Len(t, decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items, 3)
}

// moveTo has the restored config file lead to a database that there is, and listen where nothing does.
func (o *office) moveTo(t *testing.T) {
	t.Helper()
	_, authority := testserver.Shared(t)
	server, database := testserver.Database(t, earlierSQL)
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "db.password"), []byte(server.Password), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "upstream-ca.pem"), authority.PEM(), 0o600))
	text, err := os.ReadFile(o.config)
	require.NoError(t, err)
	address := testserver.FreeAddress(t)
	for pattern, with := range map[string]string{
		`(listen: \{postgres: )"[^"]*"`: address, `(\n +address: )"[^"]*"`: server.Address(), `(\n +database: )\S+`: database,
	} {
		re := regexp.MustCompile(pattern)
		require.Len(t, re.FindAll(text, -1), 1, pattern)
		text = re.ReplaceAll(text, fmt.Appendf(nil, "${1}%q", with))
	}
	require.NoError(t, os.WriteFile(o.config, text, 0o600))
	var ok bool
	o.host, o.port, ok = strings.Cut(address, ":")
	require.True(t, ok)
}

// writeEarlier makes the folder of the version that this program is.
func writeEarlier(t *testing.T, folder string) {
	t.Helper()
	folder, err := filepath.Abs(folder)
	require.NoError(t, err)
	require.NoDirExists(t, folder, "what a version wrote is not written again")
	o := openLabelled(t, "env: test", earlierSQL, earlierConfig)
	for user, text := range map[string]string{"alice": "SELECT name, phone, mail FROM people", "bob": "DELETE FROM people WHERE name = 'Ada'"} {
		c, err := pgx.Connect(t.Context(), o.conn(user))
		require.NoError(t, err)
		_, err = c.Exec(t.Context(), text)
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
	}
	must(t, "admin", "users", "disable", "-c", o.config, "--reason", "left", "bob")
	code, _, errs := sallyport(t, earlierObjects, "apply", "-c", o.config, "-f", "-", "--reason", "the first rules")
	require.Equal(t, exitOK, code, errs)
	o.stop(t)

	require.NoError(t, os.MkdirAll(folder, 0o755))
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "identity"), []byte(id.String()+"\n"), 0o644))
	must(t, "backup", "-c", o.config, "--to", id.Recipient().String(), filepath.Join(folder, "gateway.age"))
	for from, to := range map[string]string{
		filepath.Join(o.dir, "data", "ca", "ca.pem"): "ca.pem", filepath.Join(o.dir, "data", "audit", "log", "key.pub"): "key.pub",
		"testdata/golden/check.yaml": "sallyport.yaml",
	} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, to), text, 0o644))
	}
	for name, from := range described {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		var short bytes.Buffer
		require.NoError(t, json.Compact(&short, text))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), short.Bytes(), 0o644))
	}
}
