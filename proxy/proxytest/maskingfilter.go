package proxytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy"
)

// Result is an operation and what the resource answers, as a handler announces
// and passes it on. A suite changes Op and Rows: each Result is used once.
type Result struct {
	Name string
	// Before are operations that ran earlier in the session. When one is refused,
	// Op is not asked and nothing comes out.
	Before []proxy.Op
	Op     proxy.Op
	Shape  *proxy.Shape // nil: the answer has no data
	// Rows are the values of a shape with columns; nil is NULL.
	Rows [][][]byte
	// Stream is the data of a shape without columns.
	Stream []byte
	// Messages are what the resource says besides the data.
	Messages []*proxy.Message
	// Hidden are texts of which none may come out.
	Hidden []string
	// Shown are texts that must come out: they derive from nothing that is hidden.
	Shown []string
	// Refused says that Op must not run, because its data goes where no filter is.
	Refused bool
}

// TestMaskingFilter checks what a filter that hides a base column owes: the
// column's values do not come out under another name, in a row or a JSON document
// of their own, through a view, a function or an expression, in a COPY, in an error
// or in a copy that was made of them; what is certainly something else comes out
// unchanged, and so does what clients send. Where the origin is not known, the
// filter may mask the value or refuse the operation or the result.
//
// create makes a new interceptor that hides the column hide, and no other, from
// everybody. further are tried besides: operations and shapes of a real handler and
// analyzer, in which the hidden column is hide too. Each of both is a session of its
// own. A t that is a *testing.T gets a subtest for each.
//
// The relation of hide, public.people, has the columns id (1), team (2) and ssn (3),
// the hidden one, and the number 16400.
func TestMaskingFilter(t testing.TB, create func(hide proxy.Origin) proxy.Interceptor, further ...Result) {
	t.Helper()
	for _, r := range append(hiddenResults(), further...) {
		if t, ok := t.(*testing.T); ok {
			t.Run(r.Name, func(t *testing.T) { r.try(t, create(hiddenColumn())) })
			continue
		}
		r.try(t, create(hiddenColumn()))
	}
}

// try passes r through i.
func (r *Result) try(t testing.TB, i proxy.Interceptor) {
	t.Helper()
	var panicked error
	g := &proxy.Gateway{OnEvent: func(e proxy.Event) {
		if e.Kind == proxy.EventPanic {
			panicked = e.Err
		}
	}}
	s, err := Open(g, i)
	if err != nil {
		t.Errorf("%s: the session is refused: %v", r.Name, err)
		return
	}
	defer s.Close(nil)
	out, withheld := r.pass(s)
	if r.Refused && withheld == nil {
		t.Errorf("%s: the operation is not refused, and no filter sees its data", r.Name)
	}
	if panicked != nil {
		t.Errorf("%s: %v", r.Name, panicked)
	}
	for _, text := range r.Hidden {
		if bytes.Contains(out, []byte(text)) {
			t.Errorf("%s: the hidden value came out, as %q in %q", r.Name, text, out)
		}
	}
	for _, text := range r.Shown {
		if !bytes.Contains(out, []byte(text)) {
			t.Errorf("%s: %q derives from nothing that is hidden and did not come out: got %q (%v)", r.Name, text, out, withheld)
		}
	}
}

// pass asks for r's operations and returns what of the answer comes out, and why
// the rest does not.
func (r *Result) pass(s *proxy.Session) (out []byte, withheld error) {
	for _, op := range r.Before {
		if v := s.Ask(context.Background(), op); v.Refuses() {
			return nil, errors.New(v.Message())
		}
		s.Done(op, &proxy.Outcome{})
	}
	if v := s.Ask(context.Background(), r.Op); v.Refuses() {
		return nil, errors.New(v.Message())
	}
	outcome := &proxy.Outcome{}
	defer func() { s.Done(r.Op, outcome) }()
	if r.Shape != nil {
		if out, withheld = r.data(s); withheld != nil {
			outcome.Err = withheld
			return out, withheld
		}
	}
	for _, m := range r.Messages {
		if err := s.Tell(r.Op, m); err != nil {
			return out, err
		}
		for _, f := range m.Fields {
			out = append(append(out, f.Value...), '\n')
		}
	}
	return out, nil
}

var errBytes = errors.New("a filter asked for rows as bytes, which handlers of rows do not have")

// data passes the data through the session's filters.
func (r *Result) data(s *proxy.Session) (out []byte, err error) {
	flow, err := s.Flow(r.Op, r.Shape)
	if err != nil {
		return nil, err
	}
	if len(r.Shape.Columns) == 0 {
		if !flow.HasBytes() {
			return r.Stream, nil
		}
		if out, err = flow.Bytes(nil, r.Stream); err != nil {
			return out, err
		}
		return flow.End(out)
	}
	if flow.HasBytes() {
		return nil, errBytes
	}
	for _, values := range r.Rows {
		row := proxy.NewRow(values)
		if flow.HasRow() {
			if err := flow.Row(row); err != nil {
				return out, err
			}
		}
		for i := range row.Len() {
			out = append(append(out, row.Value(i)...), '\n')
		}
	}
	return out, nil
}

// The hidden value, in forms in which it could come out. It has no look by which it
// could be found.
const (
	hiddenValue  = "kestrel-lantern"
	hiddenHex    = "6b65737472656c2d6c616e7465726e"
	hiddenPart   = "kestre"
	hiddenBinary = "\x00\x00\x00\x00\x04\xa6\xf7\x30" // 78051120, as of a column of numbers
	shownValue   = "blue"
)

const (
	peopleTable = 16400
	typeInt8    = 20
	typeText    = 25
	typeJSON    = 114
	typePeople  = 16402 // of a whole row
)

// hiddenColumn returns the base column that the suite has hidden.
func hiddenColumn() proxy.Origin {
	return proxy.Origin{Schema: "public", Relation: "people", Column: "ssn"}
}

// from returns an output column that derives from columns of public.people.
func from(name string, how proxy.Derivation, columns ...string) proxy.Column {
	c := proxy.Column{Name: name}
	for _, column := range columns {
		o := hiddenColumn()
		o.Column, o.How = column, how
		c.Origins = append(c.Origins, o)
	}
	return c
}

func plain(name, column string) proxy.Column { return from(name, proxy.DerivedPlain, column) }

// opaque returns an output column about which nothing is known.
func opaque(name string) proxy.Column { return proxy.Column{Name: name, Opaque: true} }

// query returns a statement that reads public.people and returns columns; no
// columns: they are not known.
func query(text string, columns ...proxy.Column) *proxy.Statement {
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text),
		Facts: &proxy.Facts{
			Effects: proxy.EffectRead, Statements: 1, Normalised: text, Rows: true, Columns: columns, ColumnsKnown: columns != nil,
			Relations: []proxy.Relation{{Schema: "public", Name: "people", Effects: proxy.EffectRead}},
		},
	}
}

// with returns op with these effects besides.
func with(op *proxy.Statement, effects proxy.Effects) *proxy.Statement {
	op.Facts.Effects |= effects
	return op
}

// calling returns op, which calls a function that may do anything.
func calling(op *proxy.Statement, name string) *proxy.Statement {
	op.Facts.Functions = []proxy.Function{{Schema: "public", Name: name, Class: proxy.FunctionUnknown}}
	return with(op, proxy.EffectCall)
}

// without returns op, which touches other relations only.
func without(op *proxy.Statement, relations ...proxy.Relation) *proxy.Statement {
	op.Facts.Relations = relations
	return op
}

// copied returns a COPY to the client.
func copied(text string, c proxy.CopyFacts) *proxy.Statement {
	op := with(query(text), proxy.EffectCopyOut)
	c.Out = true
	op.Facts.Copy, op.Facts.Rows, op.Facts.ColumnsKnown = &c, false, true
	return op
}

// base returns the shape of a column that is a base column of public.people, as the
// resource announces it and a catalog has resolved it.
func base(name, column string, attr uint16) proxy.ShapeColumn {
	source := plain(column, column)
	return proxy.ShapeColumn{
		Name: name, Table: peopleTable, Attr: attr, Type: typeText, Schema: "public", Relation: "people", Column: column, Source: &source,
	}
}

// computed returns the shape of a column that is not a base column.
func computed(name string, typ uint32) proxy.ShapeColumn {
	return proxy.ShapeColumn{Name: name, Type: typ}
}

func rowsOf(columns ...proxy.ShapeColumn) *proxy.Shape {
	return &proxy.Shape{Kind: proxy.ShapeRows, Columns: columns}
}

func copyOf(op *proxy.Statement, columns ...proxy.ShapeColumn) *proxy.Shape {
	return &proxy.Shape{Kind: proxy.ShapeCopy, Copy: op.Facts.Copy, Columns: columns}
}

// rows returns three rows: of values, of NULL, of values.
func rows(values ...string) [][][]byte {
	list := make([][][]byte, 3)
	for n := range list {
		list[n] = make([][]byte, len(values))
		for i, v := range values {
			if n != 1 {
				list[n][i] = []byte(v)
			}
		}
	}
	return list
}

// hiddenResults returns the results that every masking filter is tried with.
func hiddenResults() []Result {
	return append(append(append(append(hiddenNames(), hiddenExpressions()...), hiddenOrigins()...), hiddenCopies()...), shownResults()...)
}

// hiddenNames are results in which only the name leads away from the column.
func hiddenNames() []Result {
	hidden := []string{hiddenPart}
	view := plain("contact", "ssn")
	return []Result{
		{
			Name: "the column itself", Op: query("SELECT team, ssn FROM people", plain("team", "team"), plain("ssn", "ssn")),
			Shape: rowsOf(base("team", "team", 2), base("ssn", "ssn", 3)), Rows: rows(shownValue, hiddenValue), Hidden: hidden, Shown: []string{shownValue},
		},
		{
			Name: "another name", Op: query("SELECT ssn AS x FROM people", plain("x", "ssn")),
			Shape: rowsOf(base("x", "ssn", 3)), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "another name that a catalog alone resolves", Op: query("SELECT ssn AS x FROM people"),
			Shape: rowsOf(base("x", "ssn", 3)), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "another name that the protocol alone resolves", Op: query("SELECT ssn AS x FROM people"),
			Shape: rowsOf(proxy.ShapeColumn{Name: "x", Type: typeText, Schema: "public", Relation: "people", Column: "ssn"}),
			Rows:  rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "another name that the statement alone resolves", Op: query("SELECT x FROM (SELECT ssn AS x FROM people) p", plain("x", "ssn")),
			Shape: rowsOf(computed("x", typeText)), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "names that change places", Op: query("SELECT team AS ssn, ssn AS team FROM people", plain("ssn", "team"), plain("team", "ssn")),
			Shape: rowsOf(base("ssn", "team", 2), base("team", "ssn", 3)), Rows: rows(shownValue, hiddenValue), Hidden: hidden,
		},
		{
			Name: "a subquery in a union", Op: query("SELECT 'none' AS x UNION SELECT ssn FROM people", plain("x", "ssn")),
			Shape: rowsOf(computed("x", typeText)), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "a view", Op: query("SELECT contact FROM contacts"),
			Shape: rowsOf(proxy.ShapeColumn{
				Name: "contact", Table: 16410, Attr: 2, Type: typeText, Schema: "public", Relation: "people", Column: "ssn", Source: &view,
			}), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "RETURNING", Op: with(query("UPDATE people SET team = 'red' RETURNING ssn AS x", plain("x", "ssn")), proxy.EffectUpdate),
			Shape: rowsOf(base("x", "ssn", 3)), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "the binary format", Op: query("SELECT ssn AS x FROM people", plain("x", "ssn")),
			Shape: rowsOf(proxy.ShapeColumn{Name: "x", Table: peopleTable, Attr: 3, Type: typeInt8, Binary: true}), Rows: rows(hiddenBinary), Hidden: []string{hiddenBinary},
		},
	}
}

// hiddenExpressions are results that hold the column's values in something else.
func hiddenExpressions() []Result {
	const whole = "(1,blue,kestrel-lantern)"
	document := `{"id":1,"team":"blue","ssn":"kestrel-lantern"}`
	hidden := []string{hiddenPart}
	return []Result{
		{
			Name: "row_to_json of the row", Op: query("SELECT row_to_json(p) FROM people p", from("row_to_json", proxy.DerivedTransformed, "*")),
			Shape: rowsOf(computed("row_to_json", typeJSON)), Rows: rows(document), Hidden: hidden,
		},
		{
			Name: "JSON with keys of its own", Op: query("SELECT json_build_object('a', ssn) AS x FROM people", from("x", proxy.DerivedTransformed, "ssn")),
			Shape: rowsOf(computed("x", typeJSON)), Rows: rows(`{"a":"kestrel-lantern"}`), Hidden: hidden,
		},
		{
			Name: "the whole row", Op: query("SELECT p FROM people p", plain("p", "*")),
			Shape: rowsOf(computed("p", typePeople)), Rows: rows(whole), Hidden: hidden,
		},
		{
			Name: "the whole row by its number", Op: query("SELECT p FROM people p"),
			Shape: rowsOf(proxy.ShapeColumn{Name: "p", Table: peopleTable, Type: typePeople, Schema: "public", Relation: "people"}), Rows: rows(whole), Hidden: hidden,
		},
		{
			Name: "part of the value", Op: query("SELECT left(ssn, 6) FROM people", from("left", proxy.DerivedTransformed, "ssn")),
			Shape: rowsOf(computed("left", typeText)), Rows: rows(hiddenPart), Hidden: hidden,
		},
		{
			Name: "the value in another form", Op: query("SELECT encode(ssn::bytea, 'hex') FROM people", from("encode", proxy.DerivedTransformed, "ssn")),
			Shape: rowsOf(computed("encode", typeText)), Rows: rows(hiddenHex), Hidden: []string{hiddenHex},
		},
		{
			Name: "an expression over several columns", Op: query("SELECT team || ssn AS team FROM people", from("team", proxy.DerivedTransformed, "team", "ssn")),
			Shape: rowsOf(computed("team", typeText)), Rows: rows(shownValue + hiddenValue), Hidden: hidden,
		},
		{
			Name: "an aggregate", Op: query("SELECT max(ssn) FROM people", from("max", proxy.DerivedAggregated, "ssn")),
			Shape: rowsOf(computed("max", typeText)), Rows: rows(hiddenValue), Hidden: hidden,
		},
	}
}

// notice is what PL/pgSQL's RAISE NOTICE sends.
func notice(text string) *proxy.Message {
	return &proxy.Message{Kind: proxy.MessageNotice, Code: "00000", Fields: []proxy.MessageField{{Name: "message", Value: []byte(text)}}}
}

// hiddenOrigins are results whose origin is not known, or not what it seems.
func hiddenOrigins() []Result {
	hidden := []string{hiddenPart}
	people := opaque("x")
	statistics := proxy.Column{Name: "x", Origins: []proxy.Origin{{Schema: "pg_catalog", Relation: "pg_stats", Column: "most_common_vals"}}}
	two := query("SELECT 1; SELECT ssn AS x FROM people")
	two.Facts.Statements = 2
	two.Facts.Parts = []*proxy.Facts{
		{Effects: proxy.EffectRead, Statements: 1, Rows: true, ColumnsKnown: true, Columns: []proxy.Column{{Name: "x"}}},
		query("", plain("x", "ssn")).Facts,
	}
	unknown := query("SELECT ssn AS x FROM people")
	unknown.Facts = proxy.UnknownFacts("a test")
	declared := query("DECLARE c CURSOR FOR SELECT upper(ssn) AS x FROM people")
	declared.Facts.Rows, declared.Facts.ColumnsKnown = false, true
	shape := func() *proxy.Shape { return rowsOf(computed("x", typeText)) }
	return []Result{
		{
			Name: "the result of a function", Op: calling(without(query("SELECT report() AS x", opaque("x"))), "report"),
			Shape: shape(), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "a view that cannot be seen through", Op: without(query("SELECT x FROM closed", opaque("x")), proxy.Relation{Schema: "public", Name: "closed", Effects: proxy.EffectRead}),
			Shape: rowsOf(proxy.ShapeColumn{Name: "x", Table: 16420, Attr: 1, Type: typeText, Schema: "public", Relation: "closed", Column: "x", Source: &people}),
			Rows:  rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "more than the known origins",
			Op: calling(query("SELECT coalesce(team, report()) AS x FROM people", proxy.Column{
				Name: "x", Origins: plain("", "team").Origins, Opaque: true,
			}), "report"),
			Shape: shape(), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "columns that are not known", Op: query("SELECT upper(ssn) AS x FROM people"), Shape: shape(), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "a statement that is not understood", Op: unknown, Shape: shape(), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "a cursor", Before: []proxy.Op{declared}, Op: without(query("FETCH ALL FROM c")), Shape: shape(), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "the second of two statements", Op: two, Shape: shape(), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "more columns than the statement was found to have", Op: query("SELECT *, upper(ssn) AS x FROM people", plain("id", "id"), plain("team", "team")),
			Shape: rowsOf(base("id", "id", 1), base("team", "team", 2), computed("x", typeText)), Rows: rows("1", shownValue, hiddenValue), Hidden: hidden,
		},
		{
			Name: "statistics of the column",
			Op:   without(query("SELECT most_common_vals AS x FROM pg_stats", statistics), proxy.Relation{Schema: "pg_catalog", Name: "pg_stats", Effects: proxy.EffectRead}),
			Shape: rowsOf(proxy.ShapeColumn{
				Name: "x", Table: 12200, Attr: 9, Type: 2277, Schema: "pg_catalog", Relation: "pg_stats", Column: "most_common_vals", Source: &statistics,
			}), Rows: rows("{" + hiddenValue + "}"), Hidden: hidden,
		},
		{
			Name: "an error", Op: query("SELECT ssn::int FROM people", from("ssn", proxy.DerivedTransformed, "ssn")),
			Messages: []*proxy.Message{{Kind: proxy.MessageError, Code: "22P02", Fields: []proxy.MessageField{
				{Name: "message", Value: []byte(`invalid input syntax for type integer: "kestrel-lantern"`)},
			}}}, Hidden: hidden,
		},
		{
			Name: "a notice that a function raises", Op: calling(without(query("SELECT report()", opaque("report"))), "report"),
			Messages: []*proxy.Message{notice("the last one is kestrel-lantern")}, Hidden: hidden,
		},
		{
			Name: "a notice that a trigger raises", Op: calling(with(query("UPDATE people SET team = 'red'"), proxy.EffectUpdate), "changed"),
			Messages: []*proxy.Message{notice("was (1,blue,kestrel-lantern)")}, Hidden: hidden,
		},
		{
			Name: "the detail of an error", Op: with(query("UPDATE people SET team = 'red'"), proxy.EffectUpdate),
			Messages: []*proxy.Message{{Kind: proxy.MessageError, Code: "23505", Fields: []proxy.MessageField{
				{Name: "message", Value: []byte("duplicate key value violates unique constraint")},
				{Name: "detail", Value: []byte("Key (ssn)=(kestrel-lantern) already exists.")},
			}}}, Hidden: hidden,
		},
	}
}

// hiddenCopies are bulk copies, and copies that stay at the resource.
func hiddenCopies() []Result {
	hidden := []string{hiddenPart}
	columns := []proxy.Column{plain("id", "id"), plain("team", "team"), plain("ssn", "ssn")}
	table := copied("COPY people TO STDOUT", proxy.CopyFacts{Format: "text", Columns: columns})
	nameless := copied("COPY people TO STDOUT", proxy.CopyFacts{Format: "text"})
	listed := copied("COPY people (ssn, team) TO STDOUT", proxy.CopyFacts{Format: "csv", Columns: []proxy.Column{columns[2], columns[1]}})
	renamed := copied("COPY (SELECT ssn AS x FROM people) TO STDOUT", proxy.CopyFacts{Format: "text", Columns: []proxy.Column{plain("x", "ssn")}})
	inBinary := copied("COPY people (ssn) TO STDOUT (FORMAT binary)", proxy.CopyFacts{Format: "binary", Columns: []proxy.Column{columns[2]}})
	bare := copied("COPY people TO STDOUT", proxy.CopyFacts{Format: "another"})
	program := with(query("COPY people TO PROGRAM 'cat'"), proxy.EffectCopyProgram)
	program.Facts.Rows, program.Facts.ColumnsKnown = false, true

	made := with(query("CREATE TABLE copies AS SELECT ssn AS x FROM people"), proxy.EffectCreate|proxy.EffectInsert)
	made.Facts.Rows, made.Facts.ColumnsKnown = false, true
	made.Facts.Writes = []proxy.Write{{Relation: "copies", Column: plain("x", "ssn")}}
	ofCopies := proxy.Column{Name: "x", Origins: []proxy.Origin{{Schema: "public", Relation: "copies", Column: "x"}}}
	return []Result{
		{
			Name: "COPY of the table", Op: table, Shape: copyOf(table, computed("id", 0), computed("team", 0), computed("ssn", 0)),
			Rows: rows("1", shownValue, hiddenValue), Hidden: hidden, Shown: []string{shownValue},
		},
		{
			Name: "COPY of columns that are not known", Op: nameless, Shape: copyOf(nameless, computed("", 0), computed("", 0), computed("", 0)),
			Rows: rows("1", shownValue, hiddenValue), Hidden: hidden,
		},
		{
			Name: "COPY of listed columns", Op: listed, Shape: copyOf(listed, computed("ssn", 0), computed("team", 0)),
			Rows: rows(hiddenValue, shownValue), Hidden: hidden, Shown: []string{shownValue},
		},
		{
			Name: "COPY of a query", Op: renamed, Shape: copyOf(renamed, computed("x", 0)), Rows: rows(hiddenValue), Hidden: hidden,
		},
		{
			Name: "COPY in the binary format", Op: inBinary, Shape: copyOf(inBinary, proxy.ShapeColumn{Name: "ssn", Binary: true}),
			Rows: rows(hiddenBinary), Hidden: []string{hiddenBinary},
		},
		{
			Name: "COPY in a format that is not understood", Op: bare, Shape: copyOf(bare), Stream: []byte("1|blue|kestrel-lantern\n"), Hidden: hidden,
		},
		{
			Name: "COPY to a program of the server", Op: program, Refused: true,
		},
		{
			Name: "the database's log", Op: &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindReplication}, Name: "START_REPLICATION"}, Refused: true,
		},
		{
			Name: "a function that is called by its number", Op: &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}, Name: "16450"}, Refused: true,
		},
		{
			Name: "a copy of the column", Before: []proxy.Op{made},
			Op:    without(query("SELECT x FROM copies", ofCopies), proxy.Relation{Schema: "public", Name: "copies", Effects: proxy.EffectRead}),
			Shape: rowsOf(proxy.ShapeColumn{Name: "x", Table: 16430, Attr: 1, Type: typeText, Schema: "public", Relation: "copies", Column: "x", Source: &ofCopies}),
			Rows:  rows(hiddenValue), Hidden: hidden,
		},
	}
}

// shownResults are results that hold nothing of the column.
func shownResults() []Result {
	orders := proxy.Column{Name: "total", Origins: []proxy.Origin{{Schema: "public", Relation: "orders", Column: "total"}}}
	in := with(query("COPY people FROM STDIN"), proxy.EffectInsert|proxy.EffectCopyIn)
	in.Facts.Effects &^= proxy.EffectRead
	in.Facts.Copy, in.Facts.Rows, in.Facts.ColumnsKnown = &proxy.CopyFacts{Format: "text"}, false, true
	inbound := fmt.Sprintf("1\t%s\t%s\n", shownValue, hiddenValue)
	return []Result{
		{
			Name: "other columns of the table", Op: query("SELECT id, team AS x FROM people", plain("id", "id"), plain("x", "team")),
			Shape: rowsOf(base("id", "id", 1), base("x", "team", 2)), Rows: rows("17", shownValue), Shown: []string{"17", shownValue},
		},
		{
			Name:  "another table",
			Op:    without(query("SELECT total FROM orders", orders), proxy.Relation{Schema: "public", Name: "orders", Effects: proxy.EffectRead}),
			Shape: rowsOf(proxy.ShapeColumn{Name: "total", Table: 16440, Attr: 2, Type: typeText, Schema: "public", Relation: "orders", Column: "total", Source: &orders}),
			Rows:  rows(shownValue), Shown: []string{shownValue},
		},
		{
			Name: "a constant", Op: without(query("SELECT 'blue' AS x", proxy.Column{Name: "x"})),
			Shape: rowsOf(computed("x", typeText)), Rows: rows(shownValue), Shown: []string{shownValue},
		},
		{
			Name: "what clients send", Op: in, Shape: &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true, Copy: in.Facts.Copy},
			Stream: []byte(inbound), Shown: strings.SplitAfter(strings.TrimSuffix(inbound, "\n"), "\t"),
		},
	}
}
