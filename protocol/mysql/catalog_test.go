package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	"github.com/sallyport/sallyport/proxy"
)

const family = `CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50), ssn VARCHAR(20), twice VARCHAR(40) AS (CONCAT(ssn, ssn)), thrice VARCHAR(60) AS (CONCAT(twice, '')) STORED);
CREATE TABLE pets (id INT PRIMARY KEY, owner INT, FOREIGN KEY (owner) REFERENCES people (id) ON DELETE CASCADE);
CREATE TABLE tags (pet INT, FOREIGN KEY (pet) REFERENCES pets (id) ON DELETE SET NULL);
CREATE TABLE log (t VARCHAR(100));
CREATE TABLE plain (id INT PRIMARY KEY, n VARCHAR(20));
CREATE TABLE wild (id INT PRIMARY KEY);
CREATE TABLE part1 (x INT) ENGINE=MyISAM;
CREATE TABLE parts (x INT) ENGINE=MRG_MyISAM UNION=(part1);
CREATE VIEW names AS SELECT name, ssn FROM people;
CREATE VIEW outer_names AS SELECT name FROM names;
CREATE FUNCTION own(x INT) RETURNS INT DETERMINISTIC RETURN x;
CREATE VIEW calls AS SELECT own(id) AS x FROM people;
CREATE TRIGGER t1 AFTER UPDATE ON people FOR EACH ROW INSERT INTO log VALUES (CONCAT('was ', OLD.ssn));
CREATE TRIGGER t2 BEFORE INSERT ON plain FOR EACH ROW SET NEW.n = UPPER(TRIM(NEW.n));
CREATE TRIGGER t3 BEFORE INSERT ON wild FOR EACH ROW SET @x = (SELECT COUNT(*) FROM people);`

// catalogOf is a gate whose statements are judged by the catalog, and what judges them.
func catalogOf(t *testing.T, c gateConfig) (g *gate, facts func(text string) *proxy.Facts) {
	cache := &sql.CatalogCache{Resolve: sqlmysql.Resolve}
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	analyzer := sqlmysql.New(sqlmysql.Config{Catalog: cache})
	c.handler = func(h *Handler) { h.Catalog, h.Analyzer = cache, analyzer }
	c.gateway = func(g *proxy.Gateway) {
		g.Revision()
		cache.Load = (&CatalogReader{Gateway: g}).Load
	}
	g = startGate(t, c)
	return g, func(text string) *proxy.Facts {
		r := &proxy.Reading{Dialect: "mysql", Resource: "orders", Account: "main", Version: 101106, MariaDB: true, Certain: true, BackslashLiterals: true, Names: proxy.Names{Path: g.db}}
		return analyzer.Analyze(context.Background(), []byte(text), r)
	}
}

// said is what facts say of relations, in one line.
func (g *gate) said(f *proxy.Facts) string {
	var all []string
	for _, r := range f.Relations {
		all = append(all, strings.TrimPrefix(r.Schema+"."+r.Name, g.db+".")+":"+r.Effects.String())
	}
	for _, w := range f.Writes {
		for _, o := range w.Column.Origins {
			all = append(all, w.Relation+"."+w.Column.Name+"<-"+o.Relation+"."+o.Column)
		}
	}
	if f.Effects.Has(proxy.EffectCall) {
		all = append(all, "call")
	}
	switch {
	case f.Unsure:
		all = append(all, "unsure")
	case !f.Resolved:
		all = append(all, "unresolved")
	}
	return strings.Join(all, " ")
}

func TestReach(t *testing.T) {
	g, facts := catalogOf(t, gateConfig{sql: family})
	for _, c := range []struct{ text, want string }{
		{"SELECT id FROM people", "people:read"},
		{"SELECT name FROM outer_names", "outer_names:read names:read people:read"},
		{"SELECT x FROM calls", "calls:read people:read call"},
		{"SELECT x FROM parts", "parts:read unresolved"},
		{"INSERT INTO names (name) VALUES ('x')", "names:insert people:read,insert"},
		{"UPDATE people SET name = 'x' WHERE id = 1", "people:update log:insert log.t<-people.ssn"},
		{"DELETE FROM people WHERE id = 1", "people:delete pets:delete tags:update"},
		{"REPLACE INTO people (id) VALUES (1)", "people:insert,delete pets:delete tags:update"},
		{"INSERT INTO plain VALUES (1, 'x')", "plain:insert plain.n<-plain.n"},
		{"INSERT INTO wild VALUES (1)", "wild:insert call"},
		{"INSERT INTO log SELECT ssn FROM people", "log:insert people:read log.t<-people.ssn"},
		{"INSERT INTO log (t) VALUES ('x') ON DUPLICATE KEY UPDATE t = VALUES(t)", "log:insert,update"},
		{"INSERT INTO log (t) SELECT ssn FROM people ON DUPLICATE KEY UPDATE t = VALUES(t)", "log:insert,update people:read log.t<-people.ssn log.t<-people.ssn"},
		{"CREATE TABLE copy AS SELECT ssn FROM people", "copy:insert,create people:read copy.ssn<-people.ssn"},
		{"CREATE OR REPLACE VIEW w AS SELECT name FROM people", "w:create people:read"},
		{"TRUNCATE log", "log:truncate"},
		{"DROP TABLE IF EXISTS nowhere", "nowhere:drop"},
		{"SELECT * FROM nowhere", "nowhere:read unsure"},
		{"SELECT * FROM mysql.user", "mysql.user:read"},
		{"EXPLAIN SELECT id FROM people", "people:show"},
		{"SHOW CREATE TABLE people", "people:show"},
		{"HANDLER people READ FIRST", "people:read unresolved"},
		{"SET @x = (SELECT ssn FROM people LIMIT 1)", "people:read unresolved"},
		{"SELECT ssn INTO @x FROM people LIMIT 1", "people:read"},
		{"LOAD DATA LOCAL INFILE 'x' INTO TABLE plain", "plain:insert plain.n<-plain.n"},
		{"USE mysql; SELECT host FROM user", "mysql.user:read"},
		{"USE mysql; SELECT name FROM people", "mysql.people:read unsure"},
		{"DROP VIEW names; SELECT name FROM outer_names", "names:drop outer_names:read names:read people:read unsure"},
		{"CREATE TEMPORARY TABLE tmp AS SELECT ssn FROM people; SELECT ssn FROM tmp", "tmp:insert,create people:read tmp:read"},
	} {
		f := facts(c.text)
		require.Empty(t, f.Unknown, c.text)
		require.Equal(t, c.want, g.said(f), c.text)
	}
	// What a statement of a text leaves counts for those after it.
	for _, text := range []string{
		"SELECT ssn INTO @x FROM people LIMIT 1; SELECT @x", "SET @x = (SELECT ssn FROM people LIMIT 1); SELECT @x", "CREATE OR REPLACE VIEW names AS SELECT ssn AS name, ssn FROM people; SELECT name FROM names",
		"CALL p(); SELECT name FROM people", "RENAME TABLE log TO log2, people TO log; SELECT t FROM log",
	} {
		f := facts(text)
		last := f.Parts[len(f.Parts)-1]
		require.True(t, last.Unsure || len(last.Columns) == 1 && last.Columns[0].Unsure, text)
	}
	for _, text := range []string{"SELECT twice FROM people", "SELECT thrice FROM people"} {
		var from []string
		for _, o := range facts(text).Columns[0].Origins {
			from = append(from, o.Column)
		}
		require.Contains(t, from, "ssn", text)
	}
	require.Equal(t, "id name ssn twice thrice owner", labels(facts("SELECT * FROM people JOIN pets USING (id)")))
	require.Equal(t, "id name ssn twice thrice owner", labels(facts("SELECT * FROM people NATURAL JOIN pets")))
	c := g.open(t)
	for _, text := range []string{"SELECT * FROM people JOIN pets USING (id)", "SELECT * FROM people NATURAL JOIN pets"} {
		rows, err := c.QueryContext(context.Background(), text)
		require.NoError(t, err)
		names, err := rows.Columns()
		require.NoError(t, err)
		require.NoError(t, rows.Close())
		require.Equal(t, strings.Join(names, " "), labels(facts(text)))
	}
}

func labels(f *proxy.Facts) string {
	var all []string
	for _, c := range f.Columns {
		all = append(all, c.Name)
	}
	return strings.Join(all, " ")
}

// An account that may not see triggers does not know what its changes set off, and one that may not
// see a view's query not what it shows.
func TestReachOfFewRights(t *testing.T) {
	g, facts := catalogOf(t, gateConfig{sql: family, user: "few", password: "few-secret", resource: func(r *proxy.Resource) { r.Accounts[0].Username = "few" }})
	_, err := g.maria.Run("", fmt.Sprintf("CREATE USER IF NOT EXISTS few@'127.0.0.1' IDENTIFIED BY 'few-secret'; GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.* TO few@'127.0.0.1'", g.db))
	require.NoError(t, err)
	require.Equal(t, "people:read", g.said(facts("SELECT id FROM people")))
	require.Equal(t, "plain:insert unresolved", g.said(facts("INSERT INTO plain VALUES (1, 'x')")))
	require.Equal(t, "people:delete pets:delete tags:update unresolved", g.said(facts("DELETE FROM people WHERE id = 1")))
	require.Equal(t, "names:read unresolved", g.said(facts("SELECT name FROM names")))
	_, err = g.maria.Run("", fmt.Sprintf("GRANT TRIGGER, SHOW VIEW ON `%s`.* TO few@'127.0.0.1'", g.db))
	require.NoError(t, err)
	c := g.open(t)
	_, err = c.ExecContext(context.Background(), "DROP TABLE IF EXISTS nowhere") // so that it is read again
	require.Error(t, err)
	require.Equal(t, "plain:insert plain.n<-plain.n", g.said(facts("INSERT INTO plain VALUES (1, 'x')")))
	require.Equal(t, "names:read people:read", g.said(facts("SELECT name FROM names")))
}

func TestSeesTriggers(t *testing.T) {
	for _, c := range []struct {
		rights [][]string
		want   bool
	}{
		{nil, false},
		{[][]string{{"", "", "1"}}, true},
		{[][]string{{"", "", "0"}, {"shop", "", "1"}}, true},
		{[][]string{{"sh%", "", "0"}, {"shop", "", "1"}}, false},
		{[][]string{{"sh%", "", "0"}, {"Shop", "People", "1"}}, true},
		{[][]string{{"shop", "orders", "1"}, {"other", "", "1"}}, false},
		{[][]string{{"shop", "people", "0"}}, false},
	} {
		require.Equal(t, c.want, (&catalogRows{rights: c.rights}).sees(&sql.Relation{Schema: "shop", Name: "people"}), c.rights)
	}
}

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"%", "shop", true}, {"sh%p", "shop", true}, {"sh_p", "shop", true}, {`a\_b`, "a_b", true}, {`a\_b`, "axb", false}, {"shop", "shops", false}, {"", "x", false}, {"_", "é", true}} {
		require.Equal(t, c.want, like(c.pattern, c.name), c.pattern)
	}
}

// A trigger for changes that are not known is one for all of them.
func TestTriggersOfEvents(t *testing.T) {
	const all = proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete
	for events, want := range map[string]proxy.Effects{
		"INSERT": proxy.EffectInsert, "UPDATE": proxy.EffectUpdate, "DELETE": proxy.EffectDelete,
		"INSERT,DELETE": proxy.EffectInsert | proxy.EffectDelete, "insert, update": proxy.EffectInsert | proxy.EffectUpdate,
		"": all, "MERGE": all, "INSERT OR UPDATE": all,
	} {
		require.Equal(t, want, changing(events), events)
	}
}

// TestTriggersWithoutText: a trigger whose text the account may not see does what nobody knows, and is not a call of everything.
func TestTriggersWithoutText(t *testing.T) {
	rows := catalogRows{
		columns:  [][]string{{"shop", "plain", "id", "int", "NO", ""}},
		triggers: [][]string{{"shop", "plain", "INSERT", "t2", ""}}, rights: [][]string{{"", "", "1"}},
	}
	out := rows.contents()
	require.Empty(t, out.Functions)
	require.Equal(t, []sql.Trigger{{On: proxy.EffectInsert, Function: sql.UnseenTriggers}}, out.Relations[0].Triggers)
}
