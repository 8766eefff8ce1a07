package proxy

import "context"

// Given says which columns a statement fills with values that its own text or its
// parameters hold, and what these values are. It is valid as long as the statement. The
// zero Given, whose Fills are nil, says nothing.
type Given struct {
	*Fills
	// Params are the values of the parameters, in order.
	Params []Arg

	analyzer FillAnalyzer
	text     []byte
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
}
