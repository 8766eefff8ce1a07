package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/proxy"
)

// untryable says why a statement is not run to see what it does; empty when it may be: all that it does is taken back with the part of the
// transaction in which it runs.
func (m *measuring) untryable(t *table) string {
	f := m.st.Facts
	may := proxy.EffectRead | m.change.Effect // and not what functions such as nextval write
	if m.change.Upsert {
		may |= proxy.EffectUpdate
	}
	refers := t.Deleting
	if m.change.Effect != proxy.EffectDelete {
		refers = t.Moving
	}
	switch {
	case f.Unknown != "" || f.Unsure || !f.Resolved:
		return "it is not certain what the names in it mean"
	case t.Kind != "r" && t.Kind != "p" || t.Strange || t.Heirs:
		return t.Name + " is not a table by itself"
	case t.Acts:
		return t.Name + " has triggers, which may do what cannot be taken back"
	case t.Rules:
		return t.Name + " has rules, which may do something else"
	case len(refers) > 0 && m.change.Effect != proxy.EffectInsert:
		return "rows of other tables would go or change with it, in " + strings.Join(refers, ", ")
	case t.Calls || t.Casts || t.Domains:
		return "a default, a constraint, an index, a cast or a domain calls a function of the database's own"
	case t.Sequences && (m.change.Effect == proxy.EffectInsert || m.change.Upsert):
		return t.Name + " takes values from a sequence, which is not set back"
	case f.Effects&^may != 0 || slices.ContainsFunc(f.Functions, func(fn proxy.Function) bool { return fn.Class == proxy.FunctionWrites }):
		return "it may do more than change rows"
	}
	return ""
}

// try runs the statement, and reads what it has made of the rows that are shown. All of it is taken back: the caller
// goes back to where the session was, which gives the locks back, too.
func (m *measuring) try(ctx context.Context, t *table) error {
	trial := &proxy.Trial{Rows: -1, Why: m.untryable(t)}
	m.impact.Trial = trial
	if trial.Why != "" {
		return nil
	}
	keys, err := m.sampleKeys(ctx, t)
	if err != nil {
		return err
	}
	// What only reads cannot be made to write: the part of the transaction that only read ends here.
	if _, err := m.ask(ctx, question{text: "ROLLBACK TO SAVEPOINT " + savepoint}); err != nil {
		return err
	}
	ms := max(1, m.each.Milliseconds())
	if _, err := m.ask(ctx, question{text: fmt.Sprintf("SELECT pg_catalog.set_config('statement_timeout', '%d', true), pg_catalog.set_config('lock_timeout', '%d', true)", ms, max(1, ms/3))}); err != nil {
		return err
	}
	q := m.bound(string(m.st.Text), 0)
	l, err := m.ask(ctx, q)
	var answered *answeredError
	switch {
	case errors.As(err, &answered):
		trial.Why = "it has failed: " + err.Error()
		return nil
	case err != nil:
		return err
	}
	trial.Rows = int64(l.changed)
	if m.impact.Holds == proxy.HoldsNothing {
		m.impact.Rows = trial.Rows
	}
	return m.became(ctx, t, keys)
}

// sampleKeys are the keys of the rows that are shown, in their order; nil where what becomes of them is not looked at.
func (m *measuring) sampleKeys(ctx context.Context, t *table) (*proxy.Image, error) {
	if m.change.Effect != proxy.EffectUpdate || m.impact.Holds != proxy.HoldsRows || len(m.impact.Samples) == 0 {
		return nil, nil
	}
	columns, keys, err := m.imageColumns(t)
	if err != nil {
		return nil, nil // such as where the key changes
	}
	i := &proxy.Image{Schema: t.Schema, Table: t.Table, Keys: keys}
	var list []string
	for _, c := range columns[:keys] {
		i.Columns = append(i.Columns, proxy.ImageColumn{Name: c.Name, Type: c.Full})
		list = append(list, m.change.Ref+"."+quotedName(c.Name))
	}
	order := strings.Join(list, ", ")
	l, err := m.ask(ctx, m.bound(m.change.Select(order)+sampleBound(m.change)+fmt.Sprintf(" ORDER BY %s LIMIT %d", order, impact.MaxSamples), impact.MaxSamples))
	if err != nil {
		return nil, err
	}
	if i.Rows, err = imageRows(l.kept, keys); err != nil || len(i.Rows) != len(m.impact.Samples) {
		return nil, err
	}
	return i, nil
}

// became shows what the rows hold now that were shown before, hidden as these.
func (m *measuring) became(ctx context.Context, t *table, i *proxy.Image) error {
	if i == nil {
		return nil
	}
	before, names := m.impact.Samples, m.impact.Columns
	list := []string{"k.n"}
	for _, name := range names {
		list = append(list, "t."+quotedName(name))
	}
	ks, on := []string{"n"}, make([]string, i.Keys)
	for c := range on {
		k := fmt.Sprintf("k%d", c)
		ks, on[c] = append(ks, k), "t."+quotedName(i.Columns[c].Name)+" OPERATOR(pg_catalog.=) k."+k
	}
	text := "SELECT " + strings.Join(list, ", ") + " FROM (VALUES " + rowsOf(i, i.Keys, true, true) + ") AS k (" + strings.Join(ks, ", ") + ") JOIN " +
		quotedPath(i.Schema, i.Table) + " AS t ON " + strings.Join(on, " AND ") + fmt.Sprintf(" ORDER BY k.n LIMIT %d", impact.MaxSamples)
	err := m.show(ctx, text, "", m.st.Facts.Writes, func(shape *proxy.Shape) bool { return len(shape.Columns) == len(names)+1 }, func(values [][]byte) proxy.Sample {
		s := proxy.Sample{}
		for _, v := range values[1:] {
			s.After = append(s.After, impact.Shown(v))
		}
		return s
	})
	after := m.impact.Samples
	m.impact.Samples, m.impact.Columns = before, names
	if err != nil || len(after) != len(before) {
		return err
	}
	m.impact.Samples = impact.Became(before, after)
	return nil
}
