package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// everything records all there is.
func everything(*proxy.Session) Recording {
	return Recording{Terminal: Full, Input: true, Exec: Full, Rows: Full, Copy: Full}
}

// recorded opens a session at a log that records r, whose data passes hide
// first, as it passes masking.
func recorded(t testing.TB, dir, protocol string, r Recording) (*Log, *proxy.Session) {
	t.Helper()
	l := openLog(t, dir, Config{Recordings: func(*proxy.Session) Recording { return r }})
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, hide{}, l}, Log: quiet().Log}
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{Name: "vm", Type: "ssh"}}, Protocol: protocol,
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	return l, s
}

// hide masks the word SECRET, and has records hold CODE as [CODE].
type hide struct{}

func (hide) Name() string { return "hide" }

func (hide) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{
			Bytes: func(dst, src []byte) ([]byte, error) {
				return append(dst, bytes.ReplaceAll(src, []byte("SECRET"), []byte("******"))...), nil
			},
			Row: func(r *proxy.Row) error {
				for i := range r.Len() {
					if v := r.Value(i); bytes.Contains(v, []byte("SECRET")) {
						r.Set(i, []byte("***"))
					}
				}
				return nil
			},
		}, nil
	}, Redact: func(_ context.Context, op proxy.Op) *proxy.Redacted {
		if e, ok := op.(*proxy.Exec); ok && strings.Contains(e.Command, "CODE") {
			return &proxy.Redacted{Text: []byte(strings.ReplaceAll(e.Command, "CODE", "[CODE]"))}
		}
		return nil
	}}, nil
}

// stream is a stream of an operation that is being moved.
type movedStream struct {
	t    testing.TB
	flow *proxy.Flow
}

func (m movedStream) move(s string) string {
	out, err := m.flow.Bytes(nil, []byte(s))
	require.NoError(m.t, err)
	return string(out)
}

func shell(t testing.TB, s *proxy.Session) (op *proxy.Exec, in, out movedStream) {
	t.Helper()
	op = &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true}
	require.False(t, s.Ask(t.Context(), op).Refuses())
	flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal", Width: 80, Height: 24, Terminal: "xterm"})
	require.NoError(t, err)
	typed, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true})
	require.NoError(t, err)
	return op, movedStream{t, typed}, movedStream{t, flow}
}

// of are the events of a type.
func of(list []*Event, typ string) (found []*Event) {
	for _, e := range list {
		if e.Type == typ {
			found = append(found, e)
		}
	}
	return found
}

func content(list []*Event, typ string) string {
	var b strings.Builder
	for _, e := range of(list, typ) {
		b.Write(e.Content())
	}
	return b.String()
}

// TestRecordSaysWhatIsRecorded: a session's first event says how much of its data is kept, and
// the statement is there whatever that is.
func TestRecordSaysWhatIsRecorded(t *testing.T) {
	for _, c := range []struct {
		Recording
		want map[string]string
	}{
		{Recording{}, map[string]string{"terminal": "off", "exec": "off", "rows": "off", "copy": "off"}},
		{DefaultRecording(), map[string]string{"terminal": "full", "exec": "full", "rows": "off", "copy": "off"}},
		{Recording{Terminal: Digest, Rows: Sample, Copy: Full}, map[string]string{"terminal": "digest", "exec": "off", "rows": "sample", "copy": "full"}},
	} {
		dir := t.TempDir()
		l, s := recorded(t, dir, "postgres", c.Recording)
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 1"), Facts: &proxy.Facts{}}
		require.False(t, s.Ask(t.Context(), op).Refuses())
		s.Done(op, &proxy.Outcome{})
		s.Close(nil)
		require.NoError(t, l.Close())
		list := events(t, dir, s.ID)
		require.Equal(t, SessionStart, list[0].Type)
		require.Equal(t, c.want, list[0].Recording)
		require.Equal(t, "SELECT 1", of(list, OperationStart)[1].Text)
	}
}

func TestTerminalRecording(t *testing.T) {
	dir := t.TempDir()
	l, s := recorded(t, dir, "ssh", everything(nil))
	op, _, out := shell(t, s)
	out.move("$ cat \x1b[31mSECRET\x1b[0m\r\n")
	require.NoError(t, out.flow.Resize(132, 50))
	out.move("ü\xe2\x82") // half a character, and not text
	out.move("\xac\x00\xff\xfe")
	s.Done(op, &proxy.Outcome{Code: "0"})
	s.Close(nil)
	require.NoError(t, l.Close())

	list := events(t, dir, s.ID)
	require.Equal(t, "session.start operation.start operation.end operation.start recording.start recording.output recording.resize "+
		"recording.output recording.output recording.end operation.end session.end", types(list))
	start := of(list, RecordingStart)[0]
	require.Equal(t, []any{"terminal", 80, 24, "xterm", uint64(2)}, []any{start.Stream, start.Width, start.Height, start.Term, start.Op})
	require.Equal(t, "$ cat \x1b[31m******\x1b[0m\r\nü€\x00\xff\xfe", content(list, RecordingOutput), "as the client saw it")
	size := of(list, RecordingResize)[0]
	require.Equal(t, []int{132, 50}, []int{size.Width, size.Height})
	require.Equal(t, uint64(31), of(list, RecordingEnd)[0].Bytes)
	require.Empty(t, verify(t, dir, l.PublicKey()).Problems)
}

// Of what is typed, only lines that the terminal showed are on record: never
// what is typed at a prompt that does not echo.
func TestInputRecording(t *testing.T) {
	type step struct{ typed, shown string }
	for _, c := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"a command", []step{{"l", "l"}, {"s", "s"}, {"\r", "\r\nfile\r\n$ "}}, "ls\r"},
		{"pasted", []step{{"ls -l\r", "ls -l\r\nfile\r\n$ "}}, "ls -l\r"},
		{"late echo", []step{{"ls", ""}, {"", "l"}, {"\r", "s\r\n"}}, "ls\r"},
		{"two lines", []step{{"a\rb\r", "a\r\nb\r\n"}}, "a\rb\r"},
		{"erased", []step{{"lz", "lz"}, {"\x7f", "\b \b"}, {"s\r", "s\r\n"}}, "ls\r"},
		{"a password", []step{{"hunter2", ""}, {"\r", "\r\nWelcome\r\n"}}, ""},
		{"a password, by letters", []step{{"h", ""}, {"u", ""}, {"n", ""}, {"\r", "\r\nhello\r\n"}}, ""},
		{"a password while something is shown", []step{{"hun", "hu 17:00\r\n"}, {"ter2", ""}, {"\r", "\r\n$ "}}, ""},
		{"a password that begins like what is shown", []step{{"hunter2\r", "hunt was wrong\r\n"}}, ""},
		{"a password, then a command", []step{{"hunter2\r", "\r\n$ "}, {"id\r", "id\r\n"}}, "id\r"},
		{"a password with stars", []step{{"h", "*"}, {"u", "*"}, {"\r", "\r\n"}, {"id\r", "id\r\n"}}, "id\r"},
		{"given up", []step{{"rm -rf", "rm -rf"}, {"\x03", "^C\r\n$ "}, {"id\r", "id\r\n"}}, "id\r"},
		{"what is masked", []step{{"SECRET\r", "SECRET\r\n"}}, "******\r"},
		{"what records hide", []step{{"pay CODE\r", "pay CODE\r\n"}}, "pay [CODE]\r"},
		{"an endless paste", []step{{strings.Repeat("x", 5000), ""}, {"y\r", "y\r\n"}, {"id\r", "id\r\n"}}, "id\r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l, s := recorded(t, dir, "ssh", everything(nil))
			op, in, out := shell(t, s)
			for _, step := range c.steps {
				if step.typed != "" {
					require.Equal(t, strings.ReplaceAll(step.typed, "SECRET", "******"), in.move(step.typed))
				}
				if step.shown != "" {
					out.move(step.shown)
				}
			}
			s.Done(op, &proxy.Outcome{})
			s.Close(nil)
			require.NoError(t, l.Close())
			require.Equal(t, c.want, content(events(t, dir, s.ID), RecordingInput))
		})
	}
}

// A command's streams are kept apart; what it reads has a digest only, since a
// password may be among it.
func TestExecRecording(t *testing.T) {
	dir := t.TempDir()
	l, s := recorded(t, dir, "ssh", Recording{Exec: Full, Limit: 100_000})
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "sort"}
	require.False(t, s.Ask(t.Context(), op).Refuses())
	flows := map[string]movedStream{}
	for _, media := range []string{"stdout", "stderr", "stdin"} {
		f, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: media, Inbound: media == "stdin"})
		require.NoError(t, err)
		flows[media] = movedStream{t, f}
	}
	flows["stdin"].move("hunter2\n")
	flows["stdout"].move("out ")
	flows["stderr"].move("err ")
	big := strings.Repeat("0123456789", 12_000)
	require.Equal(t, big, flows["stdout"].move(big))
	require.Equal(t, "more", flows["stdout"].move("more"))
	s.Done(op, &proxy.Outcome{})
	s.Close(nil)
	require.NoError(t, l.Close())

	list := events(t, dir, s.ID)
	got, ends := map[string]string{}, map[string]*Event{}
	for _, e := range list {
		if e.Type == RecordingOutput {
			got[e.Stream] += string(e.Content())
		}
		if e.Type == RecordingEnd {
			ends[e.Stream] = e
		}
	}
	require.Equal(t, map[string]string{"stdout": "out " + big[:99_996], "stderr": "err "}, got)
	rest := sha256.Sum256([]byte(big[99_996:] + "more"))
	require.True(t, ends["stdout"].Cut)
	require.Equal(t, hex.EncodeToString(rest[:]), ends["stdout"].SHA256)
	require.Equal(t, uint64(120_008), ends["stdout"].Bytes)
	require.False(t, ends["stderr"].Cut)
	typed := sha256.Sum256([]byte("hunter2\n"))
	require.Equal(t, hex.EncodeToString(typed[:]), ends["stdin"].SHA256)
}

// result moves rows of one result through the session.
func result(t testing.TB, s *proxy.Session, text string, columns []proxy.ShapeColumn, rows ...[]string) {
	t.Helper()
	op := statementOf(text)
	require.False(t, s.Ask(t.Context(), op).Refuses())
	f, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: columns})
	require.NoError(t, err)
	var row proxy.Row
	for _, values := range rows {
		var v [][]byte
		for _, x := range values {
			if x == "NULL" {
				v = append(v, nil)
			} else {
				v = append(v, []byte(x))
			}
		}
		row.Reset(v)
		if f.HasRow() {
			require.NoError(t, f.Row(&row))
		}
	}
	s.Done(op, &proxy.Outcome{Rows: uint64(len(rows))})
}

func columnsOf(names ...string) (list []proxy.ShapeColumn) {
	for _, n := range names {
		list = append(list, proxy.ShapeColumn{Name: n})
	}
	return list
}

func flat(values [][]*string) string {
	var b strings.Builder
	for _, row := range values {
		for _, v := range row {
			if v == nil {
				b.WriteString("NULL ")
			} else {
				b.WriteString(*v + " ")
			}
		}
		b.WriteString("| ")
	}
	return b.String()
}

func TestRowRecording(t *testing.T) {
	rows := [][]string{{"1", "ann\n"}, {"2", "SECRET"}, {"3", "NULL"}}
	for _, c := range []struct {
		name   string
		detail Detail
		want   string
		digest bool
	}{
		{"off", Off, "", false},
		{"digest", Digest, "", true},
		{"sample", Sample, "1 ann\n | 2 *** | ", true},
		{"full", Full, "1 ann\n | 2 *** | 3 NULL | ", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l, s := recorded(t, dir, "postgres", Recording{Terminal: Full, Rows: c.detail, SampleRows: 2})
			result(t, s, "SELECT 1", columnsOf("id", "name"), rows...)
			s.Close(nil)
			require.NoError(t, l.Close())
			list := events(t, dir, s.ID)
			if c.detail == Off {
				require.NotContains(t, types(list), "recording.")
				return
			}
			require.Equal(t, []string{"id", "name"}, of(list, RecordingStart)[0].Columns)
			var got string
			for _, e := range of(list, RecordingRows) {
				got += flat(e.Values)
			}
			require.Equal(t, c.want, got)
			end := of(list, RecordingEnd)[0]
			require.Equal(t, uint64(3), end.Rows)
			require.Equal(t, c.digest, end.SHA256 != "")
			require.Less(t, end.Index, of(list, OperationEnd)[1].Index)
		})
	}
}

// Large results are cut where they are too large, and nothing is held in memory.
func TestLargeRows(t *testing.T) {
	dir := t.TempDir()
	l, s := recorded(t, dir, "postgres", Recording{Rows: Full, Limit: 300_000})
	var rows [][]string
	for i := range 10_000 {
		rows = append(rows, []string{fmt.Sprint(i), strings.Repeat("x", 100)})
	}
	rows[5][1] = strings.Repeat("y", 2<<20)
	result(t, s, "SELECT 1", columnsOf("id", "name"), rows...)
	s.Close(nil)
	require.NoError(t, l.Close())
	list := events(t, dir, s.ID)
	stored := 0
	for _, e := range of(list, RecordingRows) {
		stored += len(e.Values)
	}
	require.Greater(t, stored, 1000)
	require.Less(t, stored, 3500)
	require.Equal(t, "…", *of(list, RecordingRows)[0].Values[5][1])
	end := of(list, RecordingEnd)[0]
	require.True(t, end.Cut)
	require.Equal(t, uint64(10_000), end.Rows)
}

// unnamed are secrets that are known by their form, with no word about them.
var unnamed = []string{
	"ghp_" + strings.Repeat("a1B2", 9), "AKIAIOSFODNN7EXAMPLE", "md5" + strings.Repeat("9f", 16), "SCRAM-SHA-256$4096:" + strings.Repeat("YWJj", 6) + "$" + strings.Repeat("ZGVm", 11) + ":" + strings.Repeat("ZGVm", 11),
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl", "AGE-SECRET-KEY-1" + strings.Repeat("Q2", 29),
}

// Secrets are in no recording: not in columns that hold them by their name, not
// in the rows of statements that mention them, not in variables and commands, and
// nowhere that a client gives one that is known by its form.
func TestAttack69Secrets(t *testing.T) {
	dir := t.TempDir()
	l, s := recorded(t, dir, "postgres", everything(nil))
	result(t, s, "SELECT * FROM users", columnsOf("name", "Password_hash", "api_token"), []string{"ann", "hunter2", "hunter2"})
	result(t, s, "ALTER ROLE ann PASSWORD 'hunter2' RETURNING 1", columnsOf("x"), []string{"hunter2"})
	for _, op := range []proxy.Op{
		statementOf("CREATE USER u IDENTIFIED BY 'hunter2'", proxy.Arg{Value: []byte("hunter2")}),
		statementOf("create user u identified with x by 'hunter2'"),
		statementOf("SELECT dblink_connect('host=x PassWord=hunter2')"),
		statementOf("COPY t FROM 's3://x' CREDENTIALS 'aws_secret_access_key=hunter2'"),
		&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}, Name: "PGPASSWORD", Args: [][]byte{[]byte("hunter2")}},
		&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}, Name: "OPTS", Args: [][]byte{[]byte("--token hunter2")}},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "mysql -uroot -phunter2 -e 'select 1'"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "curl -u ann:hunter2 https://x"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "curl -H 'Authorization: Bearer hunter2' https://x"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "sshpass -p hunter2 ssh x"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "env SECRET=hunter2 run"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "redis-cli -a hunter2 get x"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "curl -sSu ann:hunter2 https://x"},
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "psql postgres://ann:hunter2@db/shop"},
		&proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Params: map[string]string{"options": "-c app.token=hunter2", "password": "hunter2"}},
		&proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: "GET", Path: "/x", Query: "access_token=hunter2"},
	} {
		require.False(t, s.Ask(t.Context(), op).Refuses())
		s.Done(op, &proxy.Outcome{})
	}
	for _, secret := range unnamed {
		result(t, s, "SELECT '"+secret+"'", columnsOf("x"), []string{secret})
		for _, op := range []proxy.Op{
			statementOf("INSERT INTO t VALUES ('" + secret + "')"),
			statementOf("INSERT INTO t VALUES ($1)", proxy.Arg{Value: []byte(secret)}),
			&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "echo '" + secret + "'"},
			&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}, Name: "OPTS", Args: [][]byte{[]byte(secret)}},
		} {
			require.False(t, s.Ask(t.Context(), op).Refuses())
			s.Done(op, &proxy.Outcome{})
		}
	}
	run(s, "SELECT 'an ordinary statement'")
	s.Close(nil)
	require.NoError(t, l.Close())
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	var all strings.Builder
	for raw, err := range a.Raw(s.ID) {
		require.NoError(t, err)
		all.Write(raw)
	}
	for _, secret := range append(unnamed, "hunter2") {
		require.NotContains(t, all.String(), secret)
	}
	require.Contains(t, all.String(), "an ordinary statement")
	require.Contains(t, all.String(), `["ann","…","…"]`)
}

func BenchmarkTerminalRecording(b *testing.B) {
	l, s := recorded(b, b.TempDir(), "ssh", Recording{Terminal: Full})
	defer l.Close()
	defer s.Close(nil)
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: true}
	s.Ask(b.Context(), op)
	flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal"})
	require.NoError(b, err)
	line := bytes.Repeat([]byte("drwxr-xr-x 2 root root 4096 \x1b[01;34mdirectory\x1b[0m\r\n"), 700)[:32<<10]
	var out []byte
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if out, err = flow.Bytes(out[:0], line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowRecording(b *testing.B) {
	for _, d := range []Detail{Digest, Full} {
		b.Run(detailNames[d], func(b *testing.B) {
			l, s := recorded(b, b.TempDir(), "postgres", Recording{Rows: d, Limit: 1 << 40})
			defer l.Close()
			defer s.Close(nil)
			op := statementOf("SELECT 1")
			s.Ask(b.Context(), op)
			flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: columnsOf("id", "name", "balance")})
			require.NoError(b, err)
			row := proxy.NewRow([][]byte{[]byte("4711"), []byte("Ann Example"), []byte("-123.45")})
			b.ReportAllocs()
			for b.Loop() {
				if err := flow.Row(row); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
