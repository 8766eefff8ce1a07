package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// UndoText is the statement that undoes what i is of, for a session whose [proxy.Client] says that it
// undoes that. It is empty where i is not one of this protocol.
func UndoText(i *proxy.Image) string {
	if !impact.Undoes(i) {
		return ""
	}
	return undoText(i)
}

// undoable says whether the statement can be undone once it has run as what was measured.
func (m *measuring) undoable(ctx context.Context, t *table) {
	impact.CanUndo(m.impact, m.st, m.comparedFor(), func() error {
		_, err := m.image(ctx, t, m.impact.Rows)
		return err
	})
}

// comparedFor is what has to be compared so that a statement can be undone.
func (r *rowReader) comparedFor() proxy.Held {
	if r.change.Effect == proxy.EffectInsert && r.change.Query == "" {
		return proxy.HoldsCount
	}
	return proxy.HoldsRows
}

// irreversible says why changes of a table cannot be undone; nil when they can.
func (r *rowReader) irreversible(t *table) error {
	c := r.change
	refers := t.Deleting // an INSERT is undone by a DELETE
	if c.Effect == proxy.EffectUpdate {
		refers = t.Moving
	}
	switch {
	case c.Upsert:
		return errors.New("rows of the same key may be changed in the place of new ones (ON CONFLICT)")
	case t.Kind != "r" && t.Kind != "p" || t.Strange || t.Heirs:
		return errors.New(t.Name + " is not a table by itself")
	case t.Acts:
		return errors.New(t.Name + " has triggers, which may do anything else, too")
	case t.Rules:
		return errors.New(t.Name + " has rules, which may do something else")
	case t.Security:
		return errors.New(t.Name + " has row security")
	case len(refers) > 0:
		return errors.New("rows of other tables go or change with it, in " + strings.Join(refers, ", "))
	case t.Casts || t.Domains:
		return errors.New("reading its values may call functions of the database's own")
	case !t.Locks, c.Effect == proxy.EffectInsert && !t.Deletes, c.Effect == proxy.EffectDelete && !t.Inserts:
		return errors.New("the account may not read, lock or put back rows of " + t.Name)
	case r.encoding.foreign.Load() || r.encoding.changing:
		return errForeign
	}
	return nil
}

// imageColumns are the columns that undoing needs: the key, and those that are written back.
func (r *rowReader) imageColumns(t *table) (list []*tableColumn, keys int, err error) {
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
		set := r.change.Effect == proxy.EffectDelete || r.change.Effect == proxy.EffectUpdate && slices.ContainsFunc(r.change.Sets, func(s sql.SetColumn) bool { return s.Column == c.Name })
		switch {
		case set && c.Key && r.change.Effect == proxy.EffectUpdate:
			return nil, 0, errors.New("it changes the primary key")
		case set && !c.Key && !c.Computed:
			list = append(list, c)
		}
	}
	for i, c := range list {
		switch {
		case c.Always && r.change.Effect == proxy.EffectDelete:
			return nil, 0, fmt.Errorf("column %s is an identity column that is always generated", c.Name)
		case c.Computed:
			return nil, 0, fmt.Errorf("column %s of the primary key is generated", c.Name)
		case unsteady[strings.TrimPrefix(c.Type, "_")] || unsteady[strings.TrimSuffix(c.Type, "[]")]:
			return nil, 0, fmt.Errorf("values of column %s, of type %s, cannot be written back exactly", c.Name, c.Type)
		case i < keys && c.Domain:
			return nil, 0, fmt.Errorf("column %s of the primary key is of a domain", c.Name)
		}
	}
	if r.change.Effect == proxy.EffectUpdate && len(list) == keys {
		return nil, 0, errors.New("it sets no column that can be written back")
	}
	return list, keys, nil
}

// imageQuery reads what rows hold before, or the keys of those that will come.
func (r *rowReader) imageQuery(t *table, columns []*tableColumn) (string, error) {
	c := r.change
	var list []string
	if c.Effect != proxy.EffectInsert {
		for _, column := range columns {
			list = append(list, c.Ref+"."+quotedName(column.Name))
		}
		return c.Select(strings.Join(list, ", ")), nil
	}
	if c.Source == "" {
		return "", errors.New("its values are others each time, or are a column's default")
	}
	names := c.Columns
	if names == nil {
		for i := range t.Columns {
			names = append(names, t.Columns[i].Name)
		}
	}
	last := 0
	for _, column := range columns {
		at := slices.Index(names, column.Name)
		if at < 0 {
			return "", fmt.Errorf("the database gives column %s of the primary key its value", column.Name)
		}
		last = max(last, at)
		list = append(list, fmt.Sprintf("CAST(q.c%d AS %s)", at, column.Full))
	}
	var aliases []string
	for i := range last + 1 {
		aliases = append(aliases, fmt.Sprintf("c%d", i))
	}
	return c.With + " SELECT " + strings.Join(list, ", ") + " FROM (" + c.Source + ") AS q (" + strings.Join(aliases, ", ") + ")", nil
}

// image reads what undoes the statement. The error says why that cannot be told, and holds no value.
func (r *rowReader) image(ctx context.Context, t *table, rows int64) (*proxy.Image, error) {
	if err := r.irreversible(t); err != nil {
		return nil, err
	}
	if err := impact.Undoable(rows); err != nil {
		return nil, err
	}
	columns, keys, err := r.imageColumns(t)
	if err != nil {
		return nil, err
	}
	text, err := r.imageQuery(t, columns)
	if err != nil {
		return nil, err
	}
	if _, err := r.reads(text, proxy.EffectRead); err != nil {
		return nil, err
	}
	i := &proxy.Image{Effect: r.change.Effect.String(), Schema: t.Schema, Table: t.Table, Keys: keys}
	for _, c := range columns {
		i.Columns = append(i.Columns, proxy.ImageColumn{Name: c.Name, Type: c.Full})
	}
	err = r.exactly(ctx, func() error {
		l, err := r.ask(ctx, r.bound(text+fmt.Sprintf(" LIMIT %d", impact.MaxUndoRows+1), impact.MaxUndoRows+1))
		switch {
		case err != nil:
			return err
		case l.cut:
			return impact.ErrUndoLong
		case int64(len(l.kept)) != rows:
			return errors.New("its rows are not certain")
		}
		if i.Rows, err = imageRows(l.kept, len(columns)); err != nil {
			return err
		}
		if len(undoText(i)) > impact.MaxUndoText {
			return impact.ErrUndoLong
		}
		_, err = r.left(ctx, i) // that it can be told afterwards
		return err
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// imageRows are rows of values as text.
func imageRows(kept [][][]byte, columns int) ([]proxy.ImageRow, error) {
	rows := make([]proxy.ImageRow, len(kept))
	for n, values := range kept {
		if len(values) != columns {
			return nil, impact.ErrAnswer
		}
		for _, v := range values {
			if v == nil {
				rows[n].Values = append(rows[n].Values, nil)
				continue
			}
			if !utf8.Valid(v) {
				return nil, errForeign
			}
			text := string(v)
			rows[n].Values = append(rows[n].Values, &text)
		}
	}
	return rows, nil
}

// exactly calls ask while the server writes values exactly, in a part of the open transaction that is taken back.
func (r *rowReader) exactly(ctx context.Context, ask func() error) error {
	if _, err := r.ask(ctx, question{text: "SAVEPOINT " + savepoint}); err != nil {
		return err
	}
	_, err := r.ask(ctx, question{text: exactSettings})
	if err == nil {
		err = ask()
	}
	for _, text := range []string{"ROLLBACK TO SAVEPOINT " + savepoint, "RELEASE SAVEPOINT " + savepoint} {
		if _, back := r.ask(ctx, question{text: text}); back != nil {
			return back
		}
	}
	return err
}

// left digests what the rows of an image hold now, one by one; those that are not there have none. It is asked exactly.
func (r *rowReader) left(ctx context.Context, i *proxy.Image) ([]string, error) {
	l, err := r.ask(ctx, question{text: leftQuery(i), rows: len(i.Rows) + 1})
	if err != nil {
		return nil, err
	}
	out := make([]string, len(i.Rows))
	for _, values := range l.kept {
		if len(values) != 2 {
			return nil, impact.ErrAnswer
		}
		n, err := strconv.Atoi(string(values[0]))
		sum, err2 := hex.DecodeString(string(values[1]))
		if err != nil || err2 != nil || n < 0 || n >= len(out) || out[n] != "" || len(sum) == 0 {
			return nil, impact.ErrAnswer
		}
		out[n] = string(values[1])
	}
	if l.cut || len(l.kept) > len(i.Rows) {
		return nil, impact.ErrAnswer
	}
	return out, nil
}

// before reads what undoes the statement of g, which is about to run in the open transaction.
func (r *rowReader) before(ctx context.Context, g *guard) error {
	if r.types == nil {
		if err := r.parameters(ctx); err != nil {
			return err
		}
	}
	if err := r.lock(ctx, &r.change.Tables[0], "ROW EXCLUSIVE"); err != nil {
		return err
	}
	t, err := r.table(ctx, &r.change.Tables[0])
	if err != nil {
		return err
	}
	i, err := r.image(ctx, t, g.impact.Rows)
	if err != nil {
		return err
	}
	l, err := r.ask(ctx, question{text: "SELECT pg_catalog.txid_current()", rows: 1})
	if err != nil {
		return err
	}
	if len(l.kept) != 1 || len(l.kept[0]) != 1 {
		return impact.ErrAnswer
	}
	i.Transaction = string(l.kept[0][0])
	m := r.st.Info()
	g.image, g.op, g.grants = i, m.ID, slices.Clone(m.Grants())
	return nil
}

// keepTime bounds how long a statement that has run waits for what undoes it to be kept.
const keepTime = 20 * time.Second

// keep has kept what undoes the statement of g, which has run in a transaction that is still open. What cannot be kept has the statement
// taken back.
func (u *up) keep(g *guard) error {
	if g.image == nil || !g.ran {
		return nil
	}
	ctx, cancel := context.WithTimeout(u.session.session.Context(), keepTime)
	defer cancel()
	r := &rowReader{up: u}
	err := r.exactly(ctx, func() error {
		left, err := r.left(ctx, g.image)
		if err != nil {
			return err
		}
		return impact.Kept(g.image, left)
	})
	if err == nil {
		err = u.session.session.KeepImage(ctx, g.op, g.grants, g.image)
	}
	if err == nil {
		return nil
	}
	u.pending.mu.Lock()
	defer u.pending.mu.Unlock()
	g.ran, g.unkept = false, impact.Unkept(err)
	return g.unkept
}
