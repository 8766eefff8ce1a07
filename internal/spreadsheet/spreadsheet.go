// Package spreadsheet writes CSV that is safe to open in a spreadsheet, whatever users wrote in it.
package spreadsheet

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/terminal"
)

// formula is what a cell begins with that a spreadsheet takes for a formula; the wide forms count for some in East Asian settings.
const formula = "=+-@|%＝＋－＠"

// Cell returns a text that no spreadsheet takes for a formula: one that could be gets an apostrophe before it. Control
// characters are replaced, see [terminal.Visible].
func Cell(s string) string {
	s = terminal.Visible(s)
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, unicode.IsSpace))
	if strings.ContainsRune(formula, first) {
		return "'" + s
	}
	return s
}

// Writer writes lines of CSV (RFC 4180) of [Cell], and keeps the first error.
type Writer struct {
	out  *csv.Writer
	line []string
	err  error
}

// NewWriter returns a writer to w, which has written the line of the columns' names.
func NewWriter(w io.Writer, head []string) *Writer {
	t := &Writer{out: csv.NewWriter(w)}
	t.Write(head)
	return t
}

// Write writes a line. Its error is that of End, too.
func (t *Writer) Write(cells []string) error {
	if t.err != nil {
		return t.err
	}
	t.line = t.line[:0]
	for _, c := range cells {
		t.line = append(t.line, Cell(c))
	}
	t.err = t.out.Write(t.line)
	return t.err
}

// End writes what is buffered, and returns the first error.
func (t *Writer) End() error {
	t.out.Flush()
	if t.err != nil {
		return t.err
	}
	return t.out.Error()
}
