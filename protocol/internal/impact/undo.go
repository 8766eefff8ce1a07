package impact

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of what can be undone. What undoes it is a statement that people approve, who have to read it.
const (
	MaxUndoRows = 1000
	MaxUndoText = 56 << 10 // bytes of the statement; see review's own bound on what is held
	maxDiffer   = 20       // rows of which the user is told
)

// ErrUndoLong says that rows hold too much to be undone.
var ErrUndoLong = fmt.Errorf("the rows hold more than can be undone (%d KiB)", MaxUndoText>>10)

// Undoes reports whether i has all that its statement needs.
func Undoes(i *proxy.Image) bool {
	if i == nil || len(i.Rows) == 0 || i.Keys < 1 || i.Keys > len(i.Columns) || !slices.Contains([]string{"insert", "update", "delete"}, i.Effect) ||
		i.Effect == "update" && i.Keys == len(i.Columns) {
		return false
	}
	return !slices.ContainsFunc(i.Rows, func(r proxy.ImageRow) bool { return len(r.Values) != len(i.Columns) })
}

// Only is the refusal of everything but text in a session that undoes something; nil: op is that, or s works as any.
func Only(s *proxy.Session, op proxy.Op, text func(*proxy.Image) string) *proxy.Verdict {
	undo := s.Undo()
	if undo == nil {
		return nil
	}
	if st, ok := op.(*proxy.Statement); ok && st.Kind == proxy.KindStatement && string(st.Text) == text(undo.Image) {
		return nil
	}
	v := proxy.Deny(proxy.CausePolicy, "", "this session undoes something, and runs nothing else", "")
	return &v
}

// CanUndo says of rows that are measured as i whether what undoes them can be kept for as long as rules ask for. compared is what has to be compared for
// that, and image reads it.
func CanUndo(i *proxy.Impact, st *proxy.Statement, compared proxy.Held, image func() error) {
	u := &proxy.Undoable{For: UndoTime(st)}
	i.Undo = u
	if i.Holds != compared {
		u.Why = "which rows it changes is not compared when it runs"
		if compared == proxy.HoldsCount {
			u.Why = "how many rows come is not compared when it runs"
		}
		return
	}
	if err := image(); err != nil {
		u.Why = err.Error()
	}
}

// Undoable says why so many rows cannot be undone; nil when they can.
func Undoable(rows int64) error {
	switch {
	case rows == 0:
		return errors.New("it changes no rows")
	case rows > MaxUndoRows:
		return fmt.Errorf("there are %d rows, and at most %d can be undone", rows, MaxUndoRows)
	}
	return nil
}

// Kept notes in i what its statement has left: of each row a digest, empty of one that is gone.
func Kept(i *proxy.Image, left []string) error {
	for n := range left {
		if there := left[n] != ""; there == (i.Effect == "delete") {
			return errors.New("the statement left other rows than were expected")
		}
		i.Rows[n].Left = left[n]
	}
	return nil
}

// Unkept says that a statement was taken back because nobody has kept what undoes it.
func Unkept(why error) error {
	return &DiffersError{"this was approved as what can be undone, and what undoes it could not be kept: " + why.Error()}
}

// Irretrievable says that a statement does not run because it cannot be undone any more.
func Irretrievable(why error) error {
	return &DiffersError{"this was approved as what can be undone, and it cannot be any more: " + why.Error()}
}

// Left compares what is left of the rows that u undoes with what its statement left. The user is told by u which differ, by their
// keys as keys shows them.
func Left(u *proxy.Undo, left []string, keys func([]proxy.ImageRow) ([]string, [][]string)) error {
	i := u.Image
	var differ []proxy.ImageRow
	for n := range left {
		if left[n] != i.Rows[n].Left {
			differ = append(differ, i.Rows[n])
		}
	}
	if len(differ) == 0 {
		return nil
	}
	if u.Differ != nil {
		columns, keys := keys(differ)
		u.Differ(len(differ), columns, keys)
	}
	return &DiffersError{fmt.Sprintf("nothing is undone: %d of %d rows are not what the statement left", len(differ), len(i.Rows))}
}

// Keys are the keys of rows of i as they are shown to somebody without exceptions, in a session that reads them by text; nil where
// they cannot be shown.
func Keys(s *proxy.Session, i *proxy.Image, rows []proxy.ImageRow, text string, facts *proxy.Facts) (columns []string, keys [][]string) {
	shape := &proxy.Shape{Kind: proxy.ShapeRows, Columns: make([]proxy.ShapeColumn, i.Keys)}
	named := func(name string) string {
		if facts.Folded {
			return strings.ToLower(name)
		}
		return name
	}
	for c := range i.Keys {
		name := i.Columns[c].Name
		columns = append(columns, name)
		shape.Columns[c] = proxy.ShapeColumn{Name: name, Schema: named(i.Schema), Relation: named(i.Table), Column: named(name)}
	}
	st := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Facts: facts}
	flow, err := s.Show(st, shape)
	if err != nil {
		return nil, nil
	}
	for _, row := range rows[:min(len(rows), maxDiffer)] {
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
			key[c] = Shown(v)
		}
		keys = append(keys, key)
	}
	return columns, keys
}
