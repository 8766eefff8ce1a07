package proxy

import (
	"context"
	"errors"
)

// Given says which columns a statement fills with values that its own text or its
// parameters hold, and what these values are. It is valid as long as the statement. The
// zero Given, whose Fills are nil, says nothing.
type Given struct {
	*Fills
	// Params are the values of the parameters, in order.
	Params []Arg
	// Passed says of an EXECUTE where in its own text each of Params is written; the
	// literals are then those of the statement that it runs. Nil for all else.
	Passed []Source

	analyzer FillAnalyzer
	text     []byte
	own      []byte // of the EXECUTE that runs text
	reading  *Reading
	literals [][]byte // once they are wanted
}

// NewGiven returns what text gives to columns when a reads it by r, with params.
func NewGiven(ctx context.Context, a FillAnalyzer, text []byte, r *Reading, params []Arg) Given {
	return Given{Fills: a.Fills(ctx, text, r), Params: params, analyzer: a, text: text, reading: r}
}

// Literals returns the literals of the text in its order, decoded. Numbers are as they were
// written, without their sign.
func (g *Given) Literals() [][]byte {
	if g.literals == nil && g.analyzer != nil {
		g.literals = g.analyzer.Literals(nil, g.text, g.reading)
	}
	return g.literals
}

// Fills are the columns that a statement fills. A value is immutable and shared by all
// sessions that run the same statement.
type Fills struct {
	// Unknown says why it could not be worked out; empty when it could. Where it could
	// not, any literal and any parameter may be written anywhere.
	Unknown string
	Columns []Fill
	// Called are the literals and parameters that the statement gives to functions which
	// may write them anywhere.
	Called []Source
	// Arguments are those of an EXECUTE of a statement that was prepared in SQL.
	Arguments []Source
	// Compared are the columns that literals and parameters are compared with, in
	// conditions of every kind. Nothing is written by it.
	Compared []Fill
}

// Fill is a column that a statement fills.
type Fill struct {
	Schema   string // empty when it was not resolved
	Relation string
	Column   string // "*" is columns that are not known
	// Type is the resource's number for the column's type, 0 when it is not known.
	Type uint32
	// NotNull says that the column is declared to have a value in every row.
	NotNull bool
	// Bases are the columns that hold what is written: of a view's column the base
	// columns, of a partition's those of what it is a part of.
	Bases []Origin
	// Over says that it may take the place of a value that is there, as UPDATE does;
	// otherwise the row is new.
	Over bool
	// Opaque says that any literal or parameter of the statement may be among the
	// values.
	Opaque bool
	// Equal says of Fills.Compared that the column itself is compared, and only with what
	// is the same: =, <>, IN, = ANY and IS DISTINCT FROM.
	Equal  bool
	Values []Source
}

// Source is where a value is written that fills a column.
type Source struct {
	Kind SourceKind
	N    int // which one, from 0
	// Part says that it is changed, or put together with others, before it is
	// written.
	Part bool
	// Skipped says that NULL in its place writes something else, as in coalesce.
	Skipped bool
	// Changed says that somewhere it is changed, or another type is made of it, before it
	// is written or compared.
	Changed bool
	// Elements says that it is an array of which each element is written or compared by
	// itself.
	Elements bool
}

// SourceKind says where a value is written.
type SourceKind uint8

// Kinds of sources.
const (
	SourceLiteral SourceKind = iota // of Given.Literals
	SourceParam                     // of Given.Params
	SourceNull                      // the word NULL
	SourceField                     // a field of each row of a COPY from the client
)

// Giver says what a statement gives to columns. It is asked by interceptors that
// want to know; what nobody asks costs nothing.
type Giver interface {
	// Given returns the zero Given when it cannot tell.
	Given(ctx context.Context, st *Statement) Given
}

// Given asks the statement's Giver.
func (st *Statement) Given(ctx context.Context) Given {
	if st.Giver == nil {
		return Given{}
	}
	return st.Giver.Given(ctx, st)
}

// FillAnalyzer is an Analyzer that also says which columns text fills.
type FillAnalyzer interface {
	Analyzer
	// Fills never returns nil.
	Fills(ctx context.Context, text []byte, r *Reading) *Fills
	// Literals appends the literals of text to dst, in the order by which Fills counts
	// them.
	Literals(dst [][]byte, text []byte, r *Reading) [][]byte
	// Replace appends text to dst with each literal for which with returns ok replaced by a
	// string of that value. It fails, and appends nothing, where the text has no literal of
	// that number that a string can take the place of.
	Replace(dst, text []byte, r *Reading, with func(i int) (value []byte, ok bool)) ([]byte, error)
}

// Replace returns the statement's own text with literals replaced; see
// [FillAnalyzer.Replace]. Those of an EXECUTE are its own, not of the statement that it runs.
func (g *Given) Replace(with func(i int) (value []byte, ok bool)) ([]byte, error) {
	if g.analyzer == nil {
		return nil, errNotAnalysed
	}
	text := g.text
	if g.own != nil {
		text = g.own
	}
	return g.analyzer.Replace(nil, text, g.reading, with)
}

// RunBy returns g, what a prepared statement gives, as an EXECUTE with its arguments
// gives it.
func (g Given) RunBy(execute *Given) Given {
	g.own, g.Passed, g.Params = execute.text, execute.Arguments, nil
	literals := execute.Literals()
	for _, a := range execute.Arguments {
		arg := Arg{}
		if a.Kind == SourceLiteral && a.N < len(literals) {
			arg.Value = literals[a.N]
		}
		g.Params = append(g.Params, arg)
	}
	return g
}

var errNotAnalysed = errors.New("the text was not analysed")

// BindAnalyzer is an Analyzer that also says what text does with the values of its
// parameters; see [Facts.Unbound].
type BindAnalyzer interface {
	Analyzer
	// Bound never returns nil. A value that cannot be told may be any.
	Bound(ctx context.Context, text []byte, r *Reading, args []Arg) *Facts
}
