package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/hostile"
)

const refund = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: refund-order, owner: team:payments, risk: high, labels: {svc: orders}}
targets:
  db: {types: [postgres], match: {env: prod}}
  host: {types: [ssh]}
params:
  order_id: {type: integer, min: 1, required: true}
  reason: {type: string, max: 200, pattern: '[\p{L}0-9 ,.-]+'}
  mode: {type: enum, values: [partial, full], default: full}
  schema: {type: identifier, allow: [orders, archive], default: orders}
  token: {type: secret, generate: 32}
review: {need: 2, from: [leads], distinct: [author]}
limits: {timeout: 5m, rows: 100, affected_rows: 1}
steps:
  - id: look
    on: db
    sql: {text: "select id, total from {{ident:schema}}.orders where id = $order_id", rows: 1}
  - id: ask
    when: params.mode == 'full' && steps.look.rows == 1
    approve: {message: "Refund all of it?", show: [$look.total, $order_id]}
  - id: pay
    on: db
    sql: {text: "update orders set state = 'refunded', note = $reason where id = $order_id", affected_rows: 1}
  - id: tell
    on: host
    exec: {argv: [/usr/bin/notify, --order, $order_id, --, $reason], env: {MODE: $mode}, json: {token: $token}}
`

var places3 = []Resource{
	{Name: "orders", Type: "postgres", Labels: map[string]string{"env": "prod"}, Dialect: &Dialect{true, '"'}},
	{Name: "shop", Type: "mysql", Labels: map[string]string{"env": "prod"}, Dialect: &Dialect{false, '`'}},
	{Name: "vm1", Type: "ssh", Commands: true},
}

func raws(given map[string]any) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage)
	for k, v := range given {
		out[k], _ = json.Marshal(v) // of the test
	}
	return out
}

func TestPlan(t *testing.T) {
	b, err := Parse([]byte(refund))
	require.NoError(t, err)
	choice := Choice{Values: raws(map[string]any{"order_id": 7, "reason": "it's broken"})}
	_, err = b.Plan(Origin{}, choice, places3)
	require.ErrorContains(t, err, "reason: got \"it's broken\", want what the pattern")

	choice.Values = raws(map[string]any{"order_id": 7, "reason": "-broken"})
	p, err := b.Plan(Origin{Source: "main", Commit: "c0ffee", Path: "refund.yaml", Digest: b.Digest}, choice, places3)
	require.NoError(t, err)
	require.Equal(t, `select id, total from "orders".orders where id = $1`, p.Steps[0].Text)
	require.Equal(t, []string{"7"}, p.Steps[0].Args)
	require.Equal(t, "update orders set state = 'refunded', note = $1 where id = $2", p.Steps[2].Text)
	require.Equal(t, "env MODE=full /usr/bin/notify --order 7 -- -broken", p.Steps[3].Text, "the value comes after --")
	require.Equal(t, "JSON {token: <token>}", p.Steps[3].Input, "a secret is not in a plan")
	require.Contains(t, p.String(), "look.total")

	other := choice
	other.Values = raws(map[string]any{"order_id": 8, "reason": "-broken"})
	q, err := b.Plan(p.Origin, other, places3)
	require.NoError(t, err)
	require.NotEqual(t, p.Digest, q.Digest)
	_, err = b.Plan(p.Origin, Choice{Values: choice.Values, Targets: map[string][]string{"db": {"shop"}}}, places3)
	require.ErrorContains(t, err, `the runbook is not for "shop"`)
}

// An option cannot be made of a value.
func TestLeadingDash(t *testing.T) {
	b, err := Parse([]byte(strings.Replace(refund, " --, $reason", " $reason", 1)))
	require.NoError(t, err)
	_, err = b.Plan(Origin{}, Choice{Values: raws(map[string]any{"order_id": 7, "reason": "-rf"})}, places3)
	require.ErrorContains(t, err, "begins with -")
}

// What cannot be safe is refused, with a line and what to do.
func TestLint(t *testing.T) {
	sql := func(text string) string {
		return strings.Replace(refund, "update orders set state = 'refunded', note = $reason where id = $order_id", text, 1)
	}
	argv := func(text string) string {
		return strings.Replace(refund, "argv: [/usr/bin/notify, --order, $order_id, --, $reason]", text, 1)
	}
	for name, c := range map[string]struct {
		text, want string
		line       int
	}{
		"duplicate key":      {strings.Replace(refund, "limits:", "review: {from: [a]}\nlimits:", 1), "the key is there already, at line 13", 14},
		"unknown key":        {strings.Replace(refund, "timeout: 5m", "timeuot: 5m", 1), "the key is not known here", 14},
		"duplicate param":    {strings.Replace(refund, "  mode:", "  reason: {type: text}\n  mode:", 1), "the key is there already", 10},
		"unknown type":       {strings.Replace(refund, "type: integer", "type: int", 1), `got "int", want one of string`, 8},
		"alias":              {strings.Replace(refund, "min: 1,", "min: &a 1,", 1), "anchors and aliases", 8},
		"tag":                {strings.Replace(refund, "min: 1,", "min: !!int 1,", 1), "tag", 8},
		"two documents":      {refund + "---\na: b\n", "more than one document", 0},
		"unknown param":      {sql("select $nothing"), `there is no parameter "nothing"`, 24},
		"two statements":     {sql("delete from a; delete from b"), "several statements", 24},
		"text interpolation": {sql("select '$reason'"), "a literal holds a value", 24},
		"braces":             {sql("select {{.reason}}"), "text is put into the statement", 24},
		"dollar brace":       {sql("select ${reason}"), "a $ that is not a value's", 24},
		"not an identifier":  {sql("select * from {{ident:reason}}"), "is not an identifier parameter", 24},
		"secret in SQL":      {sql("select $token"), "a secret goes into a statement", 24},
		"dollar quote":       {sql("select $x$ $reason $x$"), "a $ that is not", 24},
		"backslash":          {sql(`select 'a\\' || $reason`), `holds a \`, 24},
		"MySQL comment":      {sql("select 1 /*!50000 + $order_id */"), "a comment that some databases run", 24},
		"transaction":        {sql("commit"), "may not be COMMIT", 24},
		"secret in argv":     {argv("argv: [/usr/bin/notify, $token]"), "a secret goes into a command line", 27},
		"secret in env":      {strings.Replace(refund, "MODE: $mode", "MODE: $token", 1), "a secret goes into a command's environment", 27},
		"word in text":       {argv(`argv: [/usr/bin/notify, "--order=$order_id"]`), "a value within a text", 27},
		"substitution":       {argv(`argv: [/usr/bin/notify, "$(id)"]`), "a value within a text", 27},
		"program":            {argv(`argv: [$reason]`), "the program is a value", 27},
		"sh -c":              {argv(`argv: [sh, -c, $reason]`), "would run a value as a program", 27},
		"LD_PRELOAD":         {strings.Replace(refund, "MODE: $mode", "LD_PRELOAD: $mode", 1), "changes which programs run", 27},
		"step of nothing":    {strings.Replace(refund, "rows: 1}\n  - id: ask", "}\n  - id: ask", 1), "only a statement that has to return one row", 21},
		"retry":              {strings.Replace(refund, "  - id: pay\n", "  - id: pay\n    retry: {max: 3}\n", 1), "a step is tried again that may have had an effect", 23},
		"http":               {refund + "  - id: web\n    on: host\n    http: {method: TRACE, path: /}\n", `got "TRACE", want one of GET`, 30},
		"when":               {strings.Replace(refund, "steps.look.rows", "steps.pay.rows", 1), `there is no step "pay" before this one`, 19},
		"pattern":            {strings.Replace(refund, `[\p{L}0-9 ,.-]+`, `a)|(?:b`, 1), "unexpected )", 9},
	} {
		_, err := Parse([]byte(c.text))
		var problems Problems
		require.ErrorAs(t, err, &problems, name)
		require.Contains(t, err.Error(), c.want, name)
		if c.line > 0 {
			require.Equal(t, c.line, problems[0].Line, "%s: %v", name, err)
		}
	}
}

func TestFileLimits(t *testing.T) {
	for name, text := range map[string]string{
		"size":     strings.Repeat("#", MaxFile+1),
		"depth":    "a: " + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
		"brackets": strings.Repeat("[", 100_000),
		"nodes":    "a: [" + strings.Repeat("1,", MaxNodes) + "]",
		"NUL":      "a: \x00",
		"empty":    "",
		"scalar":   "x",
		"merge":    "a: {<<: {b: c}}",
	} {
		begun := time.Now()
		_, err := Parse([]byte(text))
		var problems Problems
		require.ErrorAs(t, err, &problems, name)
		require.Less(t, time.Since(begun), 5*time.Second, name)
	}
}

// Values are checked on the server, whatever a form has let through.
func TestValues(t *testing.T) {
	param := func(p Param) *Param {
		p.Name = "x"
		d := &decoder{}
		p.check(d)
		require.Empty(t, d.problems)
		return &p
	}
	lit := func(s string) *Literal { return &Literal{Text: s} }
	for _, c := range []struct {
		p    Param
		json string
		want string // the text; an error begins with !
	}{
		{Param{Type: "integer", Min: lit("1"), Max: lit("10")}, `5`, "5"},
		{Param{Type: "integer", Min: lit("1"), Max: lit("10")}, `11`, "!10 or less"},
		{Param{Type: "integer"}, `1.5`, "!whole number"},
		{Param{Type: "integer"}, `"1; drop"`, "!whole number"},
		{Param{Type: "integer"}, `9223372036854775808`, "!64 bits"},
		{Param{Type: "integer"}, `true`, "!want a number"},
		{Param{Type: "integer"}, `[1]`, "!want a number"},
		{Param{Type: "integer"}, `{"a":1}`, "!want a number"},
		{Param{Type: "number", Max: lit("9.99")}, `9.991`, "!9.99 or less"},
		{Param{Type: "number"}, `1e400`, "!want a number"},
		{Param{Type: "boolean"}, `"yes"`, "!want true or false"},
		{Param{Type: "boolean"}, `true`, "true"},
		{Param{Type: "enum", Values: []Literal{{Text: "a"}}}, `"b"`, "!want one of a"},
		{Param{Type: "multi", Values: []Literal{{Text: "a"}, {Text: "b"}}}, `["b","b"]`, "!twice"},
		{Param{Type: "string", Pattern: "a+"}, `"baab"`, "!pattern"},
		{Param{Type: "string", Pattern: "a|b"}, `"ax"`, "!pattern"},
		{Param{Type: "string", Pattern: "(?m)^a$"}, `"a\nb"`, "!cannot be seen"},
		{Param{Type: "string"}, `"a\u202eb"`, "!cannot be seen"},
		{Param{Type: "string"}, `"\ud800"`, "!UTF-8"},
		{Param{Type: "string", Max: lit("3")}, `"äöüß"`, "!got 4 characters"},
		{Param{Type: "text"}, `"a\nb"`, "a\nb"},
		{Param{Type: "text"}, `"a\u0000b"`, "!cannot be seen"},
		{Param{Type: "date"}, `"2026-02-30"`, "!want a date"},
		{Param{Type: "date", Min: lit("2026-01-01")}, `"2025-12-31"`, "!2026-01-01 or more"},
		{Param{Type: "datetime"}, `"2026-01-31T15:04:05Z"`, "2026-01-31T15:04:05Z"},
		{Param{Type: "duration", Max: lit("1h")}, `"61m"`, "!1h or less"},
		{Param{Type: "ip"}, `"::FFFF"`, "::ffff"},
		{Param{Type: "ip"}, `"fe80::1%eth0"`, "!IP address"},
		{Param{Type: "cidr"}, `"10.0.0.1/8"`, "!without bits of a host"},
		{Param{Type: "uuid"}, `"6BA7B810-9DAD-11D1-80B4-00C04FD430C8"`, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{Param{Type: "email"}, `"a@example.com, b@example.com"`, "!mail address"},
		{Param{Type: "email"}, `"-x@example.com"`, "!mail address"},
		{Param{Type: "email"}, `""`, "!mail address"},
		{Param{Type: "url"}, `"https://user@example.com"`, "!without a user"},
		{Param{Type: "url"}, `"file:///etc/passwd"`, "!URL of https"},
		{Param{Type: "identifier", Allow: []string{"orders"}}, `"Orders"`, "!want one of orders"},
		{Param{Type: "file", MaxBytes: 3}, `"abcd"`, "!3 or less"},
		{Param{Type: "secret", Generate: 20}, `"x"`, "!not given"},
	} {
		v, err := param(c.p).JSON(json.RawMessage(c.json))
		if want, wrong := strings.CutPrefix(c.want, "!"); wrong {
			require.ErrorContains(t, err, want, "%s %s", c.p.Type, c.json)
			continue
		}
		require.NoError(t, err, "%s %s", c.p.Type, c.json)
		require.Equal(t, c.want, v.Text)
	}
	b, err := Parse([]byte(refund))
	require.NoError(t, err)
	_, err = b.Bind(raws(map[string]any{"token": "x", "extra": 1}))
	var bad *BadValues
	require.ErrorAs(t, err, &bad)
	require.Equal(t, map[string]string{"token": "a secret is not given: the gateway fetches or makes it", "extra": "the runbook has no such parameter", "order_id": "a value is needed"}, bad.Errors)
}

func TestSchema(t *testing.T) {
	b, err := Parse([]byte(refund))
	require.NoError(t, err)
	text, err := json.Marshal(b.Schema())
	require.NoError(t, err)
	require.Contains(t, string(text), `"additionalProperties":false`)
	require.Contains(t, string(text), `"pattern":"^(?:[\\p{L}0-9 ,.-]+)$"`)
	require.NotContains(t, string(text), "token", "nobody gives a secret")
}

// A value is the only word that a shell makes of it.
func shellWords(t testing.TB, list []string) []string {
	t.Helper()
	line, _ := quoteLine(append([]string{"printf", `%s\0`}, list...))
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	require.NoError(t, err, "%q: %s", line, out)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestQuote(t *testing.T) {
	var list []string
	for _, v := range hostile.Values() {
		if !strings.Contains(v, "\x00") {
			list = append(list, v)
		}
	}
	require.GreaterOrEqual(t, len(hostile.Values()), 200)
	require.Equal(t, list, shellWords(t, list))
	line, quoted := quoteLine([]string{"A=b", "--x=1", "/usr/bin/y"})
	require.Equal(t, "'A=b' --x=1 /usr/bin/y", line)
	require.True(t, quoted)
}

// Each value costs a shell. TestQuote gives all of the corpus to one; the seeds are a part of
// it, so that time is left for values that are made.
func FuzzQuote(f *testing.F) {
	for i, v := range hostile.Values() {
		if i%20 == 0 {
			f.Add(v, "x")
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.Contains(a+b, "\x00") || len(a)+len(b) > 10_000 {
			t.Skip()
		}
		if got := shellWords(t, []string{a, b}); got[0] != a || got[1] != b || len(got) != 2 {
			t.Fatalf("%q and %q became %q", a, b, got)
		}
	})
}

// No file and no statement makes the reader fail in another way than by saying so.
func FuzzParse(f *testing.F) {
	f.Add(refund)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse([]byte(text))
		var problems Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatal(err)
		}
		if err == nil {
			_, _ = b.Plan(Origin{}, Choice{}, places3) // it may not fit
		}
	})
}

func FuzzSQL(f *testing.F) {
	for _, v := range hostile.Values() {
		f.Add("select $a, " + v + " where b = $b")
	}
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := compileSQL(text)
		if err != nil {
			return
		}
		out, bound, err := tpl.write(Dialect{true, '"'}, func(string) (string, error) { return "orders", nil })
		if err == nil && len(bound) > strings.Count(out, "$") {
			t.Fatalf("%q has %d values, and binds %v", out, strings.Count(out, "$"), bound)
		}
	})
}

func TestWhen(t *testing.T) {
	value := func(o operand) (string, error) {
		return map[string]string{"mode": "full", "look.rows": "3", "n": "10"}[strings.TrimSuffix(o.name+"."+o.field, ".")], nil
	}
	for text, want := range map[string]bool{
		"params.mode == 'full'": true, "params.mode != 'full'": false, "steps.look.rows >= 3 && params.n > 9": true, "!(params.n < 9) || params.mode == 'x'": true,
		"params.n == '10.0'": true, "true": true, "false || params.mode == ''": false,
	} {
		c, err := parseWhen(text)
		require.NoError(t, err, text)
		got, err := c.holds(value)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "params", "params.mode ==", "params.mode = 'x'", "a.b.c", "(true", "true true", "`id`", "'\\''", strings.Repeat("!", 100) + "true", strings.Repeat("(", 600)} {
		_, err := parseWhen(text)
		require.Error(t, err, text)
	}
	c, err := parseWhen("params.mode > 1")
	require.NoError(t, err)
	_, err = c.holds(value)
	require.ErrorContains(t, err, "want numbers")
}

func TestCron(t *testing.T) {
	next := func(cron, zone, from string, n int) (list []string) {
		c, err := ParseCron(cron, zone)
		require.NoError(t, err, cron)
		at, err := time.Parse(time.RFC3339, from)
		require.NoError(t, err)
		for range n {
			at = c.Next(at)
			list = append(list, at.Format("01-02T15:04Z07:00"))
		}
		return list
	}
	// In spring 02:00 to 03:00 does not exist in Berlin: what is at 02:30 runs at 03:00, once.
	require.Equal(t, []string{"03-28T02:30+01:00", "03-29T03:00+02:00", "03-30T02:30+02:00"}, next("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3))
	// In autumn 02:30 comes twice, and runs once.
	require.Equal(t, []string{"10-24T02:30+02:00", "10-25T02:30+02:00", "10-26T02:30+01:00"}, next("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00:00Z", 3))
	// What is every half an hour goes on every half an hour, both ways.
	require.Equal(t, []string{"03-29T01:30+01:00", "03-29T03:00+02:00", "03-29T03:30+02:00"}, next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3))
	require.Equal(t, []string{"10-25T02:30+02:00", "10-25T02:00+01:00", "10-25T02:30+01:00", "10-25T03:00+01:00"}, next("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4))
	require.Equal(t, []string{"02-29T00:00Z"}, next("0 0 29 2 *", "", "2026-01-01T00:00:00Z", 1))
	require.Equal(t, []string{"06-01T00:00Z", "06-05T00:00Z"}, next("0 0 1 6 fri", "", "2026-05-31T00:00:00Z", 2))
	for _, bad := range []string{"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "x * * * *", "0 0 30 2 *", "@daily"} {
		_, err := ParseCron(bad, "")
		require.Error(t, err, bad)
	}
	_, err := ParseCron("* * * * *", "Local")
	require.Error(t, err)
}

type tree map[string]string

func (f tree) Read(_ context.Context, path string, limit int) ([]byte, error) {
	text, ok := f[path]
	if !ok || len(text) > limit {
		return nil, errors.New("there is no such file")
	}
	return []byte(text), nil
}

func (f tree) Find(_ context.Context, name string) (*Runbook, error) {
	return Parse([]byte(f[name+".yaml"]))
}

func nested(name, inner string) string {
	return fmt.Sprintf("apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: %s}\ntargets: {vm: {types: [ssh]}}\nparams: {word: {type: string, default: a}}\nsteps:\n%s", name, inner)
}

func TestComplete(t *testing.T) {
	f := tree{
		"outer.yaml": nested("outer", "  - {id: first, runbook: {name: inner, params: {word: $word}, targets: {vm: vm}}}\n"),
		"inner.yaml": strings.Replace(nested("inner", "  - {id: say, exec: {script: say.sh, argv: [$word]}}\n"), "steps:", "review: {from: [ops]}\nsteps:", 1),
		"loop.yaml":  nested("loop", "  - {id: a, runbook: {name: again, targets: {vm: vm}}}\n"),
		"again.yaml": nested("again", "  - {id: a, runbook: {name: loop, targets: {vm: vm}}}\n"),
		"lfs.yaml":   nested("lfs", "  - {id: a, exec: {script: big.sh}}\n"),
		"say.sh":     "#!/bin/sh\necho \"$1\"\n", "big.sh": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
	}
	b, err := f.Find(t.Context(), "outer")
	require.NoError(t, err)
	require.NoError(t, b.Complete(t.Context(), f))
	p, err := b.Plan(Origin{}, Choice{Values: raws(map[string]any{"word": "-$(id)"})}, places3)
	require.NoError(t, err)
	require.Equal(t, "first.say", p.Steps[0].ID)
	require.Len(t, p.Reviews, 1, "what runs within another is approved as by itself")
	out, err := exec.Command("sh", "-c", p.Steps[0].Text).CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "-$(id)\n", string(out))

	for name, want := range map[string]string{"loop": "without an end", "lfs": "Git LFS"} {
		b, err := f.Find(t.Context(), name)
		require.NoError(t, err)
		require.ErrorContains(t, b.Complete(t.Context(), f), want)
	}
	_, err = Parse([]byte(nested("x", "  - {id: a, exec: {script: ../../etc/passwd}}\n")))
	require.Error(t, err)
	require.True(t, utf8.ValidString(clip(strings.Repeat("ä", 100))))
}
