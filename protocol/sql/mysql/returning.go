package mysql

import (
	"strings"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"

	"github.com/sallyport/sallyport/proxy"
)

// RETURNING is MariaDB's, and not in the parser's grammar: what is before it is read by
// itself, and what it returns as a query of the same table.

// splitReturning cuts a text for the parser, of one statement, at a RETURNING that is not in
// parentheses.
func splitReturning(clean []byte) (head, list string, ok bool) {
	const word = "returning"
	depth := 0
	for i := 0; i < len(clean); i++ {
		switch c := clean[i]; {
		case c == '\'' || c == '`':
			for i++; i < len(clean) && clean[i] != c; i++ {
				if clean[i] == '\\' && c == '\'' {
					i++
				}
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth == 0 && (c == 'r' || c == 'R') && i > 0 && clean[i-1] == ' ' && i+len(word) < len(clean) && strings.EqualFold(string(clean[i:i+len(word)]), word) && clean[i+len(word)] == ' ':
			return string(clean[:i]), string(clean[i+len(word):]), true
		}
	}
	return "", "", false
}

// returning returns the two parts of a change that returns rows; nil where it is not one.
func returning(p *parser.Parser, clean []byte) (change ast.StmtNode, query *ast.SelectStmt) {
	head, list, ok := splitReturning(clean)
	if !ok {
		return nil, nil
	}
	stmts, _, err := p.ParseSQL(head)
	if err != nil || len(stmts) != 1 {
		return nil, nil
	}
	var table *ast.TableName
	switch n := stmts[0].(type) {
	case *ast.InsertStmt:
		table = target(n.Table)
	case *ast.DeleteStmt:
		if !n.IsMultiTable {
			table = target(n.TableRefs)
		}
	}
	if table == nil {
		return nil, nil
	}
	change = stmts[0]
	stmts, _, err = p.ParseSQL("SELECT " + list + " FROM " + quotedName(table))
	if err != nil || len(stmts) != 1 {
		return nil, nil
	}
	query, ok = stmts[0].(*ast.SelectStmt)
	if !ok || query.Where != nil || query.Limit != nil || query.OrderBy != nil || query.GroupBy != nil || query.SelectIntoOpt != nil {
		return nil, nil
	}
	return change, query
}

func quotedName(t *ast.TableName) string {
	quote := func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
	if t.Schema.O != "" {
		return quote(t.Schema.O) + "." + quote(t.Name.O)
	}
	return quote(t.Name.O)
}

// changeReturning is what a change does that returns rows.
func changeReturning(change ast.StmtNode, query *ast.SelectStmt, names *looked) *proxy.Facts {
	f, _ := statement(change)
	names.resolve(f, change)
	rows, _ := statement(query)
	names.resolve(rows, query)
	f.Effects |= rows.Effects
	f.Functions = append(f.Functions, rows.Functions...)
	for _, r := range rows.Relations {
		for i := range f.Relations {
			if f.Relations[i].Name == r.Name && f.Relations[i].Schema == r.Schema {
				f.Relations[i].Effects |= r.Effects
			}
		}
	}
	if f.Unknown == "" {
		f.Unknown = rows.Unknown
	}
	f.Resolved = f.Resolved && rows.Resolved
	f.Rows, f.Columns, f.ColumnsKnown, f.Unsure = true, rows.Columns, rows.ColumnsKnown && rows.Columns != nil, f.Unsure || rows.Unsure
	return f
}
