package main

import (
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// Every command of PostgreSQL's programs that docs/clients.md shows runs through the
// default packs, with the variables that the document sets, and every statement of its
// list of intended differences is refused by what the list says.
func TestDocumentedClients(t *testing.T) {
	needs(t, "psql")
	needs(t, "pg_dump")
	o := openLabelled(t, "env: test", "CREATE SEQUENCE numbers", "")
	text := document(t, "docs/clients.md")
	dir := t.TempDir()
	env := append(os.Environ(), "PGHOST="+o.host, "PGPORT="+o.port, "PGUSER=bob+shop", "PGPASSWORD="+password,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT="+filepath.Join(o.dir, "data", "ca", "ca.pem"))
	commands := regexp.MustCompile(`(?m)^    ((?:psql|pg_dump) .*)$`).FindAllStringSubmatch(text, -1)
	require.Greater(t, len(commands), 5)
	for _, m := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", m[1])
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", m[1], out)
		require.NotContains(t, string(out), "ERROR", m[1])
	}
	csv, err := os.ReadFile(filepath.Join(dir, "parts.csv"))
	require.NoError(t, err)
	require.Equal(t, "id,name\n1,bolt\n2,nut\n", string(csv))

	refusals := regexp.MustCompile("(?m)^\\| `([A-Z].*?)` \\| `(.*?)` \\|").FindAllStringSubmatch(text, -1)
	require.Greater(t, len(refusals), 8)
	for _, m := range refusals {
		require.Contains(t, o.psql(t, "bob", "-c", m[1]), m[2], m[1])
	}
	require.Contains(t, o.psql(t, "bob", "-c", "TABLE parts"), "bolt")
}

// djangoSettings are those of a site with Django's own applications.
const djangoSettings = `
import os
SECRET_KEY = 'a test'
USE_TZ = True
DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'
INSTALLED_APPS = ['django.contrib.' + a for a in ('admin', 'auth', 'contenttypes', 'flatpages', 'redirects', 'sessions', 'sites')] + ['django.contrib.messages']
SITE_ID = 1
SILENCED_SYSTEM_CHECKS = ['admin.E403', 'admin.E408', 'admin.E409', 'admin.E410']
DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': os.environ['PGDATABASE'], 'USER': 'bob+shop', 'OPTIONS': {'sslmode': 'verify-full'}}}
`

// alembicRevisions make, fill, change and drop, and take it back.
var alembicRevisions = map[string]string{
	"env.py": `
import sqlalchemy
from alembic import context
with sqlalchemy.create_engine('postgresql+psycopg2://').connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
`,
	"versions/one.py": `
from alembic import op
import sqlalchemy as sa
revision, down_revision = 'one', None
def upgrade():
    op.create_table('users', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(50)), sa.Column('old', sa.Integer))
    op.create_table('orders', sa.Column('id', sa.Integer, primary_key=True), sa.Column('user_id', sa.Integer, sa.ForeignKey('users.id')))
    op.create_index('orders_user', 'orders', ['user_id'])
def downgrade():
    op.drop_index('orders_user')
    op.drop_table('orders')
    op.drop_table('users')
`,
	"versions/two.py": `
from alembic import op
import sqlalchemy as sa
revision, down_revision = 'two', 'one'
def upgrade():
    op.add_column('users', sa.Column('email', sa.Text))
    op.alter_column('users', 'name', nullable=False, type_=sa.Text)
    op.drop_column('users', 'old')
    op.alter_column('orders', 'id', type_=sa.Text, postgresql_using="''")
def downgrade():
    op.alter_column('orders', 'id', type_=sa.Integer, postgresql_using='0')
    op.add_column('users', sa.Column('old', sa.Integer))
    op.drop_column('users', 'email')
`,
}

// Migrations of tools run on a new database by the default packs, as they do directly,
// and what holds data then is refused.
func TestMigrationsOfTools(t *testing.T) {
	needs(t, "psql")
	needs(t, "pgbench")
	o := openLabelled(t, "env: test", "", "")
	direct, err := url.Parse(o.direct)
	require.NoError(t, err)
	env := append(os.Environ(), "PGHOST="+o.host, "PGPORT="+o.port, "PGUSER=bob+shop", "PGDATABASE="+path.Base(direct.Path), "PGPASSWORD="+password,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT="+filepath.Join(o.dir, "data", "ca", "ca.pem"))
	dir := t.TempDir()
	run := func(t *testing.T, program string, args ...string) (string, error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, append(env, "PYTHONPATH="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	python := func(t *testing.T, modules ...string) {
		t.Helper()
		for _, m := range modules {
			if _, err := os.Stat("/usr/lib/python3/dist-packages/" + m); err != nil {
				testserver.Missing(t, "python3-"+m)
			}
		}
	}
	write := func(t *testing.T, name, text string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}

	t.Run("pgbench", func(t *testing.T) {
		out, err := run(t, "pgbench", "-i", "-q")
		require.NoError(t, err, out)
		out, err = run(t, "pgbench", "-t", "20", "-c", "2", "-n")
		require.NoError(t, err, out)
		out, err = run(t, "pgbench", "-i", "-q")
		require.Error(t, err)
		require.Contains(t, out, "no-drop", "what was filled is not dropped")
	})
	t.Run("Django", func(t *testing.T) {
		python(t, "django", "psycopg2")
		write(t, "site_settings.py", djangoSettings)
		for _, command := range []string{"migrate", "check --database default", "migrate flatpages zero", "migrate", "showmigrations"} {
			out, err := run(t, "/usr/bin/python3", append([]string{"-m", "django"}, append(strings.Fields(command), "--settings", "site_settings")...)...)
			require.NoError(t, err, "%s\n%s", command, out)
		}
		out, err := run(t, "/usr/bin/python3", "-m", "django", "migrate", "contenttypes", "zero", "--settings", "site_settings")
		require.Error(t, err)
		require.Contains(t, out, "no-drop", "what holds rows is not dropped")
	})
	t.Run("Alembic", func(t *testing.T) {
		python(t, "alembic", "sqlalchemy", "psycopg2")
		for name, text := range alembicRevisions {
			write(t, "alembic/"+name, text)
		}
		write(t, "alembic.ini", "[alembic]\nscript_location = alembic\n")
		alembic := func(args string) (string, error) {
			return run(t, "/usr/bin/python3", append([]string{"-m", "alembic.config"}, strings.Fields(args)...)...)
		}
		for _, command := range []string{"upgrade head", "downgrade base", "upgrade one", "upgrade head", "downgrade one"} {
			out, err := alembic(command)
			require.NoError(t, err, "%s\n%s", command, out)
		}
		require.NotContains(t, o.psql(t, "bob", "-c", "INSERT INTO users (name) VALUES ('x')"), "ERROR")
		for _, command := range []string{"upgrade head", "downgrade base"} {
			out, err := alembic(command)
			require.Error(t, err, command)
			require.Contains(t, out, "no-drop", command)
		}
		require.Contains(t, o.psql(t, "bob", "-Atc", "SELECT 'rows', count(*) FROM users"), "rows|1")
	})
}
