package postgres

import (
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// set notes SET and RESET.
func (v *visitor) set(n *ast.VariableSetStmt) {
	v.literals = true
	name := strings.ToLower(n.Name)
	if n.Kind == ast.VAR_SET_MULTI {
		v.add(proxy.EffectTransaction)
		v.transactionModes(n.Args, name == "transaction")
		return
	}
	s := proxy.Setting{Name: name, Local: n.IsLocal}
	switch n.Kind {
	case ast.VAR_RESET_ALL:
		s.Name, s.Reset = "all", true
	case ast.VAR_RESET, ast.VAR_SET_DEFAULT:
		s.Reset = true
	}
	if n.Kind == ast.VAR_SET_VALUE && n.Args != nil {
		var parts []string
		for _, a := range n.Args.Items {
			if text, ok := constant(a); ok {
				if name == "search_path" && !sql.PlainPath(text) || strings.Contains(text, ",") {
					text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"` // one name
				}
				parts = append(parts, text)
			}
		}
		if len(parts) == len(n.Args.Items) {
			s.Value = strings.Join(parts, ", ")
		}
	}
	if !v.setting(s) {
		v.add(proxy.EffectSet)
	}
}

// setting notes one that is set, and reports whether it takes a role: giving the
// session's own back takes no right. Of those that rules let be set to on, the value
// has one spelling.
func (v *visitor) setting(s proxy.Setting) (role bool) {
	if s.Name == "role" && s.Value == "none" {
		s.Reset = true // the server takes the name in lower case only
	}
	if role = !s.Reset && (s.Name == "role" || s.Name == "session_authorization"); role {
		v.add(proxy.EffectRole)
	}
	if s.Name == "transaction_read_only" || s.Name == "default_transaction_read_only" {
		switch strings.ToLower(s.Value) {
		case "on", "true", "yes", "t", "y", "1":
			s.Value = "on"
		}
	}
	v.facts.Settings = append(v.facts.Settings, s)
	return role
}

// transactionModes notes READ WRITE, READ ONLY and the like; local ones are for
// one transaction.
func (v *visitor) transactionModes(list *ast.NodeList, local bool) {
	if list == nil {
		return
	}
	for _, item := range list.Items {
		d, ok := item.(*ast.DefElem)
		if !ok {
			continue
		}
		s := proxy.Setting{Name: strings.ToLower(d.Defname), Local: local}
		if !local {
			s.Name = "default_" + s.Name
		}
		if !isNil(d.Arg) {
			s.Value, _ = constant(d.Arg)
		}
		v.literals = true
		v.add(proxy.EffectSet)
		v.setting(s)
	}
}

// pg_dump takes the name of its setting from pg_settings, as not every server has
// it. Whatever it were taken from: no search_path can hold this value, it is not a
// boolean, and nobody but an administrator makes a role of that name.
const (
	dumpSetting = "restrict_nonsystem_relation_kind"
	dumpValue   = "view, foreign-table"
)

// setConfig notes set_config(name, value, local). A name that is not certain can be any.
func (v *visitor) setConfig(n *ast.FuncCall) {
	v.literals = true
	var s proxy.Setting
	known := false
	if n.Args != nil && len(n.Args.Items) == 3 {
		name, value, local := v.argument(n.Args.Items[0]), v.argument(n.Args.Items[1]), v.argument(n.Args.Items[2])
		if name.hangs || value.hangs || local.hangs {
			if v.hangs = true; v.unbound {
				return
			}
		}
		s.Name, known, s.Value = strings.ToLower(name.text), name.known, value.text
		if value.known && !known && s.Value == dumpValue {
			s.Name, known = dumpSetting, true
		}
		if !value.known && (!known || s.Name == "search_path") {
			v.unknown("set_config with a computed value, which can change what names mean")
		}
	}
	if !known {
		v.add(proxy.EffectRole)
	}
	v.setting(s)
}

// argument is an argument of set_config.
type argument struct {
	text  string
	known bool
	hangs bool // it is the value of a parameter, and not known
}

func (v *visitor) argument(n ast.Node) (a argument) {
	truth := false // it is cast to bool
	for {
		switch t := n.(type) {
		case *ast.ParenExpr:
			n = t.Expr
			continue
		case *ast.TypeCast:
			if !keepsSetting(t.TypeName) {
				return argument{}
			}
			_, name := qualified(t.TypeName.Names)
			n, truth = t.Arg, truth || name == "bool"
			continue
		case *ast.ParamRef:
			a.text, a.known = v.params.text(t.Number)
			a.hangs = !a.known
		default:
			a.text, a.known = constant(n)
		}
		if truth && a.known {
			a.text, a.known = asBool(a.text)
		}
		return a
	}
}

// asBool is a truth value as the server writes it; known is false of spellings that nobody
// needs.
func asBool(text string) (truth string, known bool) {
	switch text {
	case "true", "t":
		return "true", true
	case "false", "f":
		return "false", true
	}
	return "", false
}

// keepsSetting reports whether a setting that is cast to a type stays what it is as text: others
// cut it off, or write it in their own way.
func keepsSetting(t *ast.TypeName) bool {
	if t == nil || t.Setof || t.PctType || t.Typmods != nil && len(t.Typmods.Items) > 0 || t.ArrayBounds != nil && len(t.ArrayBounds.Items) > 0 {
		return false
	}
	schema, name := qualified(t.Names)
	return (schema == "" || schema == serverPath) && (name == "text" || name == "varchar" || name == "bool")
}
