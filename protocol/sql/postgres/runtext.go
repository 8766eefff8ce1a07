package postgres

import (
	"slices"
	"strings"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// extensions are the functions of well-known extensions that reach out of the
// database or administer the server. They may lie in any schema.
var extensions = func() map[string]proxy.FunctionClass {
	m := make(map[string]proxy.FunctionClass)
	for class, names := range map[proxy.FunctionClass]string{
		proxy.FunctionOutside: `dblink dblink_connect dblink_connect_u dblink_exec dblink_open dblink_fetch dblink_send_query dblink_get_result
			pg_file_write pg_file_read pg_file_rename pg_file_unlink pg_file_sync pg_file_length pg_logdir_ls pg_background_launch
			http_get http_post http_put http_patch http_delete http_head table_import_from_s3 query_export_to_s3`,
		proxy.FunctionAdmin: `heap_force_kill heap_force_freeze pg_truncate_visibility_map`,
	} {
		for name := range strings.FieldsSeq(names) {
			m[name] = class
		}
	}
	return m
}()

// runner says which of a function's arguments the server runs as SQL.
type runner struct {
	server bool     // it is one of the server's own, in pg_catalog
	schema string   // the only one in which it is that function, where its name is a common word
	names  []string // of the parameters, in order, as far as they matter
	// texts are what is run, made of the parameters' values as far as they are literals.
	// ok is false when one that is needed is not.
	texts func(a arguments) (texts []string, ok bool)
}

// arguments are a call's, by position; nil where there is none.
type arguments struct{ list []ast.Node }

// text returns an argument that is a literal, of a type that leaves it as it is.
func (a arguments) text(i int) (string, bool) {
	if i >= len(a.list) {
		return "", false
	}
	return plainText(a.list[i])
}

func plainText(n ast.Node) (string, bool) {
	switch t := n.(type) {
	case *ast.ParenExpr:
		return plainText(t.Expr)
	case *ast.A_Const:
		if s, ok := t.Val.(*ast.String); ok && !t.Isnull {
			return s.SVal, true
		}
	case *ast.TypeCast:
		if t.TypeName == nil || t.TypeName.Typmods != nil || t.TypeName.ArrayBounds != nil {
			return "", false // it may be cut short
		}
		if _, name := qualified(t.TypeName.Names); name == "text" || name == "varchar" {
			return plainText(t.Arg)
		}
	}
	return "", false
}

// at runs the argument at i.
func at(i int) func(arguments) ([]string, bool) {
	return func(a arguments) ([]string, bool) {
		text, ok := a.text(i)
		return []string{text}, ok
	}
}

// last runs the last of the arguments that is not a flag, at the latest the one
// at i.
func last(i int) func(arguments) ([]string, bool) {
	return func(a arguments) ([]string, bool) {
		k := min(i, len(a.list)-1)
		for ; k > 0; k-- {
			if _, flag := boolean(bare(a.list[k])); !flag && a.list[k] != nil {
				break
			}
		}
		return at(k)(a)
	}
}

// joined runs what template makes of the arguments at 0, 1 and so on, in the
// places of $0, $1.
func joined(template string, n int) func(arguments) ([]string, bool) {
	return func(a arguments) ([]string, bool) {
		var pairs []string
		for i := range n {
			text, ok := a.text(i)
			if !ok {
				return nil, false
			}
			pairs = append(pairs, "$"+string(rune('0'+i)), text)
		}
		return []string{strings.NewReplacer(pairs...).Replace(template)}, true
	}
}

// crosstab runs its first argument, and a second one that is a text.
func crosstab(a arguments) ([]string, bool) {
	texts, ok := at(0)(a)
	if len(a.list) > 1 && ok {
		if _, number := bare(a.list[1]).(*ast.A_Const); !number {
			return nil, false
		}
		if text, is := a.text(1); is {
			texts = append(texts, text)
		}
	}
	return texts, ok
}

var runners = map[string]runner{
	"query_to_xml":                  {server: true, names: []string{"query"}, texts: at(0)},
	"query_to_xmlschema":            {server: true, names: []string{"query"}, texts: at(0)},
	"query_to_xml_and_xmlschema":    {server: true, names: []string{"query"}, texts: at(0)},
	"ts_stat":                       {server: true, names: []string{"query"}, texts: at(0)},
	"ts_rewrite":                    {server: true, texts: at(1)},
	"dblink":                        {texts: last(1)},
	"dblink_exec":                   {texts: last(1)},
	"dblink_send_query":             {texts: at(1)},
	"dblink_open":                   {texts: last(2)},
	"crosstab":                      {texts: crosstab},
	"crosstab2":                     {texts: at(0)},
	"crosstab3":                     {texts: at(0)},
	"crosstab4":                     {texts: at(0)},
	"crosstabn":                     {texts: at(0)},
	"connectby":                     {texts: joined("SELECT $1, $2 FROM $0", 3)},
	"xpath_table":                   {texts: joined("SELECT $0, $1 FROM $2 WHERE $4", 5)},
	"pg_background_launch":          {names: []string{"sql"}, texts: at(0)},
	"schedule":                      {schema: "cron", names: []string{"job_name", "schedule", "command"}, texts: last(2)},
	"schedule_in_database":          {schema: "cron", names: []string{"job_name", "schedule", "command"}, texts: at(2)},
	"alter_job":                     {schema: "cron", names: []string{"job_id", "schedule", "command"}, texts: at(2)},
	"run_command_on_workers":        {names: []string{"command"}, texts: at(0)},
	"run_command_on_all_nodes":      {names: []string{"command"}, texts: at(0)},
	"run_command_on_coordinator":    {names: []string{"command"}, texts: at(0)},
	"run_command_on_shards":         {names: []string{"table_name", "command"}, texts: at(1)},
	"run_command_on_placements":     {names: []string{"table_name", "command"}, texts: at(1)},
	"distributed_exec":              {names: []string{"query"}, texts: at(0)},
	"query_export_to_s3":            {names: []string{"query"}, texts: at(0)},
	"replicate_ddl_command":         {names: []string{"command"}, texts: at(0)},
	"table_to_xml":                  {server: true, names: []string{"tbl"}, texts: joined("TABLE $0", 1)},
	"table_to_xml_and_xmlschema":    {server: true, names: []string{"tbl"}, texts: joined("TABLE $0", 1)},
	"schema_to_xml":                 {server: true, texts: notTold},
	"schema_to_xml_and_xmlschema":   {server: true, texts: notTold},
	"database_to_xml":               {server: true, texts: notTold},
	"database_to_xml_and_xmlschema": {server: true, texts: notTold},
}

// notTold is for functions of which no argument names the relations that they
// read.
func notTold(arguments) ([]string, bool) { return nil, false }

// runs takes in what a function does that is given SQL as text.
func (v *visitor) runs(n *ast.FuncCall, schema, name string) {
	r, ok := runners[name]
	switch {
	case !ok, r.server && schema != "" && schema != "pg_catalog", r.schema != "" && schema != r.schema && schema != "":
		return
	case !r.server && v.declaredHere(schema, name):
		return // somebody's own, of the same name
	case r.schema != "" && schema == "" && !v.has(r.schema, name):
		return
	case name == "ts_rewrite" && (n.Args == nil || len(n.Args.Items) != 2):
		return
	}
	v.literals = true
	texts, ok := r.texts(r.arguments(n))
	if !ok {
		v.unknown(name + " runs a text that is not a plain literal")
		return
	}
	for _, text := range texts {
		v.run(text, name, v.catalog)
	}
}

// arguments puts named ones in their places.
func (r *runner) arguments(n *ast.FuncCall) (a arguments) {
	if n.Args == nil {
		return a
	}
	for i, item := range n.Args.Items {
		if named, ok := item.(*ast.NamedArgExpr); ok {
			i, item = slices.Index(r.names, named.Name), named.Arg
			if i < 0 {
				continue
			}
		}
		for len(a.list) <= i {
			a.list = append(a.list, nil)
		}
		a.list[i] = item
	}
	return a
}

// has reports whether the catalog knows a function of that name.
func (v *visitor) has(schema, name string) bool {
	own, _ := v.catalog.Functions(schema, name)
	return len(own) > 0
}

// declaredHere reports whether the catalog knows functions of that name, none of them
// in C, as those of extensions are.
func (v *visitor) declaredHere(schema, name string) bool {
	own, _ := v.catalog.Functions(schema, name)
	return len(own) > 0 && !slices.ContainsFunc(own, func(f *sql.Function) bool { return f.Language == "c" })
}

// maxTexts bounds how many texts run within one another.
const maxTexts = 8

// run takes in what a text does that the server runs, because of who. The catalog is empty
// where names may mean something else by then.
func (v *visitor) run(text, who string, catalog sql.Scope) {
	stmts, why := statementsOf(text, v.texts)
	if why != "" {
		v.unknown(who + " runs a text that is not understood: " + why)
		return
	}
	for _, s := range stmts {
		w := newVisitor(catalog)
		w.pending, w.variables, w.texts = v.pending, v.variables, v.texts+1
		f := w.statement(s)
		f.Renames = w.changed(s)
		v.absorb(f)
		v.add(f.Effects)
		v.doubt = v.doubt || w.doubt
		catalog = catalog.After(sql.Renames(f))
	}
}

// statementsOf parses a text that is run within others, and says why it cannot be.
func statementsOf(text string, within int) (stmts []ast.Stmt, why string) {
	if within >= maxTexts {
		return nil, "texts are run within one another more deeply than the limit"
	}
	n := &sql.Normalised{}
	sql.NormalisePostgres(n, []byte(text), sql.Limits{}.WithDefaults())
	switch {
	case n.Problem != "":
		return nil, n.Problem
	case n.Backslashes:
		return nil, sql.Ambiguous
	}
	stmts, err := parser.ParseSQL(text)
	if err != nil {
		return nil, "it does not parse"
	}
	if stmts = withoutEmpty(stmts); len(stmts) != n.Statements {
		return nil, "its statements cannot be told apart"
	}
	return stmts, ""
}
