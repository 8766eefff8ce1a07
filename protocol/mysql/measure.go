package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Measure says what the statement that is being asked would change. See [proxy.Measurer].
//
// The server is asked on a second connection, as the same account and with the same settings, in a transaction that
// only reads and is short. So the session's own transaction keeps its snapshot and takes no locks; what it has changed itself is
// not seen there, and is not measured.
func (u *up) Measure(ctx context.Context, st *proxy.Statement) (*proxy.Impact, error) {
	if !st.Facts.Effects.Has(impact.Changes) {
		return nil, nil
	}
	limit := cmp.Or(u.handler.measures, impact.Timeout(u.session.session))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(u.session.session.Context(), cancel)
	defer stop()
	m := &measuring{impact: impact.New(st), each: limit / 3}
	err := m.measure(ctx, u, st)
	switch {
	case u.session.session.Err() != nil:
		return nil, u.session.session.Err()
	case errors.Is(err, errQuit):
		return nil, errServerLeft
	case m.differs != nil:
		return nil, m.differs
	case err != nil:
		impact.Fail(m.impact, st, err)
	case m.impact.Holds == proxy.HoldsNothing && len(m.impact.Unsaid) == 0:
		m.unsaid("nothing is compared when it runs")
	}
	return m.impact, nil
}

// Open reports whether a transaction is open, or tables are locked. See [proxy.Measurer].
func (u *up) Open(ctx context.Context, st *proxy.Statement) bool {
	if u.state.locked || u.current == nil || st != &u.current.statement {
		return true
	}
	// What the server has said last may be wrong by now: with an error it does not say whether a transaction is open after it.
	ctx, cancel := context.WithTimeout(ctx, impact.Timeout(u.session.session))
	defer cancel()
	late := context.AfterFunc(ctx, func() { u.session.session.Kill(errSilent) })
	_, _, err := u.settledAs()
	late()
	return err != nil || uint16(u.down.status.Load())&wire.StatusInTransaction != 0
}

// measuring is one measurement.
type measuring struct {
	*rowReader
	second  *second
	impact  *proxy.Impact
	each    time.Duration // that one question may take
	differs error         // why the session does not undo what it was opened for
}

func (m *measuring) unsaid(what string) { impact.Unsay(m.impact, what) }

func (m *measuring) measure(ctx context.Context, u *up, st *proxy.Statement) (err error) {
	if u.current == nil || st != &u.current.statement {
		return errors.New("the server cannot be asked at this place")
	}
	m.touched(u, st.Facts)
	put := func(text string, l *look) error { return m.second.ask(text, l) }
	m.rowReader, err = u.newRowReader(u.current, put)
	if err != nil {
		m.expected(ctx, u, st)
		return err
	}
	c := m.change
	m.impact.Effect = c.Effect.String()
	var names []string
	for i := range c.Tables {
		names = append(names, c.Tables[i].Path)
	}
	m.impact.Table = strings.Join(names, ", ")
	if len(c.Tables) > impact.MaxTables {
		return fmt.Errorf("it names more than %d tables", impact.MaxTables)
	}
	if err := m.finds(); err != nil {
		return err
	}
	if m.second, err = u.second(ctx, m.each); err != nil {
		return err
	}
	defer m.second.close()
	m.values = m.second.values
	if m.whole() {
		impact.Whole(m.impact, st)
		return m.emptied(ctx)
	}
	if undo := u.session.session.Undo(); undo != nil {
		if m.differs = m.undoing(undo); m.differs != nil {
			return m.differs
		}
	}
	m.plan()
	if err := m.second.ask("START TRANSACTION READ ONLY", &look{}); err != nil {
		return err
	}
	t, err := m.table(ctx, c.Tables[0].Path)
	if err != nil {
		return err
	}
	m.impact.Table = t.Name
	if c.Effect == proxy.EffectInsert {
		err = m.inserted(t)
	} else {
		err = m.changed(t)
	}
	if err != nil {
		return err
	}
	if impact.UndoTime(st) > 0 {
		m.undoable(t)
	}
	if h := st.Held(); h != nil && h.Try {
		return m.try(t)
	}
	return nil
}

// touched says which further tables the statement changes: by triggers and foreign keys, as the catalog has them.
func (m *measuring) touched(u *up, f *proxy.Facts) {
	if len(f.Relations) < 2 || f.Statements > 1 {
		return
	}
	var names []string
	for _, r := range f.Relations[1:] {
		if e := r.Effects & (proxy.EffectsWrite | proxy.EffectDrop); e != 0 && r.Name != f.Relations[0].Name {
			name := plainName(r.Name)
			if r.Schema != "" && r.Schema != strings.ToLower(u.state.database) {
				name = plainName(r.Schema) + "." + name
			}
			names = append(names, name+" ("+e.String()+")")
		}
	}
	if len(names) > 0 {
		const most = 10
		if len(names) > most {
			names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
		}
		m.unsaid("it may change other tables, too, whose rows are not counted, by triggers, foreign keys or views: " + strings.Join(names, ", "))
	}
}

// expected notes what the server expects of a statement that is not taken apart. What cannot be told is not told: why the statement is
// not measured is said anyway.
func (m *measuring) expected(ctx context.Context, u *up, st *proxy.Statement) {
	f := st.Facts
	if f.Statements != 1 || f.Effects.Has(opaque) || !f.Effects.Has(proxy.EffectInsert|proxy.EffectUpdate|proxy.EffectDelete) {
		return
	}
	text, err := bound(st)
	if err != nil {
		return
	}
	if m.second, err = u.second(ctx, m.each); err != nil {
		return
	}
	defer m.second.close()
	if rows, ok := m.planOf(text); ok {
		m.unsaid(fmt.Sprintf("the server expects to change or insert about %.0f rows", rows))
	}
}

// emptied counts what a TRUNCATE or a DROP TABLE would take away.
func (m *measuring) emptied(ctx context.Context) error {
	if err := m.second.ask("START TRANSACTION READ ONLY", &look{}); err != nil {
		return err
	}
	var all int64
	var names []string
	for i := range m.change.Tables {
		t, err := m.table(ctx, m.change.Tables[i].Path)
		if err != nil {
			return err
		}
		if t.Kind != "BASE TABLE" {
			return errors.New(t.Name + " is not a plain table")
		}
		path := quoted(t.Schema) + "." + quoted(t.Table)
		one := &rowReader{up: m.up, change: &sql.RowChange{Target: path}, put: m.put}
		n, err := one.count(t)
		if err != nil {
			return err
		}
		all, names = all+n, append(names, t.Name)
	}
	m.impact.Rows, m.impact.Table = all, strings.Join(names, ", ")
	m.unsaid(impact.NotCompared + "the server commits it at once, with the transaction that is open, and nothing takes it back")
	return nil
}

// inserted measures an INSERT.
func (m *measuring) inserted(t *table) error {
	c := m.change
	why, counted := m.comparable(t)
	if c.Upsert {
		why, counted = "rows of the same key are left out or changed (IGNORE, REPLACE, ON DUPLICATE KEY), so that there may be fewer or others", false
	}
	if c.Query == "" { // the text says what they are
		m.impact.Rows = int64(c.Values)
	} else {
		n, err := m.count(t)
		if err != nil {
			return err
		}
		m.impact.Rows = n
	}
	impact.Compare(m.impact, proxy.HoldsCount, t.identity(), why, counted)
	if c.Query == "" {
		return nil
	}
	var shown []tableColumn
	for _, name := range filled(c, t) {
		for i := range t.Columns {
			if strings.EqualFold(t.Columns[i].Name, name) {
				shown = append(shown, t.Columns[i])
			}
		}
	}
	return m.show(t, fmt.Sprintf("%s LIMIT %d", ofQuery(c, t, "*"), impact.MaxSamples), shown, nil, nil, func(values [][]byte) proxy.Sample {
		s := proxy.Sample{}
		for _, v := range values {
			s.After = append(s.After, impact.Shown(v))
		}
		return s
	})
}

// changed measures an UPDATE or a DELETE.
func (m *measuring) changed(t *table) error {
	why, counted := m.comparable(t)
	rows, digest := int64(-1), ""
	var err error
	if why == "" {
		if rows, digest, err = m.digest(t, false); err != nil {
			return err
		}
		if rows > impact.MaxDigested {
			why, counted, digest = fmt.Sprintf("there are more than %d", impact.MaxDigested), true, ""
		}
	}
	if why != "" {
		if rows, err = m.count(t); err != nil {
			return err
		}
	}
	m.impact.Rows, m.impact.Digest = rows, digest
	impact.Compare(m.impact, proxy.HoldsRows, t.identity(), why, counted)
	if m.change.Elsewhere {
		m.unsaid("other tables have a say in which rows they are, or in what they become, and these may change until it runs")
	}
	others := t.Deleting
	if m.change.Effect == proxy.EffectUpdate {
		others = t.Moving
	}
	if what := impact.Passed(m.change.Effect, others); what != "" {
		m.unsaid(what)
	}
	return m.samples(t)
}

// plan notes how the server would run the statement.
func (m *measuring) plan() {
	if !m.facts.Effects.Has(opaque) {
		m.planOf(m.text)
	}
}

// planOf notes how the server would run a text, and returns how many rows it expects.
func (m *measuring) planOf(text string) (rows float64, ok bool) {
	plan, err := m.second.explain(text)
	if err != nil {
		m.unsaid("the server's plan is not known: " + err.Error())
		return 0, false
	}
	rows, cost, err := readPlan(plan)
	if err != nil {
		m.unsaid("the server's plan is not known: " + err.Error())
		return 0, false
	}
	m.impact.Cost = cost
	m.impact.Plan = strings.Join(waysOf(plan), ", ")
	return rows, true
}

// waysOf are the ways in which a plan reads its tables.
func waysOf(plan []map[string]string) (ways []string) {
	const most = 10
	for _, step := range plan {
		table, way := step["table"], strings.ToLower(step["type"])
		if table == "" || len(ways) == most {
			continue
		}
		switch key := step["key"]; {
		case key != "":
			ways = append(ways, way+" by "+key+" on "+table)
		case way == "all":
			ways = append(ways, "full scan of "+table)
		case way != "":
			ways = append(ways, way+" on "+table)
		}
	}
	return ways
}
