package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/gateway"
)

// doubtful is a sink whose first batches fail: one before it is taken over, the next
// after it, as when an answer is lost.
type doubtful struct {
	*spool
	calls atomic.Int32
}

func (d *doubtful) Deliver(ctx context.Context, batch []audit.Outgoing) error {
	switch d.calls.Add(1) {
	case 1:
		return errors.New("nobody is there")
	case 2:
		return errors.Join(d.spool.Deliver(ctx, batch), errors.New("the answer is lost"))
	}
	return d.spool.Deliver(ctx, batch)
}

// Every event of every session arrives, those of a session in order, also when
// deliveries fail and the gateway is started anew.
func TestSink(t *testing.T) {
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	file := exampletest.Config(t, exampletest.Shop(t, "CREATE TABLE t (x int)"), "env:DB_PASSWORD")
	dir := filepath.Join(t.TempDir(), "spool")
	statements := []string{"INSERT INTO t VALUES (1)", "SELECT x FROM t", "DELETE FROM t", "SELECT count(*) FROM t"}
	serve := func(wrap func(s *spool) audit.Sink) {
		s, err := openSpool(dir)
		require.NoError(t, err)
		g, stop := exampletest.Serve(t, file, gateway.Defaults(), gateway.Options{Sinks: []audit.Sink{wrap(s)}})
		out := exampletest.Psql(t, g.Addr("postgres", "").String(), "secret", "user=alice+shop sslmode=require", statements...)
		require.Contains(t, out, "INSERT 0 1")
		stop() // the log hands over what is left
	}
	d := &doubtful{}
	serve(func(s *spool) audit.Sink { d.spool = s; return d })
	require.GreaterOrEqual(t, d.calls.Load(), int32(3))
	serve(func(s *spool) audit.Sink { return s })

	// The log is what must have arrived.
	log, err := audit.OpenArchive(filepath.Join(filepath.Dir(file), "data", "audit"))
	require.NoError(t, err)
	sessions, err := log.Sessions()
	require.NoError(t, err)
	want := make(map[string][]string)
	texts := 0
	for _, id := range sessions {
		for e, err := range log.Events(id) {
			require.NoError(t, err)
			if strings.HasPrefix(e.Type, "recording.") {
				continue // sinks get none unless they ask for them
			}
			want[id] = append(want[id], e.Type)
			if e.Type == audit.OperationStart || e.Type == audit.OperationRefused {
				texts++
			}
		}
	}
	require.GreaterOrEqual(t, texts, 2*len(statements))

	got := make(map[string][]string)
	last := make(map[string]uint64)
	for e, err := range take(dir) {
		require.NoError(t, err)
		require.Greater(t, e.Index, last[e.Session], "in order, and each once")
		last[e.Session] = e.Index
		got[e.Session] = append(got[e.Session], e.Type)
	}
	require.Equal(t, want, got)

	// Some were delivered twice, and take told them apart.
	lines := 0
	files, err := batches(dir)
	require.NoError(t, err)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		lines += bytes.Count(text, []byte("\n"))
	}
	all := 0
	for _, list := range got {
		all += len(list)
	}
	require.Greater(t, lines, all)

	var out bytes.Buffer
	require.NoError(t, run([]string{"take", dir}, &out))
	require.Equal(t, all, bytes.Count(out.Bytes(), []byte("\n")))
	first := &event{}
	require.NoError(t, json.Unmarshal(out.Bytes()[:bytes.IndexByte(out.Bytes(), '\n')], first))
	require.NotEmpty(t, first.Session)
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	s, err := openSpool(dir)
	require.NoError(t, err)
	one := []audit.Outgoing{{Session: "s", Index: 1, Type: audit.SessionStart, JSON: []byte(`{"i":1}`), Start: &audit.Event{User: "alice"}}}
	require.NoError(t, s.Deliver(t.Context(), one))
	again, err := openSpool(dir)
	require.NoError(t, err)
	require.Equal(t, 2, again.next, "it goes on after the last file")
	require.NoError(t, os.RemoveAll(dir))
	require.Error(t, s.Deliver(t.Context(), one), "what is not kept comes again")
	require.ErrorContains(t, run(nil, nil), "usage")
}
