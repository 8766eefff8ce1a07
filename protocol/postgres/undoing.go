package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/proxy"
)

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
	return impact.Left(undo, left, func(rows []proxy.ImageRow) ([]string, [][]string) { return r.shownKeys(i, rows) })
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

// shownKeys are the keys of rows as they are shown to somebody without exceptions; nil where they cannot be shown.
func (r *rowReader) shownKeys(i *proxy.Image, rows []proxy.ImageRow) (columns []string, keys [][]string) {
	var list []string
	for c := range i.Keys {
		list = append(list, "t."+quotedName(i.Columns[c].Name))
	}
	text := "SELECT " + strings.Join(list, ", ") + " FROM " + quotedPath(i.Schema, i.Table) + " AS t"
	facts, err := r.reads(text, proxy.EffectRead)
	if err != nil {
		return nil, nil
	}
	return impact.Keys(r.session.session, i, rows, text, facts)
}
