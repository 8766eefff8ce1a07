// Package spreadsheet writes CSV that is safe to open in a spreadsheet, whatever users wrote in it.
package spreadsheet

import (
	"encoding/csv"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/terminal"
)

// formula is what a cell begins with that a spreadsheet takes for a formula; the wide forms count for some in East Asian settings.
const formula = "=+-@|%＝＋－＠"

// number is a number as databases write them, which may begin as a formula does and is not one.
var number = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// Cell returns a text that no spreadsheet takes for a formula: one that could be gets an apostrophe before it. Control
// characters are replaced, see [terminal.Visible].
func Cell(s string) string {
	s = terminal.Visible(s)
	if isFormula(s) {
		return "'" + s
	}
	return s
}

// Value returns a value of a table of data, with all its characters: what a spreadsheet could take for a formula gets an
// apostrophe before it, and numbers stay as they are.
func Value(s string) string {
	if isFormula(s) && !number.MatchString(s) || strings.IndexAny(s, "\t\r\n") == 0 {
		return "'" + s
	}
	return s
}

// isFormula reports whether a text begins as a formula, after what a spreadsheet may pass over.
func isFormula(s string) bool {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}))
	return strings.ContainsRune(formula, first)
}

// Writer writes lines of CSV (RFC 4180), and keeps the first error.
type Writer struct {
	out  *csv.Writer
	cell func(string) string
	line []string
	err  error
}

// NewWriter returns a writer to w of lines of [Cell], which has written the line of the columns' names.
func NewWriter(w io.Writer, head []string) *Writer {
	t := &Writer{out: csv.NewWriter(w), cell: Cell}
	t.Write(head)
	return t
}

// NewValueWriter returns a writer to w of lines of [Value].
func NewValueWriter(w io.Writer) *Writer { return &Writer{out: csv.NewWriter(w), cell: Value} }

// Write writes a line. Its error is that of End, too.
func (t *Writer) Write(cells []string) error {
	if t.err != nil {
		return t.err
	}
	t.line = t.line[:0]
	for _, c := range cells {
		t.line = append(t.line, t.cell(c))
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
