package postgres

import (
	"errors"
	"fmt"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
)

// Limiter adds LIMIT to queries. The zero value is ready and safe for concurrent
// use.
type Limiter struct{}

// Why a text gets no LIMIT.
var (
	errUnread  = errors.New("the query is not understood")
	errSeveral = errors.New("the text holds more than one statement")
	errInto    = errors.New("the query creates a table")
	errOther   = errors.New("the statement is not a plain query")
	errMeaning = errors.New("a LIMIT would change the query in other ways")
)

// Limit returns text with a LIMIT of n rows after its last token. It is read
// again with it, and must be the same query but for that LIMIT. What changes rows
// and returns them gets no LIMIT: it returns nil and no error.
func (Limiter) Limit(text []byte, n int) (limited []byte, err error) {
	defer func() {
		if recover() != nil {
			limited, err = nil, errUnread
		}
	}()
	norm := &sql.Normalised{}
	sql.NormalisePostgres(norm, text, sql.Limits{}.WithDefaults())
	if norm.Problem != "" {
		return nil, errors.New(norm.Problem)
	}
	before, err := one(text)
	if err != nil {
		return nil, err
	}
	switch s := before.(type) {
	case *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt, *ast.MergeStmt:
		return nil, nil
	case *ast.SelectStmt:
		switch {
		case s.IntoClause != nil:
			return nil, errInto
		case s.LockingClause != nil && len(s.LockingClause.Items) > 0:
			return nil, errors.New("the query locks the rows that it reads")
		case !isNil(s.LimitCount):
			return nil, errors.New("LIMIT is not a constant")
		}
	default:
		return nil, errOther
	}
	end, ok := sql.PostgresEnd(text, sql.Limits{})
	if !ok {
		return nil, errUnread
	}
	limited = fmt.Appendf(make([]byte, 0, len(text)+24), "%s LIMIT %d%s", text[:end], n, text[end:])
	after, err := one(limited)
	if err != nil {
		return nil, errMeaning
	}
	s, ok := after.(*ast.SelectStmt)
	if !ok || isNil(s.LimitCount) || s.LimitCount.SqlString() != fmt.Sprint(n) {
		return nil, errMeaning
	}
	option := before.(*ast.SelectStmt).LimitOption
	s.LimitCount, s.LimitOption = nil, option
	if s.SqlString() != before.SqlString() {
		return nil, errMeaning
	}
	return limited, nil
}

// one returns the one statement of text.
func one(text []byte) (ast.Stmt, error) {
	stmts, err := parser.ParseSQL(string(text))
	if err != nil {
		return nil, errUnread
	}
	if stmts = withoutEmpty(stmts); len(stmts) != 1 {
		return nil, errSeveral
	}
	return stmts[0], nil
}
