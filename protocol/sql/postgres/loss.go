package postgres

import (
	"slices"

	"github.com/multigres/multigres/go/common/parser/ast"
)

// holdsNoData are the kinds of objects that hold no data of their own, and without
// CASCADE take along nothing that does: the server refuses to drop a type that a
// column has.
var holdsNoData = map[ast.ObjectType]bool{
	ast.OBJECT_AGGREGATE: true, ast.OBJECT_CAST: true, ast.OBJECT_COLLATION: true, ast.OBJECT_CONVERSION: true, ast.OBJECT_DOMAIN: true,
	ast.OBJECT_FOREIGN_TABLE: true, ast.OBJECT_FUNCTION: true, ast.OBJECT_INDEX: true, ast.OBJECT_OPCLASS: true, ast.OBJECT_OPERATOR: true,
	ast.OBJECT_OPFAMILY: true, ast.OBJECT_POLICY: true, ast.OBJECT_PROCEDURE: true, ast.OBJECT_ROUTINE: true, ast.OBJECT_RULE: true,
	ast.OBJECT_STATISTIC_EXT: true, ast.OBJECT_TRANSFORM: true, ast.OBJECT_TRIGGER: true, ast.OBJECT_TSCONFIGURATION: true,
	ast.OBJECT_TSDICTIONARY: true, ast.OBJECT_TSPARSER: true, ast.OBJECT_TSTEMPLATE: true, ast.OBJECT_TYPE: true, ast.OBJECT_VIEW: true,
}

// takesNothing are those of them that CASCADE takes nothing along with that holds data.
var takesNothing = map[ast.ObjectType]bool{
	ast.OBJECT_INDEX: true, ast.OBJECT_POLICY: true, ast.OBJECT_RULE: true, ast.OBJECT_STATISTIC_EXT: true, ast.OBJECT_TRIGGER: true,
}

// loses reports whether a statement that drops or truncates something loses data
// by it: rows, columns, the state of a sequence, what a schema holds.
func (v *visitor) loses(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.DropStmt:
		return v.dropLoses(n)
	case *ast.TruncateStmt:
		return n.Relations == nil || slices.ContainsFunc(n.Relations.Items, func(item ast.Node) bool {
			r, ok := item.(*ast.RangeVar)
			return !ok || !v.ownOrNone(r)
		})
	case *ast.AlterTableStmt:
		if n.Relation != nil && n.Objtype != ast.OBJECT_TYPE && v.ownOrNone(n.Relation) {
			return false
		}
		return n.Cmds == nil || slices.ContainsFunc(n.Cmds.Items, func(item ast.Node) bool {
			c, ok := item.(*ast.AlterTableCmd)
			return !ok || v.alterationLoses(n.Relation, c)
		})
	}
	return true
}

// takesNoData reports whether a DROP takes no data away, whatever is there.
func takesNoData(n *ast.DropStmt) bool {
	return holdsNoData[n.RemoveType] && (n.Behavior != ast.DropCascade || takesNothing[n.RemoveType])
}

func (v *visitor) dropLoses(n *ast.DropStmt) bool {
	if takesNoData(n) {
		return false
	}
	if n.Objects == nil {
		return true
	}
	return slices.ContainsFunc(n.Objects.Items, func(item ast.Node) bool {
		switch n.RemoveType {
		case ast.OBJECT_TABLE, ast.OBJECT_VIEW, ast.OBJECT_MATVIEW, ast.OBJECT_FOREIGN_TABLE, ast.OBJECT_SEQUENCE:
			list, ok := item.(*ast.NodeList)
			if !ok {
				return true
			}
			schema, name := qualified(list)
			return !v.ownOrNone(&ast.RangeVar{SchemaName: schema, RelName: name})
		case ast.OBJECT_SCHEMA:
			name, ok := literal(item)
			return !ok || !v.catalog.AbsentSchema(name)
		}
		return true
	})
}

// ownOrNone reports whether a name means a relation of the session's own, which
// ends with it, or none: what the catalog does not know is one of the two.
func (v *visitor) ownOrNone(r *ast.RangeVar) bool {
	return v.own(r) || v.catalog.Relation(r.SchemaName, r.RelName) == nil && v.catalog.Absent(r.SchemaName, r.RelName)
}

// own reports whether a name means a temporary relation of the session's own.
func (v *visitor) own(r *ast.RangeVar) bool {
	if rel := v.catalog.Relation(r.SchemaName, r.RelName); rel != nil {
		return rel.Own && rel.Schema == temporarySchema
	}
	return r.SchemaName == temporarySchema
}

// alterationLoses reports whether one command of ALTER TABLE or ALTER TYPE loses data.
func (v *visitor) alterationLoses(r *ast.RangeVar, c *ast.AlterTableCmd) bool {
	switch c.Subtype {
	case ast.AT_DropColumn:
		if r != nil && c.MissingOk {
			if rel := v.catalog.Relation(r.SchemaName, r.RelName); rel != nil && rel.Column(c.Name) == nil {
				return false
			}
		}
		return true
	case ast.AT_AlterColumnType:
		return v.replaces(c)
	}
	return false
}

// replaces reports whether a change of a column's type gives it values that do not
// come from the ones that it has.
func (v *visitor) replaces(c *ast.AlterTableCmd) bool {
	def, ok := c.Def.(*ast.ColumnDef)
	return ok && !isNil(def.RawDefault) && !v.comesFrom(def.RawDefault, c.Name, 0)
}

// comesFrom reports whether the column of that name has a say in what n is.
func (v *visitor) comesFrom(n ast.Node, column string, depth int) bool {
	if depth++; depth > maxDepth {
		return false
	}
	n = bare(n)
	switch n := n.(type) {
	case *ast.CaseExpr:
		return v.caseComesFrom(n, column, depth)
	case *ast.CoalesceExpr:
		if n.Args == nil {
			return false
		}
		for _, a := range n.Args.Items {
			if v.comesFrom(a, column, depth) {
				return true
			}
			if _, ok := constant(a); ok {
				return false // what comes after it is never used
			}
		}
		return false
	case *ast.A_Expr:
		c := &condition{v: v}
		if x := c.key(n.Lexpr); x != "" && x == c.key(n.Rexpr) {
			return false // whatever it is, it is the same for all
		}
		_, op := qualified(n.Name)
		if n.Kind == ast.AEXPR_OP && !isNil(n.Lexpr) {
			l, okl := constant(n.Lexpr)
			r, okr := constant(n.Rexpr)
			v.literals = v.literals || okl || okr
			if (op == "*" || op == "&") && (okl && l == "0" || okr && r == "0") {
				return false
			}
		}
	case *ast.FuncCall:
		_, name := qualified(n.Funcname)
		length := map[string]int{"left": 1, "right": 1, "repeat": 1, "substr": 2, "substring": 2}[name]
		if n.Args != nil && length > 0 && len(n.Args.Items) == length+1 {
			if text, ok := constant(n.Args.Items[length]); ok {
				v.literals = true
				if text == "0" {
					return false
				}
			}
		}
	}
	return namesColumn(n, column, depth)
}

func (v *visitor) caseComesFrom(n *ast.CaseExpr, column string, depth int) bool {
	c := &condition{v: v}
	if !isNil(n.Arg) && v.comesFrom(n.Arg, column, depth) {
		return true
	}
	if n.Args != nil {
		for _, item := range n.Args.Items {
			w, ok := item.(*ast.CaseWhen)
			if !ok {
				return false
			}
			when := fixed
			if isNil(n.Arg) {
				when = c.judge(w.Expr, false)
			}
			if when == never {
				continue
			}
			if when != always && v.comesFrom(w.Expr, column, depth) || v.comesFrom(w.Result, column, depth) {
				return true
			}
			if when == always {
				return false
			}
		}
	}
	return !isNil(n.Defresult) && v.comesFrom(n.Defresult, column, depth)
}

// namesColumn reports whether a column of that name is named below n, or a whole
// row, which has it.
func namesColumn(n ast.Node, column string, depth int) bool {
	found := false
	walk(n, depth, func(n ast.Node) {
		if ref, ok := n.(*ast.ColumnRef); ok {
			names, rest := namesOf(ref.Fields)
			found = found || len(rest) > 0 || len(names) > 0 && names[len(names)-1] == column
		}
	})
	return found
}
