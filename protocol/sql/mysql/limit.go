package mysql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/format"
	"github.com/sqlc-dev/marino/parser"

	"github.com/sallyport/sallyport/protocol/sql"
)

// Limiter adds LIMIT to queries. The zero value is ready and safe for concurrent use.
type Limiter struct{}

// Why a text gets no LIMIT.
var (
	errUnread  = errors.New("the query is not understood")
	errSeveral = errors.New("the text holds more than one statement")
	errInto    = errors.New("the query writes what it reads elsewhere")
	errOther   = errors.New("the statement is not a plain query")
	errMeaning = errors.New("a LIMIT would change the query in other ways")
	errWays    = errors.New("the query can be read in several ways")
)

// Limit returns text with a LIMIT of n rows after its last token. It is read again with it, in
// every way in which it can be read, and must be the same query but for that LIMIT. What changes
// rows and returns them gets no LIMIT: it returns nil and no error.
func (Limiter) Limit(text []byte, n int) (limited []byte, err error) {
	defer func() {
		if recover() != nil {
			limited, err = nil, errUnread
		}
	}()
	end := -1
	var has sql.MySQLText // what can be read in several ways
	for way := range 8 {
		if way&1 != 0 && !has.Quotes || way&2 != 0 && !has.Backslashes || way&4 != 0 && !has.Versions {
			continue
		}
		r := sql.MySQLReading{ANSIQuotes: way&1 != 0, NoBackslashes: way&2 != 0, SkipVersions: way&4 != 0}
		query, at, err := one(text, r, &has)
		switch {
		case err != nil:
			return nil, err
		case query == nil:
			return nil, nil
		case end >= 0 && at != end:
			return nil, errWays
		}
		end = at
		with := fmt.Appendf(make([]byte, 0, len(text)+24), "%s LIMIT %d%s", text[:end], n, text[end:])
		after, _, err := one(with, r, &has)
		if err != nil || after == nil {
			return nil, errMeaning
		}
		limit := limitOf(after)
		if limitOf(query) == nil || *limitOf(query) != nil {
			return nil, errors.New("the query has a LIMIT")
		}
		if *limit == nil || (*limit).Offset != nil || restored((*limit).Count) != fmt.Sprint(n) {
			return nil, errMeaning
		}
		if *limit = nil; restored(after) != restored(query) {
			return nil, errMeaning
		}
		limited = with
	}
	return limited, nil
}

// limitOf is where a query has its LIMIT.
func limitOf(n ast.StmtNode) **ast.Limit {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return &n.Limit
	case *ast.SetOprStmt:
		return &n.Limit
	}
	return nil
}

// restored is a node as the parser writes it.
func restored(n ast.Node) string {
	var b strings.Builder
	if err := n.Restore(format.NewRestoreCtx(format.DefaultRestoreFlags, &b)); err != nil {
		return ""
	}
	return b.String()
}

// one returns the one query of text, and where its last token ends; nil for one that changes rows.
func one(text []byte, r sql.MySQLReading, has *sql.MySQLText) (n ast.StmtNode, end int, err error) {
	var t sql.MySQLText
	sql.NormaliseMySQL(&t, text, r, sql.Limits{}.WithDefaults())
	has.Quotes, has.Backslashes, has.Versions = has.Quotes || t.Quotes, has.Backslashes || t.Backslashes, has.Versions || t.Versions
	switch {
	case t.Problem != "":
		return nil, 0, errors.New(t.Problem)
	case t.Statements != 1:
		return nil, 0, errSeveral
	case t.Inside:
		return nil, 0, errWays
	}
	p := parser.New()
	p.SetMariaDB(true)
	stmts, _, err := p.ParseSQL(string(t.Clean))
	if err != nil {
		if change, _ := returning(p, t.Clean); change != nil {
			return nil, 0, nil
		}
		return nil, 0, errUnread
	}
	if len(stmts) != 1 {
		return nil, 0, errSeveral
	}
	switch s := stmts[0].(type) {
	case *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt:
		return nil, 0, nil
	case *ast.SelectStmt:
		switch {
		case s.SelectIntoOpt != nil:
			return nil, 0, errInto
		case s.LockInfo != nil || len(s.MoreLockInfos) > 0:
			return nil, 0, errors.New("the query locks the rows that it reads")
		}
	case *ast.SetOprStmt:
	default:
		return nil, 0, errOther
	}
	return stmts[0], t.End, nil
}
