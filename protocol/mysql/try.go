package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/proxy"
)

// untryable says why a statement is not run to see what it does; empty when it may be: all that it does is taken back with the transaction
// in which it runs.
func (m *measuring) untryable(t *table) string {
	f := m.facts
	may := proxy.EffectRead | m.change.Effect
	if m.change.Upsert {
		may |= proxy.EffectUpdate | proxy.EffectDelete
	}
	refers := t.Deleting
	switch {
	case m.change.Effect == proxy.EffectUpdate:
		refers = t.Moving
	case m.change.Effect == proxy.EffectInsert && !m.change.Upsert:
		refers = nil
	}
	if why := t.transactional(); why != "" {
		return why
	}
	switch {
	case m.settings.ReadOnly:
		return "the resource is read only"
	case f.Unknown != "" || f.Unsure || !f.Resolved:
		return "it is not certain what the names in it mean"
	case t.Unseen:
		return "the account does not see whether " + t.Name + " has triggers"
	case t.Triggers != 0:
		return t.Name + " has triggers, which may do what cannot be taken back"
	case len(refers) > 0:
		return "rows of other tables would go or change with it, in " + strings.Join(refers, ", ")
	case m.change.Varies: // another connection has other variables
		return errVariables.Error()
	case m.change.Moving || m.st.Facts.Effects&^may != 0:
		return "it may do more than change rows, or something else each time"
	case m.state.changed.touches(f):
		return "its transaction has changed rows of these tables already, which only it sees"
	case m.change.Effect == proxy.EffectInsert && slices.ContainsFunc(t.Columns, func(c tableColumn) bool { return c.Counts }): // also where a value is given
		return t.Name + " takes values from AUTO_INCREMENT, which is not set back"
	}
	for _, fn := range f.Functions {
		if fn.Class != proxy.FunctionHarmless && fn.Class != proxy.FunctionReads {
			return "it may do more than change rows"
		}
	}
	return ""
}

// try runs the statement on the second connection, and reads what it has made of the rows that are shown. All of it is taken
// back, and so are its locks.
func (m *measuring) try(t *table) error {
	trial := &proxy.Trial{Rows: -1, Why: m.untryable(t)}
	m.impact.Trial = trial
	if trial.Why != "" {
		return nil
	}
	keys, err := m.sampleKeys(t)
	if err != nil {
		return err
	}
	for _, text := range []string{"ROLLBACK", "START TRANSACTION READ WRITE"} {
		if err := m.second.ask(text, &look{}); err != nil {
			return err
		}
	}
	l := &look{}
	if err := m.second.ask(m.text, l); err != nil {
		if !m.second.healthy {
			return err
		}
		trial.Why = "it has failed: " + err.Error()
		return m.second.ask("ROLLBACK", &look{})
	}
	trial.Rows = int64(l.ok.Affected)
	if m.impact.Holds == proxy.HoldsNothing {
		m.impact.Rows = trial.Rows
	}
	err = m.became(t, keys)
	if back := m.second.ask("ROLLBACK", &look{}); back != nil {
		return back
	}
	return err
}

// sampleKeys are the keys of the rows that are shown, in their order; nil where what becomes of them is not looked at.
func (m *measuring) sampleKeys(t *table) (*proxy.Image, error) {
	if m.change.Effect != proxy.EffectUpdate || m.impact.Holds != proxy.HoldsRows || len(m.impact.Samples) == 0 {
		return nil, nil
	}
	columns, keys, err := imageColumns(m.change, t)
	if err != nil {
		return nil, nil // such as where the key changes
	}
	i := newImage(m.change, t, columns[:keys], keys)
	var list, order []string
	for _, c := range columns[:keys] {
		list, order = append(list, imageValue(c, m.change.Ref)), append(order, m.change.Ref+"."+quoted(c.Name))
	}
	text := m.change.Select(strings.Join(list, ", ")) + " ORDER BY " + strings.Join(order, ", ") + fmt.Sprintf(" LIMIT %d", impact.MaxSamples)
	if i.Rows, err = m.imageRows(text, i.Columns, impact.MaxSamples); err != nil || len(i.Rows) != len(m.impact.Samples) {
		return nil, err
	}
	return i, nil
}

// became shows what the rows hold now that were shown before, hidden as these.
func (m *measuring) became(t *table, i *proxy.Image) error {
	if i == nil {
		return nil
	}
	before, names := m.impact.Samples, m.impact.Columns
	shown, _ := m.shown(t)
	var list, order []string
	for k := range shown {
		list = append(list, "t."+quoted(shown[k].Name))
	}
	for k := range i.Keys {
		order = append(order, "t."+quoted(i.Columns[k].Name))
	}
	text := "SELECT " + strings.Join(list, ", ") + " FROM " + quoted(t.Schema) + "." + quoted(t.Table) + " AS t WHERE " + keysAre(i, "t.") +
		" ORDER BY " + strings.Join(order, ", ") + fmt.Sprintf(" LIMIT %d", impact.MaxSamples)
	m.impact.Samples, m.impact.Columns = nil, nil
	err := m.show(t, text, shown, nil, m.facts.Writes, func(values [][]byte) proxy.Sample {
		s := proxy.Sample{}
		for _, v := range values {
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
