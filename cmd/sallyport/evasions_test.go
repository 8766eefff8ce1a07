package main

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/evasions.txt
var evasions string

const evasionsSchema = `
CREATE TABLE t (id int, x int, n text);
CREATE TABLE u (id int);
INSERT INTO t SELECT i, i, 'n' FROM generate_series(1, 5) i;
CREATE SEQUENCE s;
CREATE VIEW auto AS SELECT id, x FROM t;
CREATE MATERIALIZED VIEW m AS SELECT x FROM t;
CREATE MATERIALIZED VIEW kept AS SELECT x FROM auto;
CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING id';
CREATE PROCEDURE wiping() LANGUAGE sql AS 'DELETE FROM t';
CREATE FUNCTION of_row(t) RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING id';
CREATE FUNCTION op(int, int) RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING id';
CREATE OPERATOR @!@ (FUNCTION = op, LEFTARG = int, RIGHTARG = int);
CREATE VIEW evil AS SELECT wipe();
CREATE TABLE ruled (id int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM t;
CREATE FUNCTION hidden() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; RETURN 1; END';
CREATE PROCEDURE hidden_call() LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; END';
CREATE FUNCTION lies() RETURNS int STABLE LANGUAGE sql AS 'SELECT hidden()';
CREATE FUNCTION reading(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM t WHERE id > $1';
CREATE MATERIALIZED VIEW counted AS SELECT reading(1) AS n;
CREATE SCHEMA secrets;
CREATE TABLE secrets.s (word text);
INSERT INTO secrets.s VALUES ('xyzzy');
CREATE VIEW window_on_s AS SELECT word FROM secrets.s;
CREATE FUNCTION reading_s() RETURNS text STABLE LANGUAGE sql AS 'SELECT word FROM secrets.s';
CREATE TABLE s_like (word text);`

// Every evasion is refused by the rule that it evades, through the gateway and
// with the real client, and the session goes on; what only looks like one
// passes.
func TestEvasions(t *testing.T) {
	const access = "  - {groups: [ops], resources: [shop], allow: [all]}\n" // guardrails alone refuse
	for name, office := range map[string]struct{ labels, extra string }{
		"default":   {"env: test", "guardrails: [{use: default}]\n"},
		"read-only": {`env: test, read-only: "true"`, "guardrails: [{use: default}]\n"},
		"secrets":   {"env: test", "guardrails:\n  - {name: no-secrets, deny: {relations: [\"secrets.*\"]}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openLabelled(t, office.labels, evasionsSchema, access+office.extra)
			cases := evasionsOn(name)
			// One session runs them all; what is said is told apart by what psql warns of
			// in between.
			var args []string
			for i, c := range cases {
				args = append(args, "-c", fmt.Sprintf(`\warn @@%d@@`, i), "-c", c.sql)
			}
			out := o.psql(t, "bob", append(args, "-c", `\warn @@end@@`, "-c", "SELECT 'left ' || count(*) FROM t WHERE n = 'n'")...)
			for i, c := range cases {
				_, said, ok := strings.Cut(out, fmt.Sprintf("@@%d@@\n", i))
				require.True(t, ok, "the session ended before %s:\n%s", c.sql, out)
				said, _, _ = strings.Cut(said, "@@")
				if c.rule == "passes" {
					require.NotContains(t, said, "ERROR", c.sql)
					continue
				}
				require.Contains(t, said, "(rule "+c.rule+")", "%s: %s", c.sql, said)
				if name != "secrets" {
					require.Contains(t, said, "HINT:", c.sql)
				}
			}
			require.Contains(t, out, "left 5")
			require.NotContains(t, out, "xyzzy")
			t.Logf("%d statements", len(cases))
		})
	}
}

type evasion struct{ rule, sql string }

// evasionsOn returns the cases of one part of the file.
func evasionsOn(name string) (list []evasion) {
	on := ""
	for line := range strings.Lines(evasions) {
		line = strings.TrimSpace(line)
		if part, ok := strings.CutPrefix(line, "# on "); ok {
			on = part
			continue
		}
		rule, sql, ok := strings.Cut(line, " | ")
		if ok && on == name && !strings.HasPrefix(line, "#") {
			list = append(list, evasion{strings.TrimSpace(rule), strings.ReplaceAll(sql, "⏎", "\n")})
		}
	}
	return list
}

// What the server is certain to refuse as a syntax error is refused by it, with the
// place of the error.
func TestSyntaxErrorsAreTheServers(t *testing.T) {
	o := openLabelled(t, "env: test", evasionsSchema, "  - {groups: [ops], resources: [shop], allow: [all]}\nguardrails: [{use: default}]\n")
	for text, near := range map[string]string{
		"SELEC 1": `at or near "SELEC"`, "SELECT * FROM WHERE id = 1": `at or near "WHERE"`, "DELETE FROM t WHERE": "at end of input", "SELECT (1": "at end of input",
		"SELECT 1; TRUNCAT t": `at or near "TRUNCAT"`, "SELECT 1)": `at or near ")"`, "SELECT 1 FROBNICATE 2 3": `at or near "2"`,
	} {
		out := o.psql(t, "bob", "-c", text)
		require.Contains(t, out, "syntax error "+near, text)
		require.Contains(t, out, "LINE 1: ", text)
		require.NotContains(t, out, "rule no-", text)
	}
}
