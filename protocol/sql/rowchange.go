package sql

import (
	"errors"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// RowChange is a statement that changes rows, taken apart so that these can be read before. All
// parts of it are as the statement has them.
type RowChange struct {
	// Effect is one of update, delete, insert, truncate and drop.
	Effect proxy.Effects
	// Tables are those that are changed; of all effects but truncating and dropping one.
	Tables []Named
	// Target is the table with its alias, as in FROM, and Ref the name that it has in the
	// statement.
	Target, Ref string
	With        string // before the statement; empty when nothing is
	Others      string // what FROM or USING add; empty when they add nothing
	Where       string // the condition; empty of every row
	// Order is what is after the condition: ORDER BY and LIMIT of MySQL's; empty when nothing is. Bounded says that there is a LIMIT.
	Order   string
	Bounded bool
	Sets    []SetColumn
	// Query is what is inserted; empty of VALUES, of which Values is the number of rows. Columns are
	// those that are filled, without quotes; nil is all, in order.
	Query   string
	Values  int
	Columns []string
	// Source is what is inserted, of VALUES, too; empty where VALUES are not a query of their own that
	// says the same each time, as where a column is given its default. SourceCasts is Casts of it.
	Source      string
	SourceCasts bool
	// Upsert says that what is inserted may take the place of a row that is there, or be left out.
	Upsert bool
	// Single says that no row of Target has several of Others.
	Single bool
	// Moving says that other rows may be meant each time that they are looked for.
	Moving bool
	// Varies says of MySQL's that values which it gives are others each time, or in another session.
	Varies bool
	// Elsewhere says that other tables have a say in which rows are changed, or in what they become.
	Elsewhere bool
	// Casts says that values of the database's own types may be made of others: by casts, or for
	// arguments of its functions.
	Casts bool
	// Cascades says that other tables may be emptied or dropped with them.
	Cascades bool
}

// Named is a relation as a text names it.
type Named struct {
	Path string // as SQL writes it, without spaces
	Only bool   // without those that inherit from it
}

// SetColumn is a column that UPDATE sets.
type SetColumn struct {
	Column string // without quotes
	Value  string // empty where it is not an expression of its own
	Moving bool   // it is another one each time
}

// RowChanges is an Analyzer that takes statements apart.
type RowChanges interface {
	proxy.Analyzer
	// RowChange takes a text apart that is read by r. It fails with a sentence that says why it cannot.
	RowChange(text []byte, r *proxy.Reading) (*RowChange, error)
}

// Why a statement cannot be taken apart.
var (
	ErrNotRows  = errors.New("it is not an INSERT, UPDATE, DELETE, TRUNCATE or DROP TABLE of a kind that is measured")
	ErrSeveral  = errors.New("the text holds several statements")
	ErrNotApart = errors.New("it cannot be taken apart with certainty")
	ErrJoined   = errors.New("it changes rows of a join of tables")
	ErrReturns  = errors.New("it returns the rows that it changes (RETURNING)")
	ErrIgnores  = errors.New("it leaves out rows that fail (IGNORE)")
)

// Select is a query of what the rows that are there hold.
func (c *RowChange) Select(list string) string {
	var b strings.Builder
	b.WriteString(c.With)
	b.WriteString(" SELECT " + list + " FROM " + c.Target + " WHERE (")
	where := c.Where
	if where == "" {
		where = "true"
	}
	if c.Others == "" {
		b.WriteString(where + ")")
	} else {
		b.WriteString("EXISTS (SELECT FROM " + c.Others + " WHERE (" + where + ")))")
	}
	return b.String()
}

// Join is a query of what the rows that are there hold together with those of Others, where each has one.
func (c *RowChange) Join(list string) string {
	return c.With + " SELECT " + list + " FROM " + c.Target + ", " + c.Others + " WHERE (" + c.Where + ")"
}
