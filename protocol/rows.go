package protocol

import (
	"context"
	"errors"
)

// Rows runs a query at a database and returns the texts of its rows, which have so many columns; with 0
// a text that returns none. All of the answer is kept: the query bounds it. An error of the server's is a
// [*ServerNotice].
func Rows(ctx context.Context, d Database, query string, columns int) ([][]string, error) {
	l := &rowList{columns: columns}
	if err := d.Run(ctx, query, l); err != nil {
		return nil, err
	}
	return l.rows, l.err
}

// rowList keeps rows of a few columns.
type rowList struct {
	columns int
	rows    [][]string
	err     error
}

func (l *rowList) Begin(c []ResultColumn) error {
	if len(c) != l.columns {
		return errors.New("the catalog answers with other columns than it was asked for")
	}
	return nil
}

func (l *rowList) Row(cells []Cell) error {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = string(c.Text)
	}
	l.rows = append(l.rows, row)
	return nil
}

func (l *rowList) End(string) error { return nil }

func (l *rowList) Fail(n ServerNotice) error {
	l.err = &n
	return nil
}
