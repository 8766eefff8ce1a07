package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// undoable says whether the statement can be undone once it has run as what was measured.
func (m *measuring) undoable(t *table) {
	compared := proxy.HoldsRows
	if m.change.Effect == proxy.EffectInsert && m.change.Query == "" {
		compared = proxy.HoldsCount
	}
	impact.CanUndo(m.impact, m.st, compared, func() error {
		_, err := m.image(t, m.impact.Rows)
		return err
	})
}

// irreversible says why changes of a table cannot be undone; nil when they can.
func (r *rowReader) irreversible(t *table) error {
	refers := t.Deleting // an INSERT is undone by a DELETE
	if r.change.Effect == proxy.EffectUpdate {
		refers = t.Moving
	}
	if why := t.transactional(); why != "" {
		return errors.New(why)
	}
	switch {
	case r.change.Upsert:
		return errors.New("rows of the same key may be changed in the place of new ones (ON DUPLICATE KEY, REPLACE), or left out (IGNORE)")
	case t.Unseen:
		return errors.New("the account does not see whether " + t.Name + " has triggers")
	case t.Triggers != 0:
		return errors.New(t.Name + " has triggers, which may do anything else, too")
	case len(refers) > 0:
		return errors.New("rows of other tables go or change with it, in " + strings.Join(refers, ", "))
	}
	return nil
}

// imageColumns are the columns that undoing needs: the key, and those that are written back.
func imageColumns(change *sql.RowChange, t *table) (list []*tableColumn, keys int, err error) {
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Key {
			list = append(list, c)
		}
	}
	if keys = len(list); keys == 0 {
		return nil, 0, errors.New(t.Name + " has no primary key")
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		set := change.Effect == proxy.EffectDelete || change.Effect == proxy.EffectUpdate && (c.Now || sets(change, c))
		switch {
		case set && c.Key && change.Effect == proxy.EffectUpdate:
			return nil, 0, errors.New("it changes the primary key")
		case set && !c.Key && !c.Generated:
			list = append(list, c)
		}
	}
	for i, c := range list {
		switch kind := kindOf(c.Type); {
		case c.Generated:
			return nil, 0, fmt.Errorf("column %s of the primary key is generated", c.Name)
		case kind == valueUnsteady, i < keys && (kind == valueTimestamp || c.Type == "double"):
			return nil, 0, fmt.Errorf("values of column %s, of type %s, cannot be written back exactly", c.Name, c.Type)
		}
	}
	if change.Effect == proxy.EffectUpdate && len(list) == keys {
		return nil, 0, errors.New("it sets no column that can be written back")
	}
	return list, keys, nil
}

// newImage is an image without rows.
func newImage(change *sql.RowChange, t *table, columns []*tableColumn, keys int) *proxy.Image {
	i := &proxy.Image{Effect: change.Effect.String(), Schema: t.Schema, Table: t.Table, Keys: keys}
	for _, c := range columns {
		i.Columns = append(i.Columns, proxy.ImageColumn{Name: c.Name, Type: c.Type})
	}
	return i
}

// imageQuery reads what rows hold before, or the keys of those that will come.
func (r *rowReader) imageQuery(t *table, columns []*tableColumn) (string, error) {
	c := r.change
	var list []string
	if c.Effect != proxy.EffectInsert {
		for _, column := range columns {
			list = append(list, imageValue(column, c.Ref))
		}
		return c.Select(strings.Join(list, ", ")), nil
	}
	if c.Source == "" {
		return "", errors.New("its values are others each time, or are a column's default")
	}
	names := filled(c, t)
	var aliases []string
	for i := range names {
		aliases = append(aliases, fmt.Sprintf("c%d", i))
	}
	for _, column := range columns {
		at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, column.Name) })
		if at < 0 {
			return "", fmt.Errorf("the database gives column %s of the primary key its value", column.Name)
		}
		value := "CONCAT(q." + aliases[at] + ")" // of a number it is the text that the column gets, which HEX alone is not
		if kindOf(column.Type) != valueBytes {
			value = "CONVERT(" + value + " USING utf8mb4)"
		}
		value = "HEX(" + value + ")"
		list = append(list, value)
	}
	// The rows have the names of the first one, which is empty.
	first := make([]string, len(aliases))
	for i, a := range aliases {
		first[i] = "NULL AS " + a
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM (SELECT " + strings.Join(first, ", ") + " WHERE 1 = 0 UNION ALL " + c.Source + ") AS q", nil
}

// image reads what undoes the statement. The error says why that cannot be told, and holds no value.
func (r *rowReader) image(t *table, rows int64) (*proxy.Image, error) {
	if err := r.irreversible(t); err != nil {
		return nil, err
	}
	if err := impact.Undoable(rows); err != nil {
		return nil, err
	}
	columns, keys, err := imageColumns(r.change, t)
	if err != nil {
		return nil, err
	}
	text, err := r.imageQuery(t, columns)
	if err != nil {
		return nil, err
	}
	if _, err := r.reads(text); err != nil {
		return nil, err
	}
	i := newImage(r.change, t, columns, keys)
	text += fmt.Sprintf(" LIMIT %d", impact.MaxUndoRows+1)
	if r.locks && r.change.Effect != proxy.EffectInsert {
		text += " FOR UPDATE"
	}
	if i.Rows, err = r.imageRows(text, i.Columns, impact.MaxUndoRows+1); err != nil {
		return nil, err
	}
	if int64(len(i.Rows)) != rows {
		return nil, errors.New("its rows are not certain")
	}
	for n := range i.Rows {
		for k := range keys {
			if v := i.Rows[n].Values[k]; v == nil || r.change.Effect == proxy.EffectInsert && columns[k].counts(*v) {
				return nil, fmt.Errorf("the database gives column %s of the primary key its value", columns[k].Name)
			}
		}
	}
	if len(UndoText(i)) > impact.MaxUndoText {
		return nil, impact.ErrUndoLong
	}
	return i, nil
}

// counts reports whether the server gives the column another value than v, which is given for it: a number that is 0, or becomes that.
func (c *tableColumn) counts(v string) bool {
	if !c.Counts {
		return false
	}
	f, err := strconv.ParseFloat(v, 64)
	return err != nil || math.Abs(f) < 1
}

// imageRows reads rows of values by imageValue.
func (r *rowReader) imageRows(text string, columns []proxy.ImageColumn, most int) (rows []proxy.ImageRow, err error) {
	err = r.rows(text, most, len(columns), func(values [][]byte) error {
		row := proxy.ImageRow{}
		for c, v := range values {
			value, err := imageText(columns[c].Type, v)
			if err != nil {
				return err
			}
			row.Values = append(row.Values, value)
		}
		rows = append(rows, row)
		return nil
	})
	if errors.Is(err, errLong) {
		err = impact.ErrUndoLong
	}
	return rows, err
}

// left digests what the rows of an image hold now, one by one; those that are not there have none. The keys become those that the server
// has for the rows.
func (r *rowReader) left(t *table, i *proxy.Image) ([]string, error) {
	var list []string
	for c := range i.Keys {
		at := slices.IndexFunc(t.Columns, func(have tableColumn) bool { return have.Name == i.Columns[c].Name })
		if at < 0 {
			return nil, errors.New(t.Name + " has no column " + i.Columns[c].Name)
		}
		list = append(list, imageValue(&t.Columns[at], "t"))
	}
	// Each row is told by its number: what a key is written as may not be what the server keeps, as 01 is 1.
	var numbers strings.Builder
	numbers.WriteString("CASE")
	if i.Keys == 1 {
		numbers.WriteString(" t." + quoted(i.Columns[0].Name))
	}
	for n := range i.Rows {
		fmt.Fprintf(&numbers, " WHEN %s THEN %d", keyIs(i, &i.Rows[n], "t.", asked), n)
	}
	numbers.WriteString(" END")
	text := "SELECT " + numbers.String() + ", " + rowHash(t, "t") + ", " + strings.Join(list, ", ") + " FROM " + quoted(t.Schema) + "." + quoted(t.Table) + " AS t WHERE " + keysAre(i, "t.") + fmt.Sprintf(" LIMIT %d", len(i.Rows)+1)
	if r.locks {
		text += " FOR UPDATE" // what is there now, not at the beginning of the transaction
	}
	out := make([]string, len(i.Rows))
	err := r.rows(text, len(i.Rows)+1, 2+i.Keys, func(v [][]byte) error {
		n, err := strconv.Atoi(string(v[0]))
		if err != nil || n < 0 || n >= len(out) || out[n] != "" || len(v[1]) == 0 {
			return impact.ErrAnswer
		}
		out[n] = string(v[1])
		for k := range i.Keys {
			value, err := imageText(i.Columns[k].Type, v[2+k])
			if err != nil {
				return err
			}
			i.Rows[n].Values[k] = value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// before reads what undoes the statement of g, which is about to run in the open transaction.
func (r *rowReader) before(g *guard) error {
	t, err := r.table(r.session.session.Context(), r.change.Tables[0].Path)
	if err != nil {
		return err
	}
	if g.image, err = r.image(t, g.impact.Rows); err != nil {
		return err
	}
	if r.change.Effect == proxy.EffectInsert {
		seen := *r
		seen.locks = false // where nothing is, only gaps could be locked, for which others wait
		there, err := seen.left(t, g.image)
		if err != nil {
			return err
		}
		g.taken = slices.ContainsFunc(there, func(digest string) bool { return digest != "" })
	}
	g.table = t
	g.approvals(r.st.Info())
	return nil
}

// keepTime bounds how long a statement that has run waits for what undoes it to be kept.
const keepTime = 20 * time.Second

// keep stores what undoes the statement of g, which has run in a transaction that is still open. The error says why the statement is to
// be taken back.
func (u *up) keep(g *guard) error {
	if g.image == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(u.session.session.Context(), keepTime)
	defer cancel()
	r := &rowReader{up: u, put: u.lookInto, locks: true}
	left, err := r.left(g.table, g.image)
	if err == nil {
		err = impact.Kept(g.image, left)
	}
	if err == nil && g.taken { // it was inserted under another key than is known
		err = errors.New("the keys of its rows are not certain")
	}
	if err == nil {
		err = u.session.session.KeepImage(ctx, g.op, g.grants, g.image)
	}
	if err != nil {
		return impact.Unkept(err)
	}
	return nil
}

// undoing checks, in a session that undoes something, that the rows are what the statement left that is undone. The error is for
// the user, who is told by the Undo which rows differ.
func (r *rowReader) undoing(undo *proxy.Undo) error {
	i := undo.Image
	not := func(err error) error {
		return fmt.Errorf("nothing is undone: the rows cannot be compared with what the statement left: %w", err)
	}
	t, err := r.table(r.session.session.Context(), quoted(i.Schema)+"."+quoted(i.Table))
	if err != nil {
		return not(err)
	}
	left, err := r.left(t, i)
	if err != nil {
		return not(err)
	}
	return impact.Left(undo, left, func(rows []proxy.ImageRow) ([]string, [][]string) {
		var list []string
		for c := range i.Keys {
			list = append(list, "t."+quoted(i.Columns[c].Name))
		}
		text := "SELECT " + strings.Join(list, ", ") + " FROM " + quoted(i.Schema) + "." + quoted(i.Table) + " AS t"
		facts, err := r.reads(text)
		if err != nil {
			return nil, nil
		}
		return impact.Keys(r.session.session, i, rows, text, facts)
	})
}
