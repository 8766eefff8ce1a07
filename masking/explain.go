package masking

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// explain notes what would be done with the columns that a statement returns, and why, as
// far as that is known before it runs: of types it may not be.
func (x *session) explain(ctx context.Context, st *proxy.Statement, m *mentions) {
	if !x.session.Dry || st.Facts == nil {
		return
	}
	note := func(column string, typ detect.Type, text string) {
		// A dry session keeps every note.
		_ = x.session.Note(ctx, st, &proxy.Note{Kind: proxy.NoteColumn, By: x.view.masker.Name(), Column: column, Text: text, Type: string(typ)})
	}
	for part := range max(1, len(st.Facts.Parts)) {
		facts := st.Facts.Part(part + 1)
		shape := expected(facts)
		if len(shape.Columns) == 0 {
			if facts.Rows {
				note("", "", "which columns it returns is not known before it runs")
			}
			continue
		}
		shape.Part = part + 1
		x.mu.Lock()
		columns := x.view.decide(st, shape, m, &x.kept)
		x.mu.Unlock()
		for i := range columns {
			if text := columns[i].explanation(shape.Columns[i].Name); text != "" {
				note(shape.Columns[i].Name, columns[i].typ, text)
			}
		}
	}
}

// expected is the shape of what a statement will return, as far as its facts tell.
func expected(f *proxy.Facts) *proxy.Shape {
	shape := &proxy.Shape{Kind: proxy.ShapeRows}
	if f.Copy != nil {
		shape.Kind = proxy.ShapeCopy
	} else if !f.ColumnsKnown {
		return shape
	}
	for _, c := range outputs(f) {
		sc := proxy.ShapeColumn{Name: c.Name}
		if o := c.Plain(); o != nil {
			sc.Schema, sc.Relation, sc.Column, sc.Type = o.Schema, o.Relation, o.Column, o.Type
		}
		shape.Columns = append(shape.Columns, sc)
	}
	return shape
}

// explanation says what is done with the column and why; "" is that its values are looked
// into, as all are.
func (c *column) explanation(name string) string {
	switch {
	case c.whole:
		return fmt.Sprintf("column %s is masked (%s, %s): %s", strconv.Quote(name), c.typ, c.with.Transform, c.why.says)
	case c.tainted:
		return fmt.Sprintf("column %s is hidden: %s", strconv.Quote(name), c.why.says)
	}
	return ""
}
