package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSpokenSecrets: what is between ⟪ and ⟫ is masked as a whole, and nothing
// else of the text.
func TestSpokenSecrets(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(`
my pw is ⟪Cobalt!Fox88⟫ ok
My PW is ⟪Cobalt!Fox88⟫, use it
the password for staging is ⟪Cobalt!Fox88⟫
The password for the staging database is ⟪Cobalt!Fox88⟫.
the root password on db-3.internal is ⟪Cobalt#Fox1⟫ now
password for bob@corp: ⟪Cobalt&Fox88⟫
pwd: ⟪Cobalt!Fox88⟫
pw: ⟪Cobalt%Fox88⟫
PW=⟪Cobalt!Fox88⟫
pass: ⟪Cobalt&Fox88⟫
passphrase ⟪Cobalt-Fox88-Lamp⟫
the passphrase is ⟪Cobalt-Fox88-Lamp⟫
passcode is ⟪Cob4ltF0x⟫
password: ⟪Cobalt!&Fox88⟫
password: ⟪&Cobalt!Fox88⟫
password: ⟪#Cobalt!Fox88⟫
password: ⟪%Cobalt!Fox88⟫
password: ⟪!Cobalt%Fox88⟫
password: ⟪Cobalt#Fox88⟫
password: ⟪Cobalt;Fox88⟫
password: ⟪Cobalt)Fox88⟫
password: ⟪Cobalt}Fox88⟫
password: ⟪Cobalt,Fox88⟫
password=⟪Cobalt!Fox88⟫&user=bob
PGPASSWORD=⟪Cobalt&Fox88⟫ psql
export DB_PASSWORD=⟪Cobalt!Fox88⟫&& run
{"password": "⟪Cobalt&!#%Fox88⟫", "n": 1}
Server=db;Password=⟪Cobalt&Fox88⟫;Database=x
(password: ⟪Cobalt!Fox88⟫)
call f(password=⟪Cobalt!Fox88⟫)
<password>⟪Cobalt&Fox88⟫</password>
postgres://svc:⟪Cobalt#Fox1⟫@db.internal
postgres://svc:⟪Cobalt/Fox1⟫@db.internal/app
postgres://svc:⟪Cobalt?Fox1⟫@db.internal:5432/app?sslmode=disable
mysql://root:⟪p@ss&w#rd!⟫@10.0.0.5:3306/x
redis://:⟪Cobalt%Fox1⟫@cache:6379/0
mongodb://app:⟪Cobalt!Fox1⟫@m1:27017,m2:27017/x?a=b
see amqp://a:⟪Cobalt#1⟫@mq and amqp://b:⟪Fox#2⟫@mq2
amqp://a:⟪Cobalt#1⟫@mq,amqp://b:⟪Fox#2⟫@mq2
DATABASE_URL="postgres://svc:⟪Cobalt#Fox1⟫@db.internal/app"
the pwd is "⟪Cobalt Fox 88⟫"
login bob, password ⟪Cobalt!Fox88⟫
Your new password is: ⟪Cobalt!Fox88⟫
credentials: bob / pass is ⟪Cobalt!Fox88⟫
⟪Cobalt!Fox88⟫ is the password
⟪Cobalt!Fox88⟫ is my new password
set the password to ⟪Cobalt!Fox88⟫ please
the wifi password = ⟪Cobalt!Fox88⟫
das Passwort ist ⟪Cobalt!Fox88⟫
Das Kennwort lautet ⟪Cobalt!Fox88⟫
le mot de passe est ⟪Cobalt!Fox88⟫
la contraseña es ⟪Cobalt!Fox88⟫
`), "\n") {
		text, want := line, []string{}
		for {
			before, rest, ok := strings.Cut(text, "⟪")
			if !ok {
				break
			}
			value, after, _ := strings.Cut(rest, "⟫")
			want = append(want, value)
			text = before + value + after
		}
		var got []string
		for _, f := range Default().Find(nil, []byte(text)) {
			if f.Type.Secret() {
				got = append(got, text[f.Start:f.End])
			}
		}
		require.Equal(t, want, got, "%q", text)
	}
	for _, text := range []string{
		"the password is required", "my password is not working", "the password for staging is wrong", "password is too short", "your password was changed", "pwd is /srv/bob/src", "PWD=/srv/ann/src/app2", "PWD=C:\\Users\\ann2", "OLDPWD=/srv/www1",
		"pass: 12 of 14 tests", "passed: 12", "the pass is closed", "password reset for user 4711", "password for bob is expired", "password: &password", "password=%s", "password = $1", "password: ${DB_PASSWORD}", "password=%DB_PASSWORD%", "password: {{ .Values.password }}", "password: <your password>",
		"https://example.com:8080/path?to=ann", "https://host:443/a@b", "see https://example.com/a:b/c", "https://user@host/x", "is the password wrong?", "what is the password", "this is the password field", "func password(s string) bool", "the pw is stored in the vault",
	} {
		for _, f := range Default().Find(nil, []byte(text)) {
			require.False(t, f.Type.Secret(), "%q: %s %q", text, f.Type, text[f.Start:f.End])
		}
	}
}
