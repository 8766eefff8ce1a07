package jsonl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
)

func records() []audit.Outgoing {
	start := &audit.Event{User: "alice", Resource: "orders"}
	return []audit.Outgoing{
		{Session: "s1", Index: 1, Type: audit.SessionStart, JSON: []byte(`{"i":1,"type":"session.start","user":"alice"}`), Start: start},
		{Session: "s1", Index: 2, Type: audit.OperationStart, JSON: []byte(`{"i":2,"type":"operation.start"}`), Start: start},
	}
}

const want = `{"record":"s1","i":1,"type":"session.start","user":"alice"}
{"record":"s1","user":"alice","resource":"orders","i":2,"type":"operation.start"}
`

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, (&Writer{W: &b}).Deliver(t.Context(), records()))
	require.Equal(t, want, b.String())
}

// A file can be moved away, and a line that was cut short spoils no other.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "events.jsonl")
	f := &File{Path: name}
	require.NoError(t, f.Deliver(t.Context(), records()))
	require.NoError(t, f.Deliver(t.Context(), records()))
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, want+want, string(b))

	require.NoError(t, os.Rename(name, name+".1"))
	require.NoError(t, os.WriteFile(name, []byte(`{"cut`), 0o600))
	require.NoError(t, f.Deliver(t.Context(), records()))
	b, err = os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "{\"cut\n"+want, string(b))
	st, err := os.Stat(name + ".1")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode())

	require.Error(t, (&File{Path: t.TempDir()}).Deliver(t.Context(), records()))
	require.Error(t, (&File{Path: filepath.Join(name, "below")}).Deliver(t.Context(), records()))
}

func TestFormat(t *testing.T) {
	var b bytes.Buffer
	w := &Writer{W: &b, Called: "x", Format: func(b []byte, r audit.Outgoing) []byte { return append(b, strings.ToUpper(r.Type)+"\n"...) }}
	require.NoError(t, w.Deliver(t.Context(), records()))
	require.Equal(t, "SESSION.START\nOPERATION.START\n", b.String())
	require.Equal(t, "x", w.Name())
}
