package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Why it is not known which rows a statement would change, besides those of impact. They are shown to approvers.
var (
	errForeign   = errors.New("its text is in another character set than UTF-8")
	errTemporary = errors.New("it is about tables that only the session sees")
	errVariables = errors.New("variables or functions in it mean something else in every session, or each time")
	errBlobs     = errors.New("an argument of it is bytes, which are compared otherwise than text")
	errLocked    = errors.New("the session may have locked tables")
)

// answeredError is that the server has answered a question of the gateway's with an error, of which the number says enough: its text may
// quote data.
type answeredError struct{ code uint16 }

func (e *answeredError) Error() string {
	switch e.code {
	case 1205, 1213:
		return fmt.Sprintf("somebody has locked what it is about (%d)", e.code)
	case 1317, 1969, 3024:
		return fmt.Sprintf("it took the server too long (%d)", e.code)
	case 1044, 1142, 1143, 1370:
		return fmt.Sprintf("the account may not read what it is about (%d)", e.code)
	}
	return fmt.Sprintf("the server answers with an error (%d)", e.code)
}

// rowReader asks about the rows that a statement would change: in the session itself, or on a second connection.
type rowReader struct {
	*up
	st     *proxy.Statement
	text   string // with its arguments in the place of its parameters
	facts  *proxy.Facts
	change *sql.RowChange
	values []string // of the session's settings
	put    func(text string, l *look) error
	locks  bool // rows are read as they are now, and nobody else changes them afterwards: in the session itself
}

// newRowReader takes the statement of a apart. The error says why that cannot be done.
func (u *up) newRowReader(a *answer, put func(string, *look) error) (*rowReader, error) {
	st := &a.statement
	analyzer, ok := u.handler.Analyzer.(sql.RowChanges)
	if !ok || u.handler.Catalog == nil {
		return nil, impact.ErrNames
	}
	text, err := boundExactly(st)
	if err != nil {
		return nil, err
	}
	r := &rowReader{up: u, st: st, text: text, facts: u.analyze([]byte(text)), put: put}
	switch {
	case u.state.foreign || !u.state.sure, !utf8.ValidString(text), !u.state.utf8 && hides([]byte(text)):
		return nil, errForeign
	case !u.state.utf8 && slices.ContainsFunc(st.Args, func(a proxy.Arg) bool { return hides(a.Value) }):
		return nil, errForeign
	case a.blobs:
		return nil, errBlobs
	case u.state.locked:
		return nil, errLocked
	case r.facts.Statements > 1:
		return nil, sql.ErrSeveral
	}
	if r.change, err = analyzer.RowChange([]byte(text), &u.reading); err != nil {
		return nil, err
	}
	return r, nil
}

// reads checks that what the gateway would run by the words of a client only reads.
func (r *rowReader) reads(text string) (*proxy.Facts, error) {
	f := r.analyze([]byte(text))
	switch {
	case f.Unknown != "" || f.Effects&^proxy.EffectRead != 0:
		return nil, impact.ErrActs
	case f.Unsure || !f.Resolved:
		return nil, impact.ErrNames
	}
	return f, nil
}

// finds checks that finding the rows only reads, and means the same on every connection.
func (r *rowReader) finds() error {
	c := r.change
	for _, rel := range r.facts.Relations {
		for _, own := range r.state.temporary {
			if strings.EqualFold(own.Name, rel.Name) {
				return errTemporary
			}
		}
	}
	text := ""
	switch {
	case c.Target != "":
		text = c.Select("1") + " " + c.Order
	case c.Query != "":
		text = c.Query
	case r.facts.Unsure || r.facts.Unknown != "":
		return impact.ErrNames
	default:
		return nil
	}
	if _, err := r.reads(text); err != nil {
		return err
	}
	if c.Moving {
		return errVariables
	}
	return nil
}

// rows asks a question, and calls each with every row of the answer, of as many columns.
func (r *rowReader) rows(text string, limit, columns int, each func([][]byte) error) error {
	return r.put(text, &look{limit: limit, most: maxLook, keep: func(values [][]byte) error {
		if len(values) != columns {
			return impact.ErrAnswer
		}
		return each(values)
	}})
}

// table asks about the table that is changed.
func (r *rowReader) table(ctx context.Context, path string) (*table, error) {
	schema, name := splitPath(path)
	if schema == "" {
		schema = r.state.database
	}
	t := &table{Settings: r.values}
	if err := r.rows(tableSQL(schema, name), mostNames, 6, func(v [][]byte) error {
		folds := string(v[5]) != "0"
		if string(v[1]) == name && string(v[0]) == schema || folds && strings.EqualFold(string(v[1]), name) && strings.EqualFold(string(v[0]), schema) {
			t.Schema, t.Table, t.Kind, t.Engine, t.Made = string(v[0]), string(v[1]), string(v[2]), string(v[3]), string(v[4])
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if t.Table == "" {
		return nil, impact.ErrNoTable
	}
	t.Name = plainName(t.Schema) + "." + plainName(t.Table)
	if err := r.rows(tableColumnsSQL(t), mostColumns, 6, func(v [][]byte) error {
		t.Columns = append(t.Columns, newTableColumn(v))
		return nil
	}); err != nil {
		return nil, err
	}
	if err := r.rows(tableTriggersSQL(t), mostTriggers, 1, func(v [][]byte) error {
		t.Triggers |= changing(string(v[0]))
		return nil
	}); err != nil {
		return nil, err
	}
	if err := r.rows(tableReferencesSQL(t), mostReferences, 4, func(v [][]byte) error {
		from := plainName(string(v[0])) + "." + plainName(string(v[1]))
		if passes(string(v[2])) && !slices.Contains(t.Deleting, from) {
			t.Deleting = append(t.Deleting, from)
		}
		if passes(string(v[3])) && !slices.Contains(t.Moving, from) {
			t.Moving = append(t.Moving, from)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	// Triggers that the account does not see are not in the answer above, and the catalog says whether it sees them.
	rel := r.handler.Catalog.Snapshot(ctx, &r.reading).Relation(strings.ToLower(t.Schema), strings.ToLower(t.Table))
	t.Unseen = rel == nil || slices.ContainsFunc(rel.Triggers, func(g sql.Trigger) bool { return g.Function == sql.UnseenTriggers })
	return t, nil
}

// passes reports whether a rule of a foreign key passes a change on.
func passes(rule string) bool {
	return rule == "CASCADE" || rule == "SET NULL" || rule == "SET DEFAULT"
}

// whole reports whether tables are emptied or dropped.
func (r *rowReader) whole() bool {
	return r.change.Effect == proxy.EffectTruncate || r.change.Effect == proxy.EffectDrop
}

// transactional says why changes of a table cannot be taken back; empty when they can.
func (t *table) transactional() string {
	switch {
	case t.Kind != "BASE TABLE":
		return t.Name + " is not a plain table"
	case t.Engine != "InnoDB":
		return t.Name + " has no transactions (its engine is " + t.Engine + "), so that nothing can be taken back"
	}
	return ""
}

// comparable says why it cannot be compared which rows a statement changes; empty when it can. counted says that their number
// can be.
func (r *rowReader) comparable(t *table) (why string, counted bool) {
	c := r.change
	if why := t.transactional(); why != "" {
		return why, false
	}
	switch {
	case t.Unseen:
		return "the account does not see whether " + t.Name + " has triggers", false
	case t.Triggers.Has(c.Effect):
		return t.Name + " has triggers, which may do anything else, too", false
	case r.state.changed.touches(r.facts):
		return "its transaction has changed rows of these tables already, which only it sees", false
	case c.Bounded:
		return "a LIMIT leaves it to the server which rows they are", true
	case c.Query != "":
		return "they are made of rows that may change until it runs", true
	}
	return "", true
}

// count asks how many rows of t there are, or come.
func (r *rowReader) count(t *table) (n int64, err error) {
	c, text := r.change, ""
	switch {
	case c.Query != "":
		text = ofQuery(c, t, "COUNT(*)")
	case c.Bounded:
		text = "SELECT COUNT(*) FROM (" + c.Select("1") + " " + c.Order + ") AS q"
	default:
		text = c.Select("COUNT(*)")
	}
	n = -1
	err = r.rows(text, 1, 1, func(v [][]byte) error {
		var err error
		n, err = strconv.ParseInt(string(v[0]), 10, 64)
		return err
	})
	return n, err
}

// digest counts the rows, up to one more than are digested, and digests all that they hold, together with what table they are of. With
// lock nobody else can change them afterwards.
func (r *rowReader) digest(t *table, lock bool) (rows int64, digest string, err error) {
	var sums []string
	text := r.change.Select(rowHash(t, r.change.Ref)) + fmt.Sprintf(" LIMIT %d", impact.MaxDigested+1)
	if lock {
		text += " FOR UPDATE"
	}
	err = r.rows(text, impact.MaxDigested+1, 1, func(v [][]byte) error {
		if len(v[0]) != 2*sha256.Size {
			return impact.ErrAnswer
		}
		sums = append(sums, string(v[0]))
		return nil
	})
	if err != nil {
		return -1, "", err
	}
	slices.Sort(sums)
	h := sha256.New()
	fmt.Fprintf(h, "sallyport rows 1\x00%s\x00%d", t.identity(), len(sums))
	for _, s := range sums {
		fmt.Fprint(h, "\x00", s)
	}
	return int64(len(sums)), hex.EncodeToString(h.Sum(nil)), nil
}

// boundExactly returns st's text with its arguments in the place of its parameters, so that they mean the same.
func boundExactly(st *proxy.Statement) (string, error) {
	if len(st.Args) == 0 {
		return string(st.Text), nil
	}
	bad := false
	out, n, err := sql.BoundMySQL(st.Text, func(i int) string {
		text, ok := exactLiteral(&st.Args[i])
		bad = bad || !ok
		return text
	}, len(st.Args))
	if err != nil || bad || n != len(st.Args) {
		return "", errParams
	}
	return string(out), nil
}

// exactLiteral is an argument as a literal of the same kind.
func exactLiteral(a *proxy.Arg) (text string, ok bool) {
	if a.Value == nil {
		return "NULL", true
	}
	switch a.Type {
	case numberInt2, numberInt4, numberInt8, numberNumeric:
		return " " + string(a.Value) + " ", isNumber(a.Value)
	case numberBytes:
		return "", false
	case numberFloat4, numberFloat8:
		f, err := strconv.ParseFloat(string(a.Value), 64)
		return " " + strconv.FormatFloat(f, 'e', -1, 64) + " ", err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	return literal(string(a.Value)), utf8.Valid(a.Value)
}
