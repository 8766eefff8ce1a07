package masking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/detect"
)

// External says that an analyzer outside of this package is asked about texts of
// some columns, in addition to what the detector finds in them. It is never asked less for
// what the detector found, and its findings never take the detector's place.
type External struct {
	// Columns are whose texts are shown to it, as in [Rule.Columns]; at least one.
	// Values that are masked whole are not shown.
	Columns []string
	// Find appends what it finds in text to dst. An error ends the result: nothing
	// that could not be looked at is passed on. It must return in bounded time; it is
	// called once per value, while the result waits.
	Find func(ctx context.Context, dst []detect.Finding, text []byte) ([]detect.Finding, error)
}

// external is a compiled [External].
type external struct {
	columns []columnRule
	find    func(context.Context, []detect.Finding, []byte) ([]detect.Finding, error)
}

func (e *External) compile() (external, error) {
	if e.Find == nil || len(e.Columns) == 0 {
		return external{}, errors.New("an external analyzer needs a function and columns")
	}
	columns, err := (&Rule{Columns: e.Columns}).columnRules(nil)
	return external{columns, e.Find}, err
}

// about reports whether the analyzer is asked about a column.
func (e *external) about(schema, relation, column string) bool {
	return slices.ContainsFunc(e.columns, func(r columnRule) bool { return r.matches(schema, relation, column) })
}

// ask adds what analyzers find in w to what was found in it.
func (f *rows) ask(c *column, w []byte) {
	n := len(f.found)
	for _, e := range c.asked {
		var err error
		if f.found, err = e.find(context.Background(), f.found, w); err != nil {
			f.found, f.failed = f.found[:n], fmt.Errorf("asking an external analyzer: %w", err)
			return
		}
	}
	for _, x := range f.found[n:] {
		if x.Start < 0 || x.End <= x.Start || x.End > len(w) {
			f.found, f.failed = f.found[:n], errors.New("an external analyzer found something outside of the text")
			return
		}
	}
	slices.SortFunc(f.found[n:], func(a, b detect.Finding) int { return cmp.Compare(a.Start, b.Start) })
	f.found = f.view.merge(f.found, n)
}
