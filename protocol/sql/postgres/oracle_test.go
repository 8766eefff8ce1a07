package postgres

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"
	oracle "github.com/sqlc-dev/oliphant"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// told is what a parser says of a text, as far as two of them can be compared.
type told struct {
	relations map[string]bool // schema.name of all that is named
	hidden    map[string]bool // names of queries in WITH, which may hide relations
	dropped   map[string]bool // by DROP, which may be relations
	functions map[string]bool
	effects   proxy.Effects
}

// compared are the effects that a kind of statement has wherever it is.
const compared = proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete | proxy.EffectTruncate | proxy.EffectDo | proxy.EffectExecute |
	proxy.EffectPrepare | proxy.EffectCopyOut | proxy.EffectCopyProgram

// secondOpinion is what another implementation of PostgreSQL's grammar says.
func secondOpinion(text string) (told, error) {
	tree, err := oracle.Parse(text)
	if err != nil {
		return told{}, err
	}
	o := told{relations: map[string]bool{}, hidden: map[string]bool{}, dropped: map[string]bool{}, functions: map[string]bool{}}
	for _, s := range tree.Stmts {
		o.message(s.ProtoReflect(), true)
	}
	return o, nil
}

// names joins a list of String nodes, without a database in front.
func names(list protoreflect.List) string {
	var parts []string
	for i := range list.Len() {
		node := list.Get(i).Message()
		if f := node.WhichOneof(node.Descriptor().Oneofs().Get(0)); f != nil && f.Name() == "string" {
			s := node.Get(f).Message()
			parts = append(parts, s.Get(s.Descriptor().Fields().Get(0)).String())
		}
	}
	return strings.Join(parts[max(0, len(parts)-2):], ".")
}

// spelled evens out what the two grammars make functions of: of substring(a, b),
// which one takes for SQL's own form, and of json_object(a), which one takes for
// the standard's constructor.
func spelled(name string) string {
	switch name {
	case "substring":
		return "pg_catalog.substring"
	case "json_object", "pg_catalog.json_object":
		return ""
	}
	return name
}

func cutName(name string) (schema, rest string) {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// message visits a node and all below it. runs is false below what does not run
// its statement.
func (o *told) message(m protoreflect.Message, runs bool) {
	fields := m.Descriptor().Fields()
	get := func(name protoreflect.Name) protoreflect.Value { return m.Get(fields.ByName(name)) }
	add := func(e proxy.Effects) {
		if runs {
			o.effects |= e
		}
	}
	switch m.Descriptor().Name() {
	case "RangeVar":
		schema := get("schemaname").String()
		if schema == "" && get("relpersistence").String() == "t" {
			schema = temporarySchema
		}
		o.relations[schema+"."+get("relname").String()] = true
	case "CommonTableExpr":
		o.hidden["."+get("ctename").String()] = true
	case "FuncCall":
		if name := spelled(names(get("funcname").List())); runs && name != "" {
			o.functions[name] = true
			schema, name := cutName(name)
			_, e := classify(schema, name)
			add(e & compared)
		}
	case "A_Expr":
		if name := names(get("name").List()); strings.Contains(name, ".") && !strings.HasPrefix(name, "pg_catalog.") && name[0] != '.' && runs {
			o.functions[name] = true
		}
	case "LockingClause":
		return // names what is in FROM, by its alias
	case "DropStmt": // names what it drops by lists, of relations and of all else
		objects := get("objects").List()
		for i := range objects.Len() {
			node := objects.Get(i).Message()
			if f := node.WhichOneof(node.Descriptor().Oneofs().Get(0)); f != nil && f.Name() == "list" {
				list := node.Get(f).Message()
				schema, name := cutName(names(list.Get(list.Descriptor().Fields().ByName("items")).List()))
				o.dropped[schema+"."+name] = true
			}
		}
	case "InsertStmt":
		add(proxy.EffectInsert)
		if c := get("on_conflict_clause"); c.Message().IsValid() && c.Message().Get(c.Message().Descriptor().Fields().ByName("action")).Enum() == 3 {
			add(proxy.EffectUpdate)
		}
	case "UpdateStmt":
		add(proxy.EffectUpdate)
	case "DeleteStmt":
		add(proxy.EffectDelete)
	case "MergeWhenClause":
		switch get("command_type").Enum() {
		case 3:
			add(proxy.EffectUpdate)
		case 4:
			add(proxy.EffectInsert)
		case 5:
			add(proxy.EffectDelete)
		}
	case "TruncateStmt":
		add(proxy.EffectTruncate)
	case "IntoClause":
		add(proxy.EffectInsert)
	case "DoStmt":
		add(proxy.EffectDo)
	case "ExecuteStmt":
		add(proxy.EffectExecute)
	case "PrepareStmt", "DeallocateStmt", "DiscardStmt":
		add(proxy.EffectPrepare)
	case "CopyStmt":
		switch {
		case get("is_program").Bool() || get("filename").String() != "":
			add(proxy.EffectCopyProgram)
		case !get("is_from").Bool():
			add(proxy.EffectCopyOut)
		}
		if get("is_from").Bool() {
			add(proxy.EffectInsert)
		}
	case "ExplainStmt":
		analyze := false
		options := get("options").List()
		for i := range options.Len() {
			node := options.Get(i).Message()
			if f := node.WhichOneof(node.Descriptor().Oneofs().Get(0)); f != nil && f.Name() == "def_elem" {
				d := node.Get(f).Message()
				analyze = analyze || strings.EqualFold(d.Get(d.Descriptor().Fields().ByName("defname")).String(), "analyze")
			}
		}
		runs = runs && analyze
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				o.message(v.List().Get(i).Message(), runs)
			}
		default:
			o.message(v.Message(), runs)
		}
		return true
	})
}

// ours is what the visitor says of a tree.
func ours(stmts []ast.Stmt) (o told) {
	o = told{relations: map[string]bool{}, functions: map[string]bool{}}
	for _, s := range stmts {
		v := newVisitor(sql.Scope{})
		f := v.statement(s)
		o.effects |= f.Effects & compared
		for _, r := range f.Relations {
			o.relations[r.Schema+"."+r.Name] = true
		}
		for _, fn := range f.Functions {
			if name := spelled(strings.TrimPrefix(fn.Schema+"."+fn.Name, ".")); name != "" {
				o.functions[name] = true
			}
		}
	}
	return o
}

// differs says in what two opinions differ, empty when they do not.
func (o told) differs(of told) string {
	for r := range o.relations {
		if !of.relations[r] && !o.hidden[r] {
			return "relation " + r + " is missing"
		}
	}
	for r := range of.relations {
		if !o.relations[r] && !o.dropped[r] && !strings.HasPrefix(r, temporarySchema) && !o.relations[temporarySchema+r] {
			return "relation " + r + " is not there"
		}
	}
	for f := range o.functions {
		if !of.functions[f] {
			return "function " + f + " is missing"
		}
	}
	for f := range of.functions {
		if !o.functions[f] {
			return "function " + f + " is not there"
		}
	}
	if e := o.effects & compared &^ of.effects; e != 0 {
		return "effects " + e.String() + " are missing"
	}
	if e := of.effects & compared &^ o.effects; e != 0 {
		return "effects " + e.String() + " are not there"
	}
	return ""
}

// oracleCorpus is every statement that this package's tests judge, and clauses
// that those leave out.
func oracleCorpus() (list []string) {
	n := 0
	apart := regexp.MustCompile(`\b[f-k]\(`).ReplaceAllStringFunc(clauses, func(name string) string {
		n++
		return name[:1] + strconv.Itoa(n) + "(" // each can be missed by itself
	})
	for text := range strings.SplitSeq(corpus+setOffCorpus+originsCorpus+apart, "\n") {
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, strings.ReplaceAll(text, "⏎", "\n"))
		}
	}
	return list
}

// Two parsers, made by different people from one grammar, say the same of the
// relations, the functions and the effects of every statement. With
// PG_REGRESS_DIR also of those of the server's own tests.
func TestSecondParserAgrees(t *testing.T) {
	texts := oracleCorpus()
	own := len(texts)
	if dir := os.Getenv("PG_REGRESS_DIR"); dir != "" {
		texts = append(texts, regressionStatements(t, dir)...)
	}
	agreed, unparsed := 0, 0
	for i, text := range texts {
		want, err := secondOpinion(text)
		if err != nil {
			require.Greater(t, i, own-1, "%s: %v", text, err)
			continue
		}
		n := &sql.Normalised{}
		sql.NormalisePostgres(n, []byte(text), sql.Limits{}.WithDefaults())
		stmts, err := parser.ParseSQL(text)
		if stmts = withoutEmpty(stmts); err != nil || n.Problem != "" || n.Statements != len(stmts) {
			unparsed++ // unknown, which is not a lesser effect
			continue
		}
		if d := want.differs(ours(stmts)); d != "" {
			t.Errorf("%s: %s", text, d)
		}
		agreed++
	}
	t.Logf("%d statements compared, %d more are unknown to our parser", agreed, unparsed)
	require.Greater(t, agreed, 400)
	require.Less(t, unparsed, 1+len(texts)/50)
}

// regressionStatements cuts the server's tests into statements.
func regressionStatements(t *testing.T, dir string) (list []string) {
	files, err := filepath.Glob(filepath.Join(dir, "sql", "*.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var text strings.Builder
		lines := 0
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "\\") { // psql's own, or the end of COPY's data
				text.Reset()
				lines = 0
				continue
			}
			text.WriteString(line)
			if lines++; lines > 200 {
				text.Reset()
				lines = 0
			}
			if trimmed := strings.TrimSpace(line); !strings.HasSuffix(trimmed, ";") {
				continue
			}
			if _, err := oracle.Parse(text.String()); err == nil {
				list = append(list, text.String())
				text.Reset()
				lines = 0
			}
		}
	}
	return list
}

// A visitor that skips a clause is found out: for every field of every kind of
// node that holds a relation or a function somewhere in the corpus, leaving it
// out makes the two parsers disagree.
func TestSkippedClausesAreNoticed(t *testing.T) {
	noticed := map[string]bool{}
	for _, text := range oracleCorpus() {
		want, err := secondOpinion(text)
		require.NoError(t, err, text)
		parse := func() []ast.Stmt {
			stmts, err := parser.ParseSQL(text)
			require.NoError(t, err, text)
			return withoutEmpty(stmts)
		}
		fields := map[string]bool{}
		for _, s := range parse() {
			fieldsThatMatter(reflect.ValueOf(s), fields)
		}
		for field := range fields {
			if noticed[field] {
				continue
			}
			stmts := parse()
			for _, s := range stmts {
				skipField(reflect.ValueOf(s), field)
			}
			noticed[field] = want.differs(oursOrNothing(stmts)) != ""
		}
	}
	var missed []string
	for field, ok := range noticed {
		// What FOR UPDATE OF names is in FROM too.
		if !ok && field != "LockingClause.LockedRels" && field != "SelectStmt.LockingClause" {
			missed = append(missed, field)
		}
	}
	sort.Strings(missed)
	t.Logf("%d fields of nodes hold relations or functions", len(noticed))
	require.Empty(t, missed, "leaving these out is not noticed")
	require.Greater(t, len(noticed), 60)
}

// oursOrNothing also bears trees that lack what the grammar always has.
func oursOrNothing(stmts []ast.Stmt) (o told) {
	defer func() { _ = recover() }()
	return ours(stmts)
}

// fieldsThatMatter notes the fields below which a relation or a function is
// named, and reports whether there is one.
func fieldsThatMatter(v reflect.Value, fields map[string]bool) bool {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return false
		}
		switch v.Interface().(type) {
		case *ast.RangeVar, *ast.FuncCall:
			if v.Kind() == reflect.Pointer {
				fieldsThatMatter(v.Elem(), fields)
			}
			return true
		}
		return fieldsThatMatter(v.Elem(), fields)
	case reflect.Struct:
		any := false
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && fieldsThatMatter(v.Field(i), fields) {
				if v.Type().Name() != "NodeList" {
					fields[v.Type().Name()+"."+f.Name] = true
				}
				any = true
			}
		}
		return any
	case reflect.Slice:
		any := false
		for i := range v.Len() {
			any = fieldsThatMatter(v.Index(i), fields) || any
		}
		return any
	}
	return false
}

// skipField empties a field wherever it is.
func skipField(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			skipField(v.Elem(), field)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case !f.IsExported():
			case v.Type().Name()+"."+f.Name == field && v.Field(i).CanSet():
				v.Field(i).SetZero()
			default:
				skipField(v.Field(i), field)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			skipField(v.Index(i), field)
		}
	}
}

// clauses hold a relation or a function where no other corpus has one.
const clauses = `
SELECT 1 OPERATOR(public.+) 2
CREATE RULE r AS ON INSERT TO t WHERE EXISTS (SELECT 1 FROM u) DO INSTEAD DELETE FROM w
CREATE VIEW x AS SELECT * FROM t
CREATE TABLE x (a int DEFAULT f(), b int CHECK (g(b)), c int REFERENCES t, LIKE u) INHERITS (w) PARTITION BY RANGE (h(a))
CREATE TABLE x PARTITION OF t FOR VALUES FROM (f()) TO (g())
ALTER TABLE t ADD COLUMN x int DEFAULT f(), ALTER y TYPE int USING g(y)
ALTER TABLE t ATTACH PARTITION u FOR VALUES IN (f())
CREATE INDEX ON t (f(x)) INCLUDE (y) WHERE g(x)
CREATE CONSTRAINT TRIGGER x AFTER UPDATE ON t FROM u FOR EACH ROW WHEN (f(old.x)) EXECUTE FUNCTION g()
CREATE POLICY x ON t USING (f()) WITH CHECK (g())
CREATE FUNCTION x(a int DEFAULT f()) RETURNS int LANGUAGE sql RETURN g()
CREATE FUNCTION x() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 FROM t; END
CREATE STATISTICS x ON a, b FROM t
CREATE SEQUENCE x OWNED BY t.a
CREATE PUBLICATION x FOR TABLE t WHERE (f(a))
CREATE DOMAIN x AS int DEFAULT f() CHECK (g(VALUE))
COPY t FROM STDIN WHERE f(a)
COPY (SELECT 1 FROM t) TO STDOUT
EXECUTE x(f())
CALL x(f())
EXPLAIN ANALYZE SELECT f() FROM t
PREPARE x AS SELECT f() FROM t
DECLARE x CURSOR FOR SELECT f() FROM t
CREATE TABLE x AS SELECT f() FROM t
CREATE SCHEMA x CREATE TABLE t (a int)
GRANT SELECT ON t TO PUBLIC
COMMENT ON TABLE t IS 'x'
VACUUM t, u
ANALYZE t
CLUSTER t
REINDEX TABLE t
LOCK TABLE t, u
TRUNCATE t, u
REFRESH MATERIALIZED VIEW t
SELECT json_object('a': f()), json_array(g()), json_arrayagg(h() ORDER BY i() ) FILTER (WHERE j())
SELECT json_array(SELECT a FROM t), json_objectagg(f(): g()), json_value(f(), '$' PASSING g() AS x)
SELECT * FROM json_table(f(), '$' COLUMNS (a int PATH '$')) x
SELECT * FROM xmltable('/a' PASSING f() COLUMNS a int PATH g() DEFAULT h()) x
SELECT f() WITHIN GROUP (ORDER BY g()) FILTER (WHERE h()) OVER (PARTITION BY i() ORDER BY j() ROWS k() PRECEDING) FROM t
SELECT f() OVER (ROWS BETWEEN g() PRECEDING AND h() FOLLOWING), a[f():g()], (a).b[h()], f() IS NULL, f() IS TRUE, NOT f()
SELECT * FROM t TABLESAMPLE f(g()) REPEATABLE (h()) WINDOW w AS (ORDER BY i())
SELECT xmlelement(name a, xmlattributes(f() AS b), g()), xmlserialize(content f() AS text), xmlparse(content g()), xmlpi(name x, f())
SELECT f() IS JSON, json(g()), json_scalar(h()), json_serialize(i())
SELECT f() AT TIME ZONE g(), f() COLLATE "C", CAST(f() AS int), f(a => g()), GROUPING(a) FROM t GROUP BY CUBE (f(), b)
SELECT CASE f() WHEN g() THEN h() ELSE i() END
SELECT greatest(f(), g()), coalesce(h(), i()), nullif(j(), k()), ARRAY[f()], ROW(g()), (f(), g()) = (SELECT 1, 2 FROM t)
WITH RECURSIVE a AS (SELECT 1 AS x FROM t UNION ALL SELECT x FROM a) CYCLE x SET c TO 'a' DEFAULT 'b' USING p SELECT * FROM a
INSERT INTO t SELECT 1 FROM u ON CONFLICT (f(a)) WHERE g() DO UPDATE SET b = h() WHERE i() RETURNING j()
MERGE INTO t USING u ON f() WHEN MATCHED AND g() THEN UPDATE SET a = h() WHEN NOT MATCHED THEN INSERT VALUES (i())
UPDATE t SET a = f() FROM u WHERE g() RETURNING h()
DELETE FROM t USING u WHERE f() RETURNING g()
SELECT a INTO x FROM t
DO $$BEGIN END$$
DISCARD ALL
`
