// Package impact is what protocols have in common that measure held statements, and undo them: bounds, and the sentences by which
// approvers and users are told.
package impact

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of what is measured.
const (
	MaxTables   = 10       // that one statement names
	MaxDigested = 10_000   // rows
	MaxSampled  = 64 << 10 // bytes of a row that is shown
	MaxSamples  = 5
	MaxShown    = 20  // columns
	maxValue    = 100 // bytes of one that is shown
	maxNamed    = 5   // tables that change with it
)

// Changes are the effects of what is measured.
const Changes = proxy.EffectsWrite | proxy.EffectDrop | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute | proxy.EffectUnknown

// NotCompared begins the sentence that says why nothing is compared.
const NotCompared = "nothing is compared when it runs: "

// Why it is not known which rows a statement would change. They are shown to approvers.
var (
	ErrNames   = errors.New("it is not certain what the names in it mean")
	ErrActs    = errors.New("finding the rows may do more than read")
	ErrAnswer  = errors.New("the server's answer is not understood")
	ErrNoTable = errors.New("there is no such table")
)

// Timeout is how long measuring may take: at most a third of what a decision may.
func Timeout(s *proxy.Session) time.Duration {
	const most = 9 * time.Second
	if t := s.Gateway().AskTimeout; t > 0 {
		return min(most, t/3)
	}
	return most
}

// New is the Impact of a statement before it is measured.
func New(st *proxy.Statement) *proxy.Impact {
	return &proxy.Impact{Rows: -1, Effect: (st.Facts.Effects & Changes).String()}
}

// Fail notes in i that st is not measured, and why.
func Fail(i *proxy.Impact, st *proxy.Statement, why error) {
	Unsay(i, "what it would change is not measured: "+why.Error())
	i.Holds, i.Digest = proxy.HoldsNothing, ""
	const unknown = "what it would change is not measured"
	if h := st.Held(); h != nil && h.Try && i.Trial == nil {
		i.Trial = &proxy.Trial{Rows: -1, Why: unknown}
	}
	if d := UndoTime(st); d > 0 {
		i.Undo = &proxy.Undoable{For: d, Why: unknown}
	}
}

// Whole notes in i that st empties or drops tables: such statements are neither tried nor undone.
func Whole(i *proxy.Impact, st *proxy.Statement) {
	if h := st.Held(); h != nil && h.Try {
		i.Trial = &proxy.Trial{Rows: -1, Why: "only INSERT, UPDATE and DELETE are tried"}
	}
	if d := UndoTime(st); d > 0 {
		i.Undo = &proxy.Undoable{For: d, Why: "only INSERT, UPDATE and DELETE can be undone"}
	}
}

// Unsay notes in i a sentence about what cannot be said.
func Unsay(i *proxy.Impact, what string) { i.Unsaid = append(i.Unsaid, what) }

// UndoTime is for how long what undoes a statement is to be kept; 0: it is not.
func UndoTime(st *proxy.Statement) time.Duration {
	if h := st.Held(); h != nil {
		return h.Undo
	}
	return 0
}

// Passed says which tables an UPDATE or DELETE passes a change on to; empty of none.
func Passed(effect proxy.Effects, others []string) string {
	if len(others) == 0 {
		return ""
	}
	what := "rows that refer to them go or change with them, and are not counted, in "
	if effect == proxy.EffectUpdate {
		what = "where a key changes, rows that refer to it change with it, and are not counted, in "
	}
	if len(others) > maxNamed {
		others = append(slices.Clip(others[:maxNamed]), fmt.Sprintf("%d more", len(others)-maxNamed))
	}
	return what + strings.Join(others, ", ")
}

// Shown is a value as it is read.
func Shown(v []byte) string {
	if v == nil {
		return "NULL"
	}
	if len(v) > maxValue {
		cut := maxValue
		for cut > 0 && !utf8.RuneStart(v[cut]) {
			cut--
		}
		return strconv.Quote(string(v[:cut])) + "…"
	}
	return strconv.Quote(string(v))
}

// Became are the samples before with the values that after has. A column that has not changed, and that the statement does not set, has
// none.
func Became(before, after []proxy.Sample) []proxy.Sample {
	for n := range after {
		for c, v := range after[n].After {
			if c < len(before[n].Before) && v == before[n].Before[c] && before[n].After[c] == "" {
				v = ""
			}
			after[n].After[c] = v
		}
		after[n].Before = before[n].Before
	}
	return after
}

// Filled are the facts of a query that reads columns of a table which a statement of these writes has filled: what they hold derives
// from that, too, and is hidden like it.
func Filled(f *proxy.Facts, writes []proxy.Write) *proxy.Facts {
	out := *f
	out.Columns = slices.Clone(f.Columns)
	for i := range out.Columns {
		c := &out.Columns[i]
		for n := range writes {
			w := &writes[n].Column
			if w.Name == "*" || strings.EqualFold(w.Name, c.Name) {
				c.Origins = append(slices.Clip(c.Origins), w.Origins...)
				c.Opaque, c.Unsure = c.Opaque || w.Opaque, c.Unsure || w.Unsure
			}
		}
	}
	return &out
}

// Compare notes in i what is compared when its statement runs. That is holds. Where why says that it cannot be, it is the number of
// rows, if counted, and nothing otherwise.
func Compare(i *proxy.Impact, holds proxy.Held, tables, why string, counted bool) {
	switch {
	case why == "" && holds == proxy.HoldsRows:
		i.Holds = holds
	case why == "":
		i.Holds, i.Tables = holds, tables
	case counted:
		i.Holds, i.Tables = proxy.HoldsCount, tables
		Unsay(i, "which rows they are is not compared when it runs, but how many: "+why)
	default:
		Unsay(i, NotCompared+why)
	}
}

// DiffersError says that something else would happen than was approved.
type DiffersError struct{ Reason string }

func (e *DiffersError) Error() string { return e.Reason }

// Differs says that a statement would change, or has changed, other rows than those that were approved as i.
func Differs(i *proxy.Impact, rows uint64) error {
	if rows == uint64(i.Rows) {
		return &DiffersError{fmt.Sprintf("the rows differ from those that were approved: there are %d, as there were, but not the same ones, or they hold something else", rows)}
	}
	return &DiffersError{fmt.Sprintf("the rows differ from those that were approved: %s, %d were approved", atMost(rows), i.Rows)}
}

// Another says that a statement is about other tables than those that were approved as i, such as of their names.
func Another(i *proxy.Impact, names string) error {
	return &DiffersError{fmt.Sprintf("the table differs from the one that was approved: this is about %s as it is now, and %s was approved as it was then", names, i.Table)}
}

// NotComparable says why what was approved cannot be compared with what a statement would change.
func NotComparable(why error) error {
	return &DiffersError{"what was approved cannot be compared with what this would change: " + why.Error()}
}

func atMost(rows uint64) string {
	if rows > MaxDigested {
		return fmt.Sprintf("more than %d rows", MaxDigested)
	}
	if rows == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", rows)
}

// Remedy is what users are told to do about a statement that was approved and did not run.
const Remedy = "Nothing was changed. Send it again to have it looked at again."
