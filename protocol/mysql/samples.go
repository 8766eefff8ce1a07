package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/proxy"
)

// samples shows some of the rows that are changed.
func (m *measuring) samples(t *table) error {
	shown, keys := m.shown(t)
	if m.impact.Rows > impact.MaxDigested {
		keys = nil
	}
	var become []int // which of those shown are set to what is read, too
	for i := range shown {
		if setOf(m.change, &shown[i]) != nil {
			become = append(become, i)
		}
	}
	err := m.show(t, sampleQuery(m.change, shown, keys), shown, become, nil, func(values [][]byte) proxy.Sample { return m.sample(shown, become, values) })
	if n := len(t.Columns) - len(shown); n > 0 && m.impact.Samples != nil {
		m.unsaid(fmt.Sprintf("%d more columns are not shown", n))
	}
	return err
}

// show shows what a query returns, as anybody would see it: the columns shown of t, and after them what those of become are set to,
// which are hidden as these are. writes are what has filled them before.
func (m *measuring) show(t *table, text string, shown []tableColumn, become []int, writes []proxy.Write, sample func([][]byte) proxy.Sample) error {
	if m.impact.Rows == 0 {
		return nil
	}
	not := func(why error) error {
		m.unsaid("no rows are shown: " + why.Error())
		m.impact.Columns = nil
		return nil
	}
	facts, err := m.reads(text)
	if err != nil {
		return not(err)
	}
	shape := &proxy.Shape{Kind: proxy.ShapeRows, Part: 1}
	add := func(c *tableColumn) {
		shape.Columns = append(shape.Columns, proxy.ShapeColumn{
			Name: c.Name, Type: c.number, Schema: strings.ToLower(t.Schema), Relation: strings.ToLower(t.Table), Column: strings.ToLower(c.Name),
		})
	}
	for i := range shown {
		add(&shown[i])
	}
	for _, i := range become {
		add(&shown[i])
	}
	st := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Facts: impact.Filled(facts, writes), Reading: &m.reading}
	flow, err := m.session.session.Show(st, shape)
	if err != nil {
		return not(err)
	}
	if flow.HasBytes() {
		return not(errBytes)
	}
	var samples []proxy.Sample
	err = m.rows(text, impact.MaxSamples, len(shape.Columns), func(values [][]byte) error {
		var row proxy.Row
		row.Reset(values)
		if flow.HasRow() {
			if err := flow.Row(&row); err != nil {
				return err
			}
		}
		samples = append(samples, sample(values))
		return nil
	})
	if err != nil {
		return not(err)
	}
	m.impact.Samples = samples
	for i := range shown {
		m.impact.Columns = append(m.impact.Columns, shown[i].Name)
	}
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
	pick(func(c *tableColumn) bool { return sets(m.change, c) })
	pick(func(*tableColumn) bool { return true })
	return list, keys
}

// sample is a row with what becomes of it.
func (m *measuring) sample(shown []tableColumn, become []int, values [][]byte) proxy.Sample {
	var s proxy.Sample
	for i := range shown {
		s.Before = append(s.Before, impact.Shown(values[i]))
	}
	if m.change.Effect == proxy.EffectDelete {
		return s
	}
	s.After = make([]string, len(shown))
	for n, i := range become {
		s.After[i] = impact.Shown(values[len(shown)+n])
	}
	for i := range shown {
		if c := &shown[i]; s.After[i] == "" && (c.Generated || c.Now || sets(m.change, c)) {
			s.After[i] = "?"
		}
	}
	return s
}
