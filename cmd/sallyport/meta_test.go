package main

import (
	"context"
	_ "embed"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/tools.txt
var tools string

const metaSchema = evasionsSchema + shopSchema + `
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON customers FOR SELECT USING (note = current_user);
CREATE PUBLICATION news FOR TABLE u;
`

// shopSchema is of many kinds of objects, none of which is suspicious.
const shopSchema = `
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN email AS text CHECK (VALUE ~ '@');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email email NOT NULL UNIQUE, phone text, card varchar(19), ssn char(11), born date, m mood DEFAULT 'ok', note text COLLATE "C");
COMMENT ON COLUMN customers.ssn IS 'the number of the social security';
CREATE INDEX ON customers (lower(email::text)) WHERE phone IS NOT NULL;
CREATE TABLE orders (id int PRIMARY KEY, customer bigint REFERENCES customers, total numeric(10,2) CHECK (total > 0), at timestamptz DEFAULT now()) PARTITION BY RANGE (id);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (1) TO (1000);
CREATE VIEW buyers AS SELECT c.email, o.total FROM customers c JOIN orders o ON o.customer = c.id;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touched();
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
CREATE STATISTICS pair ON customer, total FROM orders_1;
INSERT INTO customers (email, phone, card, ssn, born) VALUES ('ann@example.com', '+1 212 555 0123', '4111 1111 1111 1111', '123-45-6789', '1970-01-01');
INSERT INTO orders VALUES (1, 1, 9.99, '2026-01-01');
`

// What psql, and programs like it, ask of the catalog when a person who may read
// looks around is answered as it is without the gateway: by rules, masking and
// policy alike.
func TestLookingAround(t *testing.T) {
	o := openLabelled(t, `env: test, read-only: "true"`, metaSchema,
		"  - {groups: [dev], resources: [shop], allow: [connect, read]}\nguardrails: [{use: default}]\nmasking: [{use: default}]\n")
	commands := []string{
		`\d`, `\d+`, `\d customers`, `\d+ customers`, `\d+ orders`, `\d+ buyers`, `\d orders_1`, `\dS pg_class`, `\dt+`, `\dv+`, `\dm+`, `\di+`, `\ds+`, `\dE`,
		`\df+`, `\dfa`, `\daS max`, `\do+ @!@`, `\dT+`, `\dD+`, `\dC`, `\dn+`, `\du+`, `\dp`, `\ddp`, `\drds`, `\dO`, `\dL+`, `\dx+`, `\dX`, `\dy`, `\dRp+`, `\dRs`,
		`\dA+`, `\dAc`, `\dAf`, `\dAo`, `\dAp`, `\dF`, `\dFd`, `\dFp`, `\dFt`, `\db+`, `\dc`, `\dconfig *work*`, `\det`, `\des`, `\deu`, `\dew`, `\dP+`, `\dl`, `\dd`,
		`\l`, `\sf+ wipe`, `\sv buyers`, `\z customers`, `\encoding`, `TABLE information_schema.columns`,
	}
	for line := range strings.Lines(tools) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			direct, err := exec.CommandContext(ctx, "psql", "-X", "-d", o.direct, "-c", command).CombinedOutput()
			require.NoError(t, err, string(direct))
			through, _ := exec.CommandContext(ctx, "psql", "-X", "-d", o.conn("alice"), "-c", command).CombinedOutput()
			require.Equal(t, string(direct), string(through))
		})
	}
}
