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
la contraseña nueva es ⟪Cobalt!Fox88⟫
a senha é ⟪Cobalt!Fox88⟫
senha ⟪Cobalt!Fox88⟫
usuario ana, clave ⟪Cobalt!Fox88⟫
clave: ⟪Cobalt!Fox88⟫
lösenord: ⟪Cobalt!Fox88⟫
lösenordet är ⟪Cobalt!Fox88⟫
passordet er ⟪Cobalt!Fox88⟫
wachtwoord: ⟪Cobalt!Fox88⟫
het wachtwoord is ⟪Cobalt!Fox88⟫
hasło: ⟪Cobalt!Fox88⟫
la parola d'ordine è ⟪Cobalt!Fox88⟫
mot de passe d'accès : ⟪Cobalt!Fox88⟫
mot de passe : ⟪Cobalt!Fox88⟫
hasło to ⟪Cobalt!Fox88⟫
heslo je ⟪Cobalt!Fox88⟫
jelszó: ⟪Cobalt!Fox88⟫
salasana on ⟪Cobalt!Fox88⟫
şifre: ⟪Cobalt!Fox88⟫
parola ⟪Cobalt!Fox88⟫
мой пароль ⟪Cobalt!Fox88⟫
пароль: ⟪Cobalt!Fox88⟫
пароль от сервера: ⟪Cobalt!Fox88⟫
パスワードは⟪Cobalt!Fox88⟫です
パスワード：⟪Cobalt!Fox88⟫
密码是⟪Cobalt!Fox88⟫，请保密
密码：⟪Cobalt!Fox88⟫
密碼: ⟪Cobalt!Fox88⟫
비밀번호는 ⟪Cobalt!Fox88⟫ 입니다
비밀번호: ⟪Cobalt!Fox88⟫
her password (⟪Cobalt!Fox88⟫) expired
the db password changed to ⟪Cobalt!Fox88⟫ yesterday
password was reset to ⟪Cobalt!Fox88⟫ by ops
password has been set to ⟪Cobalt!Fox88⟫.
I changed my password from ⟪Cobalt!Fox88⟫ today
the new password will be ⟪Cobalt!Fox88⟫
pwd for the vpn: ⟪wad90⟫
machine db login bob password ⟪MediumRed09=⟫
credentials are bob and ⟪Cobalt!Fox88⟫
credentials: bob / ⟪Cobalt!Fox88⟫
creds: bob:⟪Cobalt!Fox88⟫
creds bob ⟪Cobalt!Fox88⟫
login bob / ⟪Cobalt!Fox88⟫
user: bob pass: ⟪Cobalt!Fox88⟫
use bob:⟪Cobalt!Fox88⟫ to get in
Zugangsdaten: bob / ⟪Cobalt!Fox88⟫
wifi: shop-guest, key ⟪Cobalt!Fox88⟫
SSID shop-guest key ⟪Cobalt!Fox88⟫
WLAN-Schlüssel: ⟪Cobalt!Fox88⟫
api key ⟪2018b75f3a3c33322c20ce2733687ebc⟫ was leaked
the API key is ⟪2018b75f3a3c33322c20ce2733687ebc⟫
access key ⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫ of prod
token ⟪5368d073dc925c8ada5fabfa79cdf7293f05b88b⟫ expires on Monday
her token (⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫) is old
the admin pin is ⟪193992⟫
PIN: ⟪4711⟫
PIN code ⟪4711⟫
the passcode of the door is ⟪107358⟫
your verification code is ⟪282472⟫
your code is ⟪282472⟫
Use verification code ⟪282472⟫ to sign in
security code: ⟪282472⟫
one-time code ⟪282472⟫
OTP: ⟪282472⟫
OTP is ⟪282472⟫
⟪282472⟫ is your one-time code
⟪282472⟫ is your Sallyport verification code
Votre code est ⟪223377⟫
Ihr Code lautet ⟪223377⟫
su código es ⟪223377⟫
code de vérification : ⟪223377⟫
CREATE USER bob WITH PASSWORD '⟪Yak127$⟫';
CREATE USER bob IDENTIFIED BY '⟪Yak127$⟫';
sshpass -p ⟪Yak127$⟫ ssh bob@db
db.internal:5432:app:bob:⟪Cobalt!Fox88⟫
*:*:*:bob:⟪Cobalt!Fox88⟫
try ⟪Cobalt!Fox88⟫ as the password
it's ⟪Cobalt!Fox88⟫ (the password)
got in with ⟪Cobalt!Fox88⟫, that password still works
enter ⟪Cobalt!Fox88⟫ for the password
PW ⟪Cobalt!Fox88⟫
login bob senha ⟪Cobalt!Fox88⟫
bob's password: ⟪Cobalt!Fox88⟫
authorization: bearer ⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫
Cookie: session=⟪5368d073dc925c8ada5fabfa79cdf7293f05b88b⟫; theme=dark
Set-Cookie: sid=⟪5368d073dc925c8ada5fabfa79cdf7293f05b88b⟫; Path=/
x-auth-token: ⟪5368d073dc925c8ada5fabfa79cdf7293f05b88b⟫
here's the token: ⟪5368d073dc925c8ada5fabfa79cdf7293f05b88b⟫
client_secret=⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫&grant_type=x
<add key="ApiKey" value="⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫" />
<entry key="secret">⟪9e107d9d372bb6826bd81d35⟫</entry>
{"name": "DB_PASSWORD", "value": "⟪Cobalt!Fox88⟫"}
enable secret ⟪Cisc0Pass9⟫
net use X: \\srv\share /user:bob ⟪Net5hare⟫
Data Source=db;uid=bob;pwd=⟪Cobalt!Fox88⟫
postgres://bob:⟪p%40ss%23w0rd⟫@db.internal:5432/app
redis://:⟪p%40ss%23w0rd⟫@cache-1:6379/0
docker login -u bob -p ⟪Cobalt!Fox88⟫ registry.example.org
mysql -h db -u bob -p⟪Cobalt!Fox88⟫ app
curl -u bob:⟪Cobalt!Fox88⟫ https://x.example.org
curl -H 'X-Api-Key: ⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫' https://x.example.org
PGPASSWORD=⟪fox88⟫ psql -h db
--password ⟪cobaltfox88⟫ --user bob
--token=⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫
DB_PASS='⟪Cobalt;Fox88⟫'
spring.datasource.password=⟪Cobalt!Fox88⟫
const apiKey = "⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫";
auth_token: '⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫'
key=⟪79k1OYXcqn7gIfaYNBVcG5C5oaWwhxW⟫
auth failed for bob using password "⟪Cobalt!Fox88⟫"
connecting with password ⟪cobaltfox88⟫
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
		"the token is valid", "token expired at 2024-05-06", "token 12 of 20", "api key rotated on 2024-05-06", "the cache key is 2018b75f3a3c33322c20ce2733687ebc", "primary key 4711", "key figures for Q3", "secret santa 2024", "the secret is out",
		"exit code is 137", "status code: 404", "error code 500123", "zip code: 94110", "code 404123", "the code is 1234 lines long", "pin 1234 to the top", "pinned: 3", "spin is 1234", "pin the version to 1.2.3", "country code: 0049",
		"login failed for bob / 10.2.3.4", "login bob / web-7", "login at 10:20 / 11:30", "log in with SSO / SAML2", "users: 12 / 14", "credentials are invalid", "credentials are in vault2", "creds expired", "use http://x:8080 here", "use node:20-alpine as base", "use redis:7.2.4 instead",
		"the password changed on 2024-05-06", "password changed by user4711", "the password was reset by admin2", "password (min8) rules", "password (8 characters)", "senha inválida", "clave primaria", "key is required", "wifi key rotation", "hasło wygasło", "пароль неверный",
		"密码错误", "パスワードが違います", "비밀번호 오류", "4711 is your order number", "282472 is your ticket", "123456 is the answer",
	} {
		for _, f := range Default().Find(nil, []byte(text)) {
			require.False(t, f.Type.Secret(), "%q: %s %q", text, f.Type, text[f.Start:f.End])
		}
	}
}
