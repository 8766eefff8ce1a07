package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

const measureEnd = 5 * time.Second // to go back to where the session was

const savepoint = `"sallyport impact"`

// errTorn ends a session whose transaction is not what its client believes.
var errTorn = errors.New("the server did not go back to where the session's transaction was before something was measured in it")

// Measure says what the statement that is being asked would change. See [proxy.Measurer].
//
// The server is asked in the session itself, in a part of its transaction that only reads, has
// short timeouts and is taken back: of the open one, or of one of the gateway's own.
func (u *up) Measure(ctx context.Context, st *proxy.Statement) (*proxy.Impact, error) {
	if !st.Facts.Effects.Has(impact.Changes) {
		return nil, nil
	}
	limit := cmp.Or(u.handler.measures, impact.Timeout(u.session.session))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m := &measuring{undo: impact.UndoTime(st), impact: impact.New(st), each: limit / 3, before: u.cancels.Load()}
	var err error
	if m.rowReader, err = u.newRowReader(st); err == nil {
		err = m.measure(ctx)
	}
	switch {
	case u.session.session.Err() != nil:
		return nil, u.session.session.Err()
	case u.cancels.Load() != m.before:
		return nil, fmt.Errorf("this needs an approval, and was %w", proxy.ErrCanceled)
	case m.differs != nil:
		return nil, m.differs
	case err != nil:
		impact.Fail(m.impact, st, err)
	case m.impact.Holds == proxy.HoldsNothing && len(m.impact.Unsaid) == 0:
		m.unsaid("nothing is compared when it runs")
	}
	return m.impact, nil
}

// Open reports whether a transaction is open. See [proxy.Measurer].
func (u *up) Open(ctx context.Context, _ *proxy.Statement) bool {
	if u.executes {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	block, err := u.settle(ctx)
	return err != nil || block != 'I'
}

// measuring is one measurement.
type measuring struct {
	*rowReader
	impact *proxy.Impact
	each   time.Duration // that one question may take
	before uint32        // the client's cancels that came before

	undo    time.Duration // for how long what undoes it is to be kept; 0: it is not
	differs error         // why the session does not undo what it was opened for

	own   bool // the transaction is the gateway's own
	saved bool // the savepoint is there
}

func (m *measuring) unsaid(what string) { impact.Unsay(m.impact, what) }

func (m *measuring) measure(ctx context.Context) error {
	c := m.change
	m.impact.Effect = c.Effect.String()
	names := make([]string, len(c.Tables))
	for i := range c.Tables {
		names[i] = c.Tables[i].Path
	}
	m.impact.Table = strings.Join(names, ", ")
	switch {
	case len(c.Tables) > impact.MaxTables:
		return fmt.Errorf("it names more than %d tables", impact.MaxTables)
	case !m.asking(m.st):
		return errNowhere
	}
	if err := m.finds(); err != nil {
		return err
	}
	defer m.end()
	if err := m.begin(ctx); err != nil {
		return err
	}
	if err := m.parameters(ctx); err != nil {
		return err
	}
	if m.wholes() {
		impact.Whole(m.impact, m.st)
		return m.emptied(ctx)
	}
	if undo := m.session.session.Undo(); undo != nil {
		if m.differs = m.undoing(ctx, undo); m.differs != nil {
			return m.differs
		}
		c.Single = c.Others != ""
	}
	t, err := m.table(ctx, &c.Tables[0])
	if err != nil {
		return err
	}
	m.impact.Table = t.Name
	measure := m.changed
	if c.Effect == proxy.EffectInsert {
		measure = m.inserted
	}
	if err := measure(ctx, t); err != nil {
		return err
	}
	if m.undo > 0 {
		m.undoable(ctx, t)
	}
	if h := m.st.Held(); h != nil && h.Try {
		return m.try(ctx, t)
	}
	return nil
}

// emptied measures a TRUNCATE or a DROP TABLE.
func (m *measuring) emptied(ctx context.Context) error {
	rows, tables, err := m.whole(ctx, false)
	if err != nil {
		return err
	}
	m.impact.Rows, m.impact.Table, m.impact.Holds, m.impact.Tables = rows, namesOf(tables), proxy.HoldsCount, identity(tables...)
	for _, t := range tables {
		if m.change.Effect == proxy.EffectTruncate && t.Triggers {
			m.unsaid(t.Name + " has triggers, which may do anything else, too")
		}
	}
	if m.change.Cascades {
		m.unsaid("what refers to it, or depends on it, goes with it (CASCADE), and is not counted")
	}
	return nil
}

// inserted measures an INSERT.
func (m *measuring) inserted(ctx context.Context, t *table) error {
	c := m.change
	if err := m.safe(t); err != nil {
		return err
	}
	why, counted := m.comparable(t)
	if c.Upsert {
		why, counted = "rows of the same key are left out or changed (ON CONFLICT), so that there may be fewer", false
	}
	if c.Query == "" { // the text says what they are
		if m.impact.Rows = int64(c.Values); counted {
			m.impact.Holds, m.impact.Tables = proxy.HoldsCount, identity(t)
		} else {
			m.unsaid(impact.NotCompared + why)
		}
		return nil
	}
	m.plan(ctx)
	if err := m.rows(ctx, t, why, counted); err != nil || c.Moving {
		return err
	}
	if m.impact.Holds == proxy.HoldsRows {
		m.unsaid("the rows that they are made of are not locked: they may change right before it runs")
	}
	names := c.Columns
	if names == nil {
		for i := range t.Columns {
			names = append(names, t.Columns[i].Name)
		}
	}
	return m.show(ctx, insertedRows(c, "q.*")+fmt.Sprintf(" LIMIT %d", impact.MaxSamples), "", nil, func(shape *proxy.Shape) bool {
		if len(shape.Columns) > len(names) {
			return false
		}
		for i := range shape.Columns {
			is := &shape.Columns[i]
			is.Schema, is.Relation, is.Column = t.Schema, t.Table, names[i]
			m.impact.Columns = append(m.impact.Columns, names[i])
		}
		return true
	}, func(values [][]byte) proxy.Sample {
		s := proxy.Sample{}
		for _, v := range values {
			s.After = append(s.After, impact.Shown(v))
		}
		return s
	})
}

// changed measures an UPDATE or a DELETE.
func (m *measuring) changed(ctx context.Context, t *table) error {
	if err := m.safe(t); err != nil {
		return err
	}
	why, counted := m.comparable(t)
	if t.Kind != "r" && t.Kind != "p" || t.Strange {
		return errors.New(why)
	}
	m.plan(ctx)
	if err := m.rows(ctx, t, why, counted); err != nil {
		return err
	}
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
	return m.samples(ctx, t)
}

// rows counts the rows, and digests them, unless why says why they cannot be compared. counted says that their
// number can be all the same.
func (m *measuring) rows(ctx context.Context, t *table, why string, counted bool) error {
	rows, digest := int64(-1), ""
	var err error
	if why == "" {
		if rows, digest, err = m.digest(ctx, t, false); err != nil {
			why = err.Error()
			if err := m.back(ctx); err != nil {
				return err
			}
		} else if rows > impact.MaxDigested {
			why, digest = fmt.Sprintf("there are more than %d", impact.MaxDigested), ""
		}
	}
	if why != "" {
		if rows, err = m.count(ctx, m.bound(countQuery(m.change), 2)); err != nil {
			return err
		}
	}
	m.impact.Rows, m.impact.Digest = rows, digest
	impact.Compare(m.impact, proxy.HoldsRows, identity(t), why, counted)
	return nil
}

// plan notes how the server would run the statement.
func (m *measuring) plan(ctx context.Context) {
	text := "EXPLAIN (FORMAT JSON) " + string(m.st.Text)
	if _, err := m.reads(text, proxy.EffectRead|proxy.EffectShow); err != nil {
		return
	}
	l, err := m.ask(ctx, m.bound(text, 2))
	if err != nil {
		m.unsaid("the server's plan is not known: " + err.Error())
		if m.back(ctx) != nil {
			return // what comes next fails too, and says so
		}
		return
	}
	var plans []struct{ Plan planNode }
	if len(l.kept) != 1 || len(l.kept[0]) != 1 || json.Unmarshal(l.kept[0][0], &plans) != nil {
		return
	}
	var ways []string
	for i := range plans {
		if c := plans[i].Plan.Cost; c != nil {
			m.impact.Cost += *c
		}
		ways = plans[i].Plan.ways(ways)
	}
	m.impact.Plan = strings.Join(ways, ", ")
}

// samples shows some of the rows that are changed.
func (m *measuring) samples(ctx context.Context, t *table) error {
	shown, keys := m.shown(t)
	if m.impact.Rows > impact.MaxDigested || m.impact.Holds == proxy.HoldsNothing {
		keys = nil
	}
	err := m.show(ctx, sampleQuery(m.change, shown, keys), sampleBound(m.change), nil, func(shape *proxy.Shape) bool {
		for i := range shown {
			m.impact.Columns = append(m.impact.Columns, shown[i].Name)
		}
		return m.become(shape, shown)
	}, func(values [][]byte) proxy.Sample { return m.sample(shown, values) })
	if n := len(t.Columns) - len(shown); n > 0 && m.impact.Samples != nil {
		m.unsaid(fmt.Sprintf("%d more columns are not shown", n))
	}
	return err
}

// show shows what a query returns, as anybody would see it. Without bound, a part that is the gateway's own,
// the query is of the statement's words. writes are what has filled its columns before. describe says what its columns are; it is
// false when the server has answered with others.
func (m *measuring) show(ctx context.Context, text, bound string, writes []proxy.Write, describe func(*proxy.Shape) bool, sample func([][]byte) proxy.Sample) error {
	if m.impact.Rows == 0 {
		return nil
	}
	not := func(why error) error {
		m.unsaid("no rows are shown: " + why.Error())
		m.impact.Columns = nil
		return nil
	}
	if m.encoding.foreign.Load() || m.encoding.changing {
		return not(errForeign)
	}
	plain := strings.Replace(text, bound, "", 1)
	facts, err := m.reads(plain, proxy.EffectRead)
	if err != nil {
		return not(err)
	}
	l, err := m.ask(ctx, m.bound(text, impact.MaxSamples))
	switch {
	case err != nil:
		return not(err)
	case l.shape == nil:
		return not(impact.ErrAnswer)
	}
	m.catalogShape(l.shape)
	if !describe(l.shape) {
		return not(impact.ErrAnswer)
	}
	st := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(plain), Facts: impact.Filled(facts, writes)}
	flow, err := m.session.session.Show(st, l.shape)
	if err != nil {
		return not(err)
	}
	var samples []proxy.Sample
	for _, values := range l.kept {
		var row proxy.Row
		row.Reset(values)
		if flow.HasRow() {
			if err := flow.Row(&row); err != nil {
				return not(err)
			}
		}
		samples = append(samples, sample(values))
	}
	m.impact.Samples = samples
	return nil
}

// shown are the columns of samples: the key, what is changed, and others as there is room.
func (m *measuring) shown(t *table) (list []tableColumn, keys []string) {
	pick := func(which func(*tableColumn) bool) {
		for i := range t.Columns {
			c := &t.Columns[i]
			if len(list) < impact.MaxShown && which(c) && !slices.ContainsFunc(list, func(have tableColumn) bool { return have.Name == c.Name }) {
				list = append(list, *c)
			}
		}
	}
	pick(func(c *tableColumn) bool { return c.Key })
	for _, c := range list {
		keys = append(keys, c.Name)
	}
	pick(m.sets)
	pick(func(*tableColumn) bool { return true })
	return list, keys
}

// sets reports whether the statement sets a column.
func (m *measuring) sets(c *tableColumn) bool {
	return slices.ContainsFunc(m.change.Sets, func(s sql.SetColumn) bool { return s.Column == c.Name })
}

// become says of the columns of what becomes of rows which they will be: they are hidden as these.
// It is false when the server has answered with other columns.
func (m *measuring) become(shape *proxy.Shape, shown []tableColumn) bool {
	next := len(shown)
	for i := range shown {
		if setOf(m.change, &shown[i]) != nil {
			if next >= len(shape.Columns) {
				return false
			}
			was, is := &shape.Columns[i], &shape.Columns[next]
			is.Schema, is.Relation, is.Column = was.Schema, was.Relation, was.Column
			next++
		}
	}
	return next == len(shape.Columns)
}

// sample is a row with what becomes of it.
func (m *measuring) sample(shown []tableColumn, values [][]byte) proxy.Sample {
	var s proxy.Sample
	for i := range shown {
		s.Before = append(s.Before, impact.Shown(values[i]))
	}
	if m.change.Effect == proxy.EffectDelete {
		return s
	}
	s.After = make([]string, len(shown))
	next := len(shown)
	for i := range shown {
		switch c := &shown[i]; {
		case setOf(m.change, c) != nil:
			s.After[i] = impact.Shown(values[next])
			next++
		case c.Computed || m.sets(c):
			s.After[i] = "?"
		}
	}
	return s
}

// begin brings the session to where questions may fail.
func (m *measuring) begin(ctx context.Context) error {
	block, err := m.settle(ctx)
	switch {
	case err != nil:
		return err
	case block == 'E':
		return errAborted
	case block == unsureBlock:
		return errNowhere
	case block == 'I' && m.current.expect == expectQuery:
		if _, err := m.put(&question{text: "BEGIN", alone: true}); err != nil {
			return err
		}
		m.own = true
	case block == 'I':
		if err := m.enclose(ctx); err != nil {
			return err
		}
	}
	saved, err := m.put(&question{text: "SAVEPOINT " + savepoint, alone: true})
	if err != nil {
		return err
	}
	err = m.limit(ctx)
	m.saved = saved.answered && err == nil || m.took(saved)
	return err
}

// took reports whether a question was answered.
func (u *up) took(l *look) bool {
	u.pending.mu.Lock()
	defer u.pending.mu.Unlock()
	return l.answered
}

// limit has what follows only read, and end soon.
func (m *measuring) limit(ctx context.Context) error {
	ms := max(1, m.each.Milliseconds())
	_, err := m.ask(ctx, question{text: fmt.Sprintf("SELECT pg_catalog.set_config('transaction_read_only', 'on', true), "+
		"pg_catalog.set_config('statement_timeout', '%d', true), pg_catalog.set_config('lock_timeout', '%d', true)", ms, max(1, ms/3))})
	return err
}

// back goes on after a question that the server answered with an error.
func (m *measuring) back(ctx context.Context) error {
	if m.cancels.Load() != m.before {
		return proxy.ErrCanceled
	}
	if _, err := m.put(&question{text: "ROLLBACK TO SAVEPOINT " + savepoint, alone: true}); err != nil {
		return err
	}
	return m.limit(ctx)
}

// end goes back to where the session was. A session that does not come back there ends.
func (m *measuring) end() {
	ctx, cancel := context.WithTimeout(m.session.session.Context(), measureEnd)
	defer cancel()
	want := byte('T')
	texts := []string{"ROLLBACK TO SAVEPOINT " + savepoint, "RELEASE SAVEPOINT " + savepoint}
	switch {
	case m.own:
		want, texts = 'I', []string{"ROLLBACK"}
	case !m.saved:
		return // nothing was begun
	}
	m.pending.mu.Lock()
	busy := m.pending.n > 0
	m.pending.mu.Unlock()
	if busy {
		m.cancelUpstream(ctx)
	}
	const attempts = 3 // a cancel that comes late may hit one
	for range attempts {
		var last *look
		for _, text := range texts {
			var err error
			if last, err = m.put(&question{text: text, alone: true}); err != nil {
				return // the session ends
			}
		}
		if m.answered(ctx, last) == nil && last.status == want {
			return
		}
		if ctx.Err() != nil {
			break
		}
	}
	m.session.session.Kill(errTorn)
}

// settle waits until the server has answered all that came before, and returns whether a
// transaction is open then.
func (u *up) settle(ctx context.Context) (block byte, err error) {
	if err := u.urge(); err != nil {
		return 0, err
	}
	if err := u.pending.await(ctx, func() bool { return u.pending.n == 0 }); err != nil {
		return 0, errNowhere
	}
	if u.skips() {
		return 0, errNowhere
	}
	return byte(u.block.Load()), nil
}
