package mysql

import (
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// What is read. Views of the server's own count as tables.
const (
	columnsSQL = `SELECT table_schema, table_name, column_name, column_type, is_nullable, IFNULL(generation_expression, '')
		FROM information_schema.columns ORDER BY table_schema, table_name, ordinal_position`
	viewsSQL = `SELECT table_schema, table_name, view_definition FROM information_schema.views`
	// mergedSQL are tables that show the rows of others.
	mergedSQL   = `SELECT table_schema, table_name FROM information_schema.tables WHERE engine IN ('MRG_MyISAM', 'MRG_MYISAM')`
	triggersSQL = `SELECT event_object_schema, event_object_table, event_manipulation, trigger_name, IFNULL(action_statement, '')
		FROM information_schema.triggers ORDER BY event_object_schema, event_object_table, trigger_name`
	referencesSQL = `SELECT constraint_schema, table_name, unique_constraint_schema, referenced_table_name, delete_rule, update_rule
		FROM information_schema.referential_constraints ORDER BY constraint_schema, table_name, constraint_name`
	// rightsSQL is where the account sees triggers: a server shows them to nobody else. What a
	// role may is not shown, and so is not known.
	rightsSQL = `SELECT p.s, p.t, MAX(p.privilege_type = 'TRIGGER') FROM (
			SELECT grantee, '' AS s, '' AS t, privilege_type FROM information_schema.user_privileges
			UNION ALL SELECT grantee, table_schema, '', privilege_type FROM information_schema.schema_privileges
			UNION ALL SELECT grantee, table_schema, table_name, privilege_type FROM information_schema.table_privileges) p
		WHERE p.grantee = CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1),
			'''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''') GROUP BY p.s, p.t`
)

// catalogRows are the rows of a catalog, as the server has them.
type catalogRows struct{ columns, views, merged, triggers, references, rights [][]string }

// contents are what the rows say. Names are in lower case: two relations that differ in nothing
// else are one, which cannot be seen through.
func (c *catalogRows) contents() sql.Contents {
	var out sql.Contents
	named := make(map[[2]string]*sql.Relation)
	written := make(map[*sql.Relation]string)
	find := func(schema, name string) *sql.Relation {
		return named[[2]string{strings.ToLower(schema), strings.ToLower(name)}]
	}
	for _, row := range c.columns {
		if len(row) != 6 {
			continue
		}
		r := find(row[0], row[1])
		if r == nil {
			r = &sql.Relation{
				OID: uint32(len(out.Relations) + 1), Schema: strings.ToLower(row[0]), Name: strings.ToLower(row[1]), Kind: sql.RelationTable,
				Server: serverSchemas[strings.ToLower(row[0])],
			}
			named[[2]string{r.Schema, r.Name}], written[r] = r, row[0]+"."+row[1]
			out.Relations = append(out.Relations, r)
		}
		if written[r] != row[0]+"."+row[1] {
			r.Kind = sql.RelationView // one that cannot be seen through
			continue
		}
		r.Columns = append(r.Columns, sql.Column{
			Attr: uint16(len(r.Columns) + 1), Name: strings.ToLower(row[2]), Type: numberOfType(row[3]), NotNull: row[4] == "NO", Generated: row[5],
		})
	}
	for _, row := range c.views {
		if len(row) != 3 {
			continue
		}
		switch r := find(row[0], row[1]); {
		case r == nil || r.Server:
		case r.IsView(): // as said above
		default:
			r.Kind, r.Definition = sql.RelationView, row[2]
		}
	}
	for _, row := range c.merged {
		if r := find(row[0], row[1]); r != nil {
			r.Kind, r.Definition = sql.RelationView, ""
		}
	}
	c.sets(&out, find)
	return out
}

// changing are the changes for which a trigger acts, of which a server may name several. A name that is not known may be of any.
func changing(events string) (e proxy.Effects) {
	for event := range strings.SplitSeq(events, ",") {
		switch strings.ToUpper(strings.TrimSpace(event)) {
		case "INSERT":
			e |= proxy.EffectInsert
		case "UPDATE":
			e |= proxy.EffectUpdate
		case "DELETE":
			e |= proxy.EffectDelete
		default:
			e |= proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete
		}
	}
	return e
}

// passedOn is what a rule of a foreign key does to the rows that refer.
var passedOn = map[string]proxy.Effects{"SET NULL": proxy.EffectUpdate, "SET DEFAULT": proxy.EffectUpdate}

// sets adds what changes of relations set off.
func (c *catalogRows) sets(out *sql.Contents, find func(schema, name string) *sql.Relation) {
	for _, row := range c.triggers {
		if len(row) != 5 {
			continue
		}
		switch r := find(row[0], row[1]); {
		case r == nil:
		case row[4] == "": // MariaDB 10.11.19 shows that it is there, and its text to nobody without the right
			r.Triggers = append(r.Triggers, sql.Trigger{On: changing(row[2]), Function: sql.UnseenTriggers})
		default:
			f := &sql.Function{OID: uint32(len(out.Functions) + 1), Schema: r.Schema, Name: strings.ToLower(row[3]), Language: "trigger", Body: row[4]}
			out.Functions = append(out.Functions, f)
			r.Triggers = append(r.Triggers, sql.Trigger{On: changing(row[2]), Function: f.OID})
		}
	}
	for _, r := range out.Relations {
		if !r.Server && !r.IsView() && !c.sees(r) {
			r.Triggers = append(r.Triggers, sql.Trigger{On: proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete, Function: sql.UnseenTriggers})
		}
	}
	for _, row := range c.references {
		if len(row) != 6 {
			continue
		}
		from, to := find(row[0], row[1]), find(row[2], row[3])
		if from == nil || to == nil {
			continue
		}
		ref := sql.Reference{From: from.OID, OnDelete: passedOn[row[4]], OnMove: passedOn[row[5]]}
		if row[4] == "CASCADE" {
			ref.OnDelete = proxy.EffectDelete
		}
		if row[5] == "CASCADE" {
			ref.OnMove = proxy.EffectUpdate
		}
		if ref.OnDelete|ref.OnMove != 0 {
			to.References = append(to.References, ref)
		}
	}
}

// sees reports whether the account sees the triggers of a table. Of several patterns of databases
// a server goes by one alone, so all have to say it.
func (c *catalogRows) sees(r *sql.Relation) bool {
	all, some := true, false
	for _, row := range c.rights {
		if len(row) != 3 {
			continue
		}
		schema, table, has := strings.ToLower(row[0]), strings.ToLower(row[1]), row[2] == "1"
		switch {
		case schema == "" && has, table != "" && schema == r.Schema && table == r.Name && has:
			return true
		case schema != "" && table == "" && like(schema, r.Schema):
			all, some = all && has, true
		}
	}
	return all && some
}

// like reports whether a name is one of a pattern's, in which % is any text, _ any character and a
// backslash takes the meaning away from what is after it.
func like(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	switch {
	case pattern[0] == '%':
		return like(pattern[1:], name) || name != "" && like(pattern, name[1:])
	case name == "":
		return false
	case pattern[0] == '_':
		_, size := utf8.DecodeRuneInString(name)
		return like(pattern[1:], name[size:])
	case pattern[0] == '\\' && len(pattern) > 1:
		return pattern[1] == name[0] && like(pattern[2:], name[1:])
	}
	return pattern[0] == name[0] && like(pattern[1:], name[1:])
}

// numberOfType is the number by which interceptors know a type, as it is declared.
func numberOfType(declared string) uint32 {
	declared = strings.ToLower(declared)
	unsigned := strings.Contains(declared, "unsigned")
	word, _, _ := strings.Cut(declared, " ")
	word, _, _ = strings.Cut(word, "(")
	if t, ok := declaredTypes[word]; ok {
		return typeOf(t, plainText, unsigned)
	}
	return numberText
}

var declaredTypes = map[string]wire.Type{
	"tinyint": wire.TypeTiny, "smallint": wire.TypeShort, "mediumint": wire.TypeInt24, "int": wire.TypeLong, "bigint": wire.TypeLongLong,
	"float": wire.TypeFloat, "double": wire.TypeDouble, "decimal": wire.TypeNewDecimal, "date": wire.TypeDate, "datetime": wire.TypeDatetime,
	"timestamp": wire.TypeTimestamp, "time": wire.TypeTime, "year": wire.TypeYear, "bit": wire.TypeBit, "json": wire.TypeJSON, "geometry": wire.TypeGeometry,
}
