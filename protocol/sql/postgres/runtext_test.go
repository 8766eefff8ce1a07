package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Functions that the server runs a text for do what the text does; a text that is
// not a plain literal is not known.
func TestTextsThatRun(t *testing.T) {
	for text, effects := range map[string]string{
		"SELECT query_to_xml('SELECT 1', true, true, '')":                                                                "read,call",
		"SELECT pg_catalog.query_to_xml('DELETE FROM t', true, true, '')":                                                "read,delete,call",
		"SELECT query_to_xml('TRUNCATE t'::text, true, true, '')":                                                        "read,truncate,call",
		"SELECT query_to_xml(query => 'TRUNCATE t', nulls => true, tableforest => true, targetns => '')":                 "read,truncate,call",
		"SELECT query_to_xml(targetns => '', query => 'SELECT pg_read_file(''x'')', nulls => true, tableforest => true)": "read,call,outside",
		"SELECT query_to_xml('SELECT dblink_exec(''DROP TABLE t'')', true, true, '')":                                    "read,drop,call,outside",
		"SELECT query_to_xml($a$SELECT query_to_xml('DROP TABLE t', true, true, '')$a$, true, true, '')":                 "read,drop,call",
		"SELECT query_to_xmlschema('DROP TABLE t', true, true, '')":                                                      "read,drop,call",
		"SELECT query_to_xml_and_xmlschema('DROP TABLE t', true, true, '')":                                              "read,drop,call",
		"SELECT query_to_xml('SELECT set_config(''role'', ''x'', true)', true, true, '')":                                "read,call,set,role",
		"SELECT query_to_xml('SELECT dblink_' || 'exec(''DROP TABLE t'')', true, true, '')":                              "read,call,unknown",
		"SELECT query_to_xml(concat('a', 'b'), true, true, '')":                                                          "read,call,unknown",
		"SELECT query_to_xml(format('SELECT %s', 'x'), true, true, '')":                                                  "read,call,unknown",
		"SELECT query_to_xml($1, true, true, '')":                                                                        "read,call,unknown",
		"SELECT query_to_xml(n, true, true, '') FROM t":                                                                  "read,call,unknown",
		"SELECT query_to_xml('DELETE FROM t WHERE id = 1'::varchar(13), true, true, '')":                                 "read,call,unknown",
		"SELECT query_to_xml('nonsense here', true, true, '')":                                                           "read,call,unknown",
		"SELECT table_to_xml('a.b', true, true, '')":                                                                     "read,call",
		"SELECT table_to_xml(c.oid, true, true, '') FROM pg_class c":                                                     "read,call,unknown",
		"SELECT schema_to_xml('public', true, true, '')":                                                                 "read,call,unknown",
		"SELECT database_to_xml(true, true, '')":                                                                         "read,call,unknown",
		"SELECT cursor_to_xml('c', 10, true, true, '')":                                                                  "read,call",
		"SELECT * FROM ts_stat('SELECT v FROM t')":                                                                       "read,call",
		"SELECT * FROM ts_stat('DELETE FROM t RETURNING v')":                                                             "read,delete,call",
		"SELECT ts_rewrite('a'::tsquery, 'TRUNCATE t')":                                                                  "read,truncate,call",
		"SELECT ts_rewrite('a'::tsquery, 'b'::tsquery, 'c'::tsquery)":                                                    "read,call",
		"SELECT * FROM crosstab('DELETE FROM t RETURNING 1, 2, 3') AS c(a int)":                                          "read,delete,call",
		"SELECT * FROM ext.crosstab('SELECT 1, 2, 3', 'DROP TABLE t') AS c(a int)":                                       "read,drop,call",
		"SELECT * FROM crosstab('SELECT 1, 2, 3', 2) AS c(a int)":                                                        "read,call",
		"SELECT * FROM crosstab3('SELECT ' || x) AS c(a int)":                                                            "read,call,unknown",
		"SELECT * FROM connectby('t; DROP TABLE t', 'id', 'up', '1', 0) AS c(a int)":                                     "read,drop,call",
		"SELECT * FROM connectby('t', 'id', 'up', '1', 0) AS c(a int)":                                                   "read,call",
		"SELECT * FROM xpath_table('id', 'doc', 't', '/a', 'true; DELETE FROM t') AS c(a int)":                           "read,delete,call",
		"SELECT * FROM xpath_table('id', 'doc', 't', '/a', n) AS c(a int)":                                               "read,call,unknown",
		"SELECT dblink_exec('dbname=x', 'DROP TABLE t', false)":                                                          "read,drop,outside",
		"SELECT dblink_exec('DROP TABLE t', true)":                                                                       "read,drop,outside",
		"SELECT public.dblink_exec('DROP TABLE t')":                                                                      "read,drop,outside",
		"SELECT \"Other\".\"dblink_send_query\"('c', 'TRUNCATE t')":                                                      "read,truncate,outside",
		"SELECT ext.dblink_open('c', 'SELECT 1', false)":                                                                 "read,outside",
		"SELECT dblink('c', $1)":                                                                                         "read,outside,unknown",
		"SELECT public.pg_background_launch('VACUUM')":                                                                   "read,outside,maintain",
		"SELECT cron.schedule('0 3 * * *', 'DELETE FROM t')":                                                             "read,delete,call",
		"SELECT cron.schedule('nightly', '0 3 * * *', $$VACUUM$$)":                                                       "read,call,maintain",
		"SELECT cron.schedule_in_database('n', '0 3 * * *', 'DROP TABLE t', 'db')":                                       "read,drop,call",
		"SELECT cron.alter_job(1, command => 'DROP TABLE t')":                                                            "read,drop,call",
		"SELECT run_command_on_workers('DROP TABLE t')":                                                                  "read,drop,call",
		"SELECT app.schedule('x', 'DROP TABLE t')":                                                                       "read,call",
		"SELECT app.query_to_xml('DROP TABLE t')":                                                                        "read,call",
		"SELECT public.pg_sleep(1)":                                                                                      "read,call",
		"CREATE OPERATOR === (FUNCTION = pg_read_file, RIGHTARG = text)":                                                 "create,outside",
		"CREATE AGGREGATE public.a (text) (SFUNC = public.dblink_exec, STYPE = text)":                                    "create,outside,unknown",
		"CREATE OPERATOR === (PROCEDURE = lower, RIGHTARG = text)":                                                       "create",
		"SELECT lo_unlink(1)": "read,update,delete",
	} {
		f := analyze(t, text)
		if got := f.Effects.String(); got != effects {
			t.Errorf("%s\n got %s\nwant %s (%s)", text, got, effects, f.Unknown)
		}
	}
	require.True(t, analyze(t, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata").Unfiltered.Has(proxy.EffectDelete))
	require.True(t, analyze(t, "SELECT query_to_xml('DELETE FROM t', true, true, '')").Unfiltered.Has(proxy.EffectDelete))
	require.False(t, analyze(t, "SELECT lo_unlink(image) FROM t WHERE id = 1").Unfiltered.Has(proxy.EffectDelete))
	require.False(t, analyze(t, "SELECT query_to_xml('DROP INDEX i', true, true, '')").Effects.Has(proxy.EffectDrop) && !analyze(t, "SELECT query_to_xml('DROP INDEX i', true, true, '')").Lossless)

	// Texts within texts are bounded.
	nested := "SELECT 1"
	for range 12 {
		nested = "SELECT query_to_xml('" + strings.ReplaceAll(nested, "'", "''") + "', true, true, '')"
	}
	require.Contains(t, analyze(t, nested).Unknown, "limit")

	// Statements that differ in such a text do not share an answer.
	a := New(Config{})
	for _, c := range [][2]string{{"SELECT 1", "read,call"}, {"DROP TABLE t", "read,drop,call"}, {"SELECT 2", "read,call"}} {
		f := a.Analyze(t.Context(), []byte("SELECT query_to_xml('"+c[0]+"', true, true, '')"), &proxy.Reading{})
		require.Equal(t, c[1], f.Effects.String(), c[0])
	}
}

// By the catalog, a function is an extension's in the schema where it lies, and
// somebody's own when it is not in C.
func TestExtensionsInAnySchema(t *testing.T) {
	s := sql.NewSnapshot(sql.Contents{Path: []string{"pg_catalog", "public"}, Functions: []*sql.Function{
		{OID: 20000, Schema: "tools", Name: "dblink_exec", Language: "c"},
		{OID: 20001, Schema: "app", Name: "dblink_exec", Language: "plpgsql"},
		{OID: 20002, Schema: "public", Name: "dblink", Language: "c"},
		{OID: 20003, Schema: "public", Name: "crosstab", Language: "sql"},
	}})
	s.ID = 1
	a := New(Config{Catalog: &fixedCatalog{snapshot: s}})
	for text, effects := range map[string]string{
		"SELECT tools.dblink_exec('DROP TABLE t')":     "read,drop,call,outside",
		"SELECT app.dblink_exec('DROP TABLE t')":       "read,call",
		"SELECT * FROM dblink('SELECT 1') AS d(a int)": "read,call,outside",
		"SELECT crosstab('DROP TABLE t')":              "read,call",
	} {
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{})
		require.Equal(t, effects, f.Effects.String(), "%s %s", text, f.Unknown)
	}
	f := a.Analyze(t.Context(), []byte("SELECT tools.dblink_exec('SELECT 1')"), &proxy.Reading{})
	require.Contains(t, f.Functions, proxy.Function{Schema: "tools", Name: "dblink_exec", Class: proxy.FunctionOutside})
}
