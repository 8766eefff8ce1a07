package text_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/text"
)

func Example() {
	list := []*audit.Event{
		{Time: "2026-01-31T09:30:00.000000Z", Type: audit.SessionStart, User: "alice", Resource: "shop", Account: "app", Remote: "192.0.2.1:50000"},
		{Time: "2026-01-31T09:30:01.250000Z", Type: audit.OperationStart, Op: 2, Kind: "statement", Text: "SELECT email\nFROM people", Effects: "read"},
		{Time: "2026-01-31T09:30:01.260000Z", Type: audit.OperationEnd, Op: 2, Verdict: "pass", Rows: 3, Micros: 9500, Masked: map[string]uint64{"EMAIL_ADDRESS": 3}},
	}
	for _, e := range list {
		fmt.Println(text.Line(e))
	}
	// Output:
	// 09:30:00.000  session.start      alice  at shop  as app  from 192.0.2.1:50000
	// 09:30:01.250  operation.start    #2  statement  SELECT email FROM people  (read)
	// 09:30:01.260  operation.end      #2  3 rows  9500 µs  masked EMAIL_ADDRESS ×3
}

func TestLine(t *testing.T) {
	value := "it's"
	for _, c := range []struct {
		name  string
		event audit.Event
		want  string
	}{
		{
			"a refusal",
			audit.Event{Type: audit.OperationRefused, Op: 3, Kind: "statement", Text: "DROP TABLE t", Verdict: "deny", By: "policy", Rule: "r", Reason: "no"},
			"  operation.refused  #3  statement  DROP TABLE t  deny  by policy  rule r  no",
		},
		{"arguments", audit.Event{Type: "t", Text: "SELECT $1, $2", Args: []*string{&value, nil}}, "  t                  SELECT $1, $2  'it's'  NULL"},
		{"a time that is not one", audit.Event{Time: "\x1b[2J", Type: "t"}, "␛[2J  t                "},
		{
			"bytes",
			audit.Event{Type: audit.RecordingOutput, Stream: "stdout", Data: "a\x1b]0;x\x07", Base64: []byte{0xff, 0xfe}},
			"  recording.output   stdout  a␛]0;x␇  + 2 bytes that are not text",
		},
		{"a cut recording", audit.Event{Type: audit.RecordingEnd, Stream: "rows", Bytes: 10, SHA256: "ab", Cut: true}, "  recording.end      rows  10 bytes  sha256 ab  cut"},
		{"what is missing", audit.Event{Type: audit.Degraded, Lost: 7}, "  record.degraded    7 events missing"},
		{"an administrator's session", audit.Event{Type: audit.AdminKill, User: "root", Session: "x"}, "  admin.kill         root  session x"},
		{"the session's own identifier", audit.Event{Type: audit.SessionStart, Session: "x"}, "  session.start    "},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, text.Line(&c.event)) })
	}
}

// Whatever field holds what a terminal must not get, the line does not.
func TestLineIsSafe(t *testing.T) {
	const bad = "\x1b[2J\r\n\u202e"
	fields := reflect.TypeFor[audit.Event]()
	for i := range fields.NumField() {
		e := audit.Event{}
		f := reflect.ValueOf(&e).Elem().Field(i)
		value := bad
		switch f.Interface().(type) {
		case string:
			f.SetString(bad)
		case []string:
			f.Set(reflect.ValueOf([]string{bad}))
		case []*string:
			f.Set(reflect.ValueOf([]*string{&value}))
		case map[string]uint64:
			f.Set(reflect.ValueOf(map[string]uint64{bad: 1}))
		default:
			continue
		}
		t.Run(fields.Field(i).Name, func(t *testing.T) {
			line := text.Line(&e)
			require.False(t, strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }), "%q", line)
		})
	}
}
