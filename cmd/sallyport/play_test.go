package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit/replay"
)

// The statements of a session with their rows, as the client saw them.
func TestPlayStatements(t *testing.T) {
	o := openOffice(t, "audit: {recordings: [{resources: [shop], rows: full, copy: full}]}\nmasking: [{use: default}]\n")
	require.Contains(t, o.psql(t, "bob", "-c", "CREATE TABLE people (id int, email text); INSERT INTO people VALUES (1, 'ann@example.com'), (2, NULL)"), "INSERT 0 2")
	out := o.psql(t, "alice", "-c", "SELECT * FROM people ORDER BY id", "-c", "DELETE FROM people", "-c", "COPY people TO STDOUT")
	require.NotContains(t, out, "ann@example.com")
	rows := strings.SplitAfterN(out, "\n", 3)[:2]
	o.stop(t)

	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json", "-u", "alice")).Items
	require.Len(t, list, 1)
	id := list[0].ID
	played := must(t, "sessions", "play", "-c", o.config, id)
	require.Regexp(t, `(?m)^ +0:00:00\.000 +alice at shop/`, played)
	require.Regexp(t, `(?m)s +2 +[1-9] +SELECT \* FROM people ORDER BY id$`, played)
	require.Regexp(t, `(?m)refused +DELETE FROM people: .*write`, played)
	require.Equal(t, "id,email\n"+strings.ReplaceAll(strings.Join(rows, ""), "|", ","), must(t, "sessions", "export", "-c", o.config, "--format", "csv", id))
	require.NotContains(t, must(t, "sessions", "show", "-c", o.config, "-o", "json", id), "ann@example.com")

	require.Contains(t, must(t, "sessions", "ls", "-c", o.config, "--text", "DELETE FROM people"), id)
	require.NotContains(t, must(t, "sessions", "ls", "-c", o.config, "--text", "TRUNCATE"), id)
	require.NotContains(t, must(t, "sessions", "ls", "-c", o.config, "--until", "1h"), id)
	code, _, errs := sallyport(t, "", "sessions", "play", "-c", o.config, "../../etc/passwd")
	require.NotEqual(t, exitOK, code, errs)
	code, _, errs = sallyport(t, "", "sessions", "play", "-c", o.config, strings.Repeat("0", 26))
	require.Equal(t, exitNotFound, code, errs)
	code, _, errs = sallyport(t, "", "sessions", "play", "-c", o.config, "--op", "2", id)
	require.Equal(t, exitNotFound, code, errs)
}

// What was masked is there for the holder of the key, through the real gateway.
func TestOriginalsThroughTheGateway(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	o := openOffice(t, "audit: {recordings: [{resources: [shop], rows: full, original_to: "+key.Recipient().String()+"}]}\nmasking: [{use: default}]\n")
	o.psql(t, "bob", "-c", "CREATE TABLE people (email text); INSERT INTO people VALUES ('ann@example.com')")
	out := o.psql(t, "alice", "-c", "SELECT email FROM people")
	require.NotContains(t, out, "ann@example.com")
	o.stop(t)
	id := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json", "-u", "alice")).Items[0].ID
	require.NotContains(t, must(t, "sessions", "show", "-c", o.config, "-o", "json", id), "ann@example")
	r, err := age.Decrypt(bytes.NewReader([]byte(must(t, "sessions", "export", "-c", o.config, "--format", "original", id))), key)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "[\"ann@example.com\"]\n", string(b))
}

func TestKeys(t *testing.T) {
	for typed, want := range map[string]replay.Key{
		" ": replay.Pause, "+": replay.Faster, "-": replay.Slower, "\x1b[C": replay.Forward, "\x1b[D": replay.Back, "n": replay.NextMatch,
		"q": replay.Quit, "\x03": replay.Quit, "x": 0, "": 0,
	} {
		require.Equal(t, want, keyOf(typed), "%q", typed)
	}
}
