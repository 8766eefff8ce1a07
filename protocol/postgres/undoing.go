package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
)

// undoes is the refusal of everything but what a session runs that undoes something; nil: op is that, or the session works as any.
func (u *up) undoes(op proxy.Op) *proxy.Verdict {
	undo := u.session.session.Undo()
	if undo == nil {
		return nil
	}
	if st, ok := op.(*proxy.Statement); ok && st.Kind == proxy.KindStatement && string(st.Text) == UndoText(undo.Image) {
		return nil
	}
	v := proxy.Deny(proxy.CausePolicy, "", "this session undoes something, and runs nothing else", "")
	return &v
}

// undoing checks, in a session that undoes something, that it can be undone still: that the statement which is undone was kept, and that
// the rows are what it left. The error is for the user, who is told by the Undo which rows differ.
func (r *rowReader) undoing(ctx context.Context, undo *proxy.Undo) error {
	i := undo.Image
	if status, err := r.transaction(ctx, i); err != nil || status != "" {
		return errors.Join(err, asError(status))
	}
	var left []string
	err := r.exactly(ctx, func() (err error) {
		left, err = r.left(ctx, i)
		return err
	})
	if err != nil {
		return fmt.Errorf("nothing is undone: the rows cannot be compared with what the statement left: %w", err)
	}
	var differ []proxy.ImageRow
	for n := range left {
		if left[n] != i.Rows[n].Left {
			differ = append(differ, i.Rows[n])
		}
	}
	if len(differ) == 0 {
		return nil
	}
	if undo.Differ != nil {
		columns, keys := r.shownKeys(i, differ)
		undo.Differ(len(differ), columns, keys)
	}
	return &differsError{fmt.Sprintf("nothing is undone: %d of %d rows are not what the statement left", len(differ), len(i.Rows))}
}

func asError(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// transaction says why what was done in the image's transaction is not there, as far as the server knows.
func (r *rowReader) transaction(ctx context.Context, i *proxy.Image) (why string, err error) {
	if i.Transaction == "" {
		return "", nil
	}
	status := ""
	err = r.exactly(ctx, func() error {
		l, err := r.ask(ctx, question{text: "SELECT pg_catalog.txid_status($1::pg_catalog.int8)", rows: 1, args: textArgs([]byte(i.Transaction))})
		var answered *answeredError
		switch {
		case errors.As(err, &answered): // another server, which was restored: the rows decide
		case err != nil:
			return err
		case len(l.kept) == 1 && len(l.kept[0]) == 1:
			status = string(l.kept[0][0])
		}
		return nil
	})
	switch status {
	case "aborted":
		return "nothing is undone: the statement was taken back with its transaction", err
	case "in progress":
		return "nothing is undone: the transaction of the statement has not ended", err
	}
	return "", err
}

const maxDiffering = 20 // rows of which the user is told

// shownKeys are the keys of rows as they are shown to somebody without exceptions; nil where they cannot be shown.
func (r *rowReader) shownKeys(i *proxy.Image, rows []proxy.ImageRow) (columns []string, keys [][]string) {
	text := "SELECT "
	shape := &proxy.Shape{Kind: proxy.ShapeRows, Columns: make([]proxy.ShapeColumn, i.Keys)}
	for c := range i.Keys {
		if c > 0 {
			text += ", "
		}
		name := i.Columns[c].Name
		text += "t." + quotedName(name)
		columns = append(columns, name)
		shape.Columns[c] = proxy.ShapeColumn{Name: name, Schema: i.Schema, Relation: i.Table, Column: name}
	}
	text += " FROM " + quotedPath(i.Schema, i.Table) + " AS t"
	facts, err := r.reads(text, proxy.EffectRead)
	if err != nil {
		return nil, nil
	}
	st := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Facts: facts}
	flow, err := r.session.session.Show(st, shape)
	if err != nil {
		return nil, nil
	}
	for _, row := range rows[:min(len(rows), maxDiffering)] {
		values := make([][]byte, i.Keys)
		for c := range values {
			if v := row.Values[c]; v != nil {
				values[c] = []byte(*v)
			}
		}
		var shown proxy.Row
		shown.Reset(values)
		if flow.HasRow() {
			if err := flow.Row(&shown); err != nil {
				return nil, nil
			}
		}
		key := make([]string, i.Keys)
		for c, v := range values {
			key[c] = shownValue(v)
		}
		keys = append(keys, key)
	}
	return columns, keys
}
