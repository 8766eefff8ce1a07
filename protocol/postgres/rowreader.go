package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Why it is not known which rows a statement would change. They are shown to approvers.
var (
	errNowhere = errors.New("the server cannot be asked at this place")
	errAborted = errors.New("its transaction has failed already")
	errForeign = errors.New("its text is in another encoding than UTF-8")
)

// answeredError is that the server has answered a question with an error, of which the code
// says enough: its text may quote data.
type answeredError struct{ code string }

func (e *answeredError) Error() string {
	switch e.code {
	case "57014":
		return "it took the server too long (57014)"
	case "55P03":
		return "somebody has locked what it is about (55P03)"
	case "42501":
		return "the account may not read what it is about (42501)"
	}
	return "the server answers with an error (" + e.code + ")"
}

// rowReader asks about the rows that a statement would change.
type rowReader struct {
	*up
	st     *proxy.Statement
	change *sql.RowChange
	types  []uint32
}

// newRowReader takes a statement apart. The error says why that cannot be done.
func (u *up) newRowReader(st *proxy.Statement) (*rowReader, error) {
	a, ok := u.handler.Analyzer.(sql.RowChanges)
	switch {
	case !ok || u.handler.Catalog == nil:
		return nil, impact.ErrNames
	case u.encoding.mayHide(u.pending, st.Text):
		return nil, errForeign
	}
	change, err := a.RowChange(st.Text, &u.reading)
	if err != nil {
		return nil, err
	}
	return &rowReader{up: u, st: st, change: change}, nil
}

// reads checks that what the gateway would run by the words of a client only reads.
func (r *rowReader) reads(text string, may proxy.Effects) (*proxy.Facts, error) {
	f := r.read([]byte(text))
	switch {
	case f.Unknown != "" || f.Effects&^may != 0:
		return nil, impact.ErrActs
	case f.Unsure || !f.Resolved:
		return nil, impact.ErrNames
	}
	return f, nil
}

// finds checks that finding the rows only reads.
func (r *rowReader) finds() error {
	text := ""
	switch c := r.change; {
	case c.Target != "":
		text = c.Select(c.Ref + ".*")
	case c.Query != "":
		text = insertedRows(c, "q.*")
	default:
		return nil
	}
	_, err := r.reads(text, proxy.EffectRead)
	return err
}

// ask asks a question by itself, and waits for the answer. No batch of the client's is open, but
// in a transaction block.
func (r *rowReader) ask(ctx context.Context, q question) (*look, error) {
	q.alone = true
	l, err := r.put(&q)
	if err != nil {
		return nil, err
	}
	return l, r.answered(ctx, l)
}

// bound is a question with the statement's parameters.
func (r *rowReader) bound(text string, rows int) question {
	return question{text: text, types: r.types, args: r.st.Args, rows: rows}
}

// parameters has the server tell of which types the statement's parameters are: what the
// gateway asks may not use all of them, or use them elsewhere.
func (r *rowReader) parameters(ctx context.Context) error {
	if len(r.st.Args) == 0 {
		return nil
	}
	types := make([]uint32, len(r.st.Args))
	for i := range r.st.Args {
		types[i] = r.st.Args[i].Type
	}
	l, err := r.ask(ctx, question{text: string(r.st.Text), types: types, asks: true})
	switch {
	case err != nil:
		return err
	case len(l.inferred) != len(r.st.Args):
		return impact.ErrAnswer
	}
	r.types = l.inferred
	return nil
}

// table asks about a table.
func (r *rowReader) table(ctx context.Context, t *sql.Named) (*table, error) {
	l, err := r.ask(ctx, question{text: tableQuery, rows: 2, args: textArgs([]byte(t.Path), boolean(!t.Only), []byte(triggerType(r.change.Effect)))})
	switch {
	case err != nil:
		return nil, err
	case !l.found:
		return nil, impact.ErrNoTable
	}
	out := &table{}
	if len(l.kept) != 1 || l.cut || json.Unmarshal(l.kept[0][0], out) != nil || out.OID == "" || out.Name == "" {
		return nil, impact.ErrAnswer
	}
	for i := range out.Columns {
		if c := &out.Columns[i]; out.Domains && c.Own { // it may hold values of a domain
			c.Type = ""
		}
	}
	return out, nil
}

// count asks how many there are.
func (r *rowReader) count(ctx context.Context, q question) (int64, error) {
	l, err := r.ask(ctx, q)
	if err != nil {
		return -1, err
	}
	if len(l.kept) != 1 || len(l.kept[0]) == 0 {
		return -1, impact.ErrAnswer
	}
	n, err := strconv.ParseInt(string(l.kept[0][0]), 10, 64)
	if err != nil || n < 0 {
		return -1, impact.ErrAnswer
	}
	return n, nil
}

// digest counts the rows, up to impact.MaxDigested+1, and digests them together with what table they
// are of.
func (r *rowReader) digest(ctx context.Context, t *table, lock bool) (rows int64, digest string, err error) {
	l, err := r.ask(ctx, r.bound(digestQuery(r.change, lock), 2))
	if err != nil {
		return -1, "", err
	}
	if len(l.kept) != 1 || len(l.kept[0]) != 2 {
		return -1, "", impact.ErrAnswer
	}
	rows, err = strconv.ParseInt(string(l.kept[0][0]), 10, 64)
	sum, err2 := hex.DecodeString(string(l.kept[0][1]))
	if err != nil || err2 != nil || len(sum) != sha256.Size || rows < 0 || rows > impact.MaxDigested+1 {
		return -1, "", impact.ErrAnswer
	}
	all := sha256.Sum256(fmt.Appendf(nil, "sallyport rows 1\x00%s\x00%s\x00%d\x00%x", t.OID, t.Name, rows, sum))
	return rows, hex.EncodeToString(all[:]), nil
}

// whole counts what tables hold that are emptied or dropped. With lock nobody else can change
// them afterwards.
func (r *rowReader) whole(ctx context.Context, lock bool) (rows int64, tables []*table, err error) {
	for i := range r.change.Tables {
		if lock {
			if err := r.lock(ctx, &r.change.Tables[i], "ACCESS EXCLUSIVE"); err != nil {
				return -1, nil, err
			}
		}
		t, err := r.table(ctx, &r.change.Tables[i])
		if err != nil {
			return -1, nil, err
		}
		if why, _ := r.comparable(t); why != "" && (t.Kind != "r" && t.Kind != "p" || t.Strange || t.Security) {
			return -1, nil, errors.New(why)
		}
		n, err := r.count(ctx, question{text: "SELECT pg_catalog.count(*) FROM " + from(&r.change.Tables[i]), rows: 2})
		if err != nil {
			return -1, nil, err
		}
		rows, tables = rows+n, append(tables, t)
	}
	return rows, tables, nil
}

// wholes reports whether tables are emptied or dropped.
func (r *rowReader) wholes() bool {
	return r.change.Effect == proxy.EffectTruncate || r.change.Effect == proxy.EffectDrop
}

// lock locks a table in a mode, until the transaction ends.
func (r *rowReader) lock(ctx context.Context, t *sql.Named, mode string) error {
	_, err := r.ask(ctx, question{text: "LOCK TABLE " + from(t) + " IN " + mode + " MODE"})
	return err
}

// from is a table as FROM and LOCK have it.
func from(t *sql.Named) string {
	if t.Only {
		return "ONLY " + t.Path
	}
	return t.Path
}

// identity tells tables from others that have their names later.
func identity(tables ...*table) string {
	h := sha256.New()
	fmt.Fprint(h, "sallyport tables 1")
	for _, t := range tables {
		fmt.Fprintf(h, "\x00%s\x00%s", t.OID, t.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// namesOf are the names of tables.
func namesOf(tables []*table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}

// comparable says why it cannot be compared which rows a statement changes; empty when it can.
// counted says that their number can be.
func (r *rowReader) comparable(t *table) (why string, counted bool) {
	const plain = "r"
	switch {
	case t.Kind != plain && t.Kind != "p":
		return t.Name + " is not a plain table", false
	case t.Strange:
		return "a part of " + t.Name + " is kept by another server", false
	case t.Triggers:
		return t.Name + " has triggers, which may do anything else, too", false
	case t.Rules:
		return t.Name + " has rules, which may do something else", false
	case t.Security:
		return t.Name + " has row security, by which others may be changed than are read", false
	case r.change.Moving && r.change.Query != "":
		return "what it inserts is something else each time", false
	case r.change.Moving:
		return "its condition is true of other rows each time", false
	case r.change.Query != "":
		return r.tells(t), true
	case t.Heirs:
		return "other tables inherit from " + t.Name, true
	case !t.Locks:
		return "the account may not lock rows of " + t.Name, true
	}
	return r.tells(t), true
}

// tells says why a digest would not tell rows apart; empty when it does.
func (r *rowReader) tells(t *table) string {
	if t.Exact {
		return ""
	}
	return "the session has numbers shown without all of their digits (extra_float_digits)"
}

// safe reports that reading may call functions that nothing tells of.
func (r *rowReader) safe(t *table) error {
	own := func(a proxy.Arg) bool { return a.Type >= firstOwn }
	if t.Casts || t.Domains && (r.change.Casts || slices.ContainsFunc(r.st.Args, own) || slices.ContainsFunc(r.types, func(t uint32) bool { return t >= firstOwn })) {
		return impact.ErrActs
	}
	return nil
}
