package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
)

func TestNamesSecret(t *testing.T) {
	for _, name := range strings.Fields("password Password_hash user_passwd oldPasswort pwd db_pwd2 secret client-secret SECRETS token api_tokens tokenised_by PGPASSWORD " +
		"apikey API_KEY x-api-key apiKeys private_key privateKey sshPrivateKeyFile passphrase gpg_passphrase pw hashed_pw passcode signingKey encryption_key_old cvv card_cvc pinhash " +
		strings.Repeat("x", 200) + "_password") {
		require.True(t, NamesSecret(name), name)
	}
	require.True(t, NamesSecret("API key"))
	for _, name := range strings.Fields("id name passenger boarding_pass compass bypass_width key foreign_key public_key keys passport author authorised_at api apis_kept private privacy_keyword email pwned code " +
		strings.Repeat("p", 200)) {
		require.False(t, NamesSecret(name), name)
	}
	require.False(t, NamesSecret(""))
}

// secretTexts are texts that may set or give a secret: by a word, by an option of a command,
// by a value.
var secretTexts = []string{
	"ALTER ROLE ann PASSWORD x", "create user u identified with x by 'y'", "host=x PassWord=y", "PWD=y", "env SECRET=hunter2 run", "secret: x", "aws_secret_access_key x",
	"run --token x", "TOKEN=x", "{token: x}", "apikey x", "INSERT INTO api_keys VALUES (1)", "x-API-Key: y", "-----BEGIN OPENSSH PRIVATE KEY-----", "bearer x", "Authorization: x", "sshpass -f x",

	"mysql -uroot -phunter2 -e 'select 1'", "mariadb-dump\t-px shop", "mysql '-phunter2'", "curl -u ann:hunter2 https://x", "curl --user ann:x https://x", "curl -sSu ann:x https://x",
	"curl https://x \\\n-u ann", "wget -u a:b", "redis-cli -a hunter2 get x", "docker login -u ann -p hunter22 x",

	"INSERT INTO t VALUES ('ghp_" + strings.Repeat("a1B2", 9) + "')", "SELECT 'AKIAIOSFODNN7EXAMPLE'", "UPDATE t SET v = 'xoxb-123456789012-abcdefghijkl'",
	"UPDATE t SET v = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl'",
	"UPDATE pg_authid SET v = 'md5" + strings.Repeat("9f", 16) + "'", "SELECT 'SCRAM-SHA-256$4096:" + strings.Repeat("YWJj", 6) + "$" + strings.Repeat("ZGVm", 11) + ":" + strings.Repeat("ZGVm", 11) + "'",
	"echo 'root:$6$saltsalt$" + strings.Repeat("aB3", 20) + "' >> shadow", "psql postgres://ann:hunter22@db/shop", "AGE-SECRET-KEY-1" + strings.Repeat("Q2", 29), "export DB_PASS=hunter2x",
	"the passphrase is hunter2x",
}

// plainTexts name what holds secrets, or look like what gives one.
var plainTexts = []string{
	"", "-", "-p", "SELECT * FROM tokens", "kubectl get secret", "ls -p", "git push -u origin", "SELECT keys FROM map", "mysqldump shop", "passer", "mysql -p shop", "curl -sS https://x -o /dev/null",
	"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;", "SELECT * FROM t WHERE mail = 'ann.lee@example.com' AND card = '4111 1111 1111 1111'",
	"SELECT '5f4dcc3b-5aa7-65d6-1d83-27deb882cf99'::uuid", "git show 9f8e7d6c5b4a39281706f5e4d3c2b1a098765432", "INSERT INTO t VALUES ('The quick brown fox', 'Oliver Stone', 10.0)",
	"curl https://user.example.com/path", "curl --user-agent x https://x",
}

func TestMaySetSecret(t *testing.T) {
	for _, s := range secretTexts {
		require.True(t, MaySetSecret([]byte(s)), s)
		require.True(t, MaySetSecret([]byte("x\n "+s)), s)
	}
	for _, s := range plainTexts {
		require.False(t, MaySetSecret([]byte(s)), s)
	}
}

// TestMentionAllocatesNothing: what is asked of each operation costs no memory.
func TestMentionAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("a pool drops what it holds under the race detector")
	}
	for _, s := range append(secretTexts, plainTexts...) {
		text := []byte(s)
		require.Zero(t, testing.AllocsPerRun(10, func() { MaySetSecret(text); NamesSecret(s) }), s)
	}
}

func BenchmarkMaySetSecret(b *testing.B) {
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		MaySetSecret(text)
	}
}
