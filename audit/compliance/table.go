package compliance

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/spreadsheet"
)

// Table is evidence of one kind or several, as rows.
type Table struct {
	Name         string // of its files: lower case, with dashes
	Title, About string
	Shows        []Kind
	Columns      []string
}

// files are the names of a table's files in a pack.
func (t *Table) files() (csv, json string) {
	return "csv/" + t.Name + ".csv", "json/" + t.Name + ".json"
}

// sheet is a table that is being written, as CSV and as JSON: an array of objects, one in a line.
type sheet struct {
	Table
	rows      int64
	csv, json *spooled
	lines     *spreadsheet.Writer
	keys      [][]byte
	buf       []byte
}

func newSheet(s *spool, t Table) (*sheet, error) {
	x := &sheet{Table: t}
	csv, js := t.files()
	var err error
	if x.csv, err = s.create(csv); err != nil {
		return nil, err
	}
	if x.json, err = s.create(js); err != nil {
		return nil, err
	}
	x.lines = spreadsheet.NewWriter(x.csv, t.Columns)
	for _, c := range t.Columns {
		key, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		x.keys = append(x.keys, append(key, ':'))
	}
	_, err = io.WriteString(x.json, "[")
	return x, err
}

// add adds a row, with a cell for each column.
func (x *sheet) add(cells ...string) error {
	if len(cells) != len(x.Columns) {
		return fmt.Errorf("table %s: got %d cells, want %d", x.Name, len(cells), len(x.Columns))
	}
	if err := x.lines.Write(cells); err != nil {
		return err
	}
	b := append(x.buf[:0], "\n{"...)
	if x.rows > 0 {
		b = append(x.buf[:0], ",\n{"...)
	}
	for i, c := range cells {
		text, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, x.keys[i]...), text...)
	}
	x.buf = append(b, '}')
	x.rows++
	_, err := x.json.Write(x.buf)
	return err
}

func (x *sheet) end() error {
	if err := x.lines.End(); err != nil {
		return err
	}
	if _, err := io.WriteString(x.json, "\n]\n"); err != nil {
		return err
	}
	if err := x.csv.end(); err != nil {
		return err
	}
	return x.json.end()
}
