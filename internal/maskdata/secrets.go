package maskdata

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// secretKinds are the credentials that scanners for leaked secrets know, by
// what their issuers publish about their form. Those with keys have no form of
// their own: the name before them tells.
var secretKinds = func() []kind {
	token := func(form func(m *Maker) string, keys ...string) kind {
		return kind{typ: "SECRET", make: form, labels: []string{"token", "key", "secret"}, keys: append(keys, "token", "api_key", "secret", "SERVICE_KEY")}
	}
	named := func(form func(m *Maker) string, keys ...string) kind {
		return kind{typ: "SECRET", make: form, labels: keys, keys: keys, weak: true}
	}
	return []kind{
		token(func(m *Maker) string {
			return m.one("AKIA", "ASIA", "ABIA", "ACCA") + m.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
		}, "aws_access_key_id"),
		named(func(m *Maker) string { return m.of(base64Set, 40) }, "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "secretAccessKey"),
		token(func(m *Maker) string { return "AIza" + m.of(urlSafe, 35) }),
		token(func(m *Maker) string { return "ya29." + m.of(urlSafe, 60) }),
		token(func(m *Maker) string { return "GOCSPX-" + m.of(urlSafe, 28) }),
		token(func(m *Maker) string { return m.one("ghp_", "gho_", "ghu_", "ghs_", "ghr_") + m.of(alnum, 36) }),
		token(func(m *Maker) string { return "github_pat_" + m.of(alnum, 22) + "_" + m.of(alnum, 59) }),
		token(func(m *Maker) string {
			return m.one("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glffct-") + m.of(urlSafe, 20)
		}),
		token(func(m *Maker) string { return "glptt-" + m.of(lowerHex, 40) }),
		token(func(m *Maker) string { return "glcbt-" + m.of(alnum, 2) + "_" + m.of(urlSafe, 20) }),
		token(func(m *Maker) string { return "glagent-" + m.of(urlSafe, 50) }),
		token(func(m *Maker) string { return "gloas-" + m.of(urlSafe, 64) }),
		token(func(m *Maker) string { return "glimt-" + m.of(urlSafe, 25) }),
		token(func(m *Maker) string { return "GR1348941" + m.of(urlSafe, 20) }),
		token(func(m *Maker) string { return "xoxb-" + m.digits(12) + "-" + m.digits(12) + "-" + m.of(alnum, 24) }),
		token(func(m *Maker) string {
			return "xoxp-" + m.digits(12) + "-" + m.digits(12) + "-" + m.digits(12) + "-" + m.of(lowerHex, 32)
		}),
		token(func(m *Maker) string {
			return "xapp-1-A" + m.of(upperAlnum, 10) + "-" + m.digits(13) + "-" + m.of(lowerHex, 64)
		}),
		token(func(m *Maker) string { return "xoxe.xoxp-1-" + m.of(alnum, 163) }),
		token(func(m *Maker) string {
			return "https://«hooks.slack.com/services/T" + m.of(upperAlnum, 8) + "/B" + m.of(upperAlnum, 8) + "/" + m.of(alnum, 24) + "»"
		}),
		token(func(m *Maker) string {
			return m.one("sk", "rk") + m.one("_live_", "_test_", "_prod_") + m.of(alnum, 24+m.r.IntN(60))
		}),
		token(func(m *Maker) string { return "whsec_" + m.of(base64Set, 32) }),
		token(func(m *Maker) string { return "sk-" + m.of(alnum, 20) + "T3BlbkFJ" + m.of(alnum, 20) }),
		token(func(m *Maker) string { return "sk-proj-" + m.of(urlSafe, 74) + "T3BlbkFJ" + m.of(urlSafe, 74) }),
		token(func(m *Maker) string { return m.one("sk-ant-api03-", "sk-ant-admin01-") + m.of(urlSafe, 93) + "AA" }),
		token(func(m *Maker) string { return "hf_" + m.of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 34) }),
		token(func(m *Maker) string {
			return "api_org_" + m.of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", 34)
		}),
		token(func(m *Maker) string { return "pplx-" + m.of(alnum, 48) }),
		token(func(m *Maker) string { return "gsk_" + m.of(alnum, 52) }),
		token(func(m *Maker) string { return "r8_" + m.of(alnum, 37) }),
		token(func(m *Maker) string { return "SG." + m.of(urlSafe, 22) + "." + m.of(urlSafe, 43) }),
		token(func(m *Maker) string { return "key-" + m.of(lowerHex, 32) }),
		token(func(m *Maker) string { return "pubkey-" + m.of(lowerHex, 32) }),
		token(func(m *Maker) string { return m.of(lowerHex, 32) + "-us" + m.digits(2) }, "mailchimp_key"),
		token(func(m *Maker) string { return "xkeysib-" + m.of(lowerHex, 64) + "-" + m.of(lowerAlnum, 16) }),
		token(func(m *Maker) string { return "npm_" + m.of(alnum, 36) }),
		token(func(m *Maker) string { return "pypi-AgEIcHlwaS5vcmc" + m.of(urlSafe, 60+m.r.IntN(100)) }),
		token(func(m *Maker) string { return "rubygems_" + m.of(lowerHex, 48) }),
		token(func(m *Maker) string { return "oy2" + m.of(lowerAlnum, 43) }),
		token(func(m *Maker) string { return "dckr_pat_" + m.of(urlSafe, 27) }),
		token(func(m *Maker) string { return "CLOJARS_" + m.of(lowerAlnum, 60) }),
		token(func(m *Maker) string {
			return m.one("shpat_", "shpss_", "shpca_", "shppa_") + m.of("abcdef0123456789", 32)
		}),
		token(func(m *Maker) string { return "lin_api_" + m.of(alnum, 40) }),
		token(func(m *Maker) string { return "ntn_" + m.digits(11) + m.of(alnum, 35) }),
		token(func(m *Maker) string { return "secret_" + m.of(alnum, 43) }, "notion_token"),
		token(func(m *Maker) string { return "figd_" + m.of(urlSafe, 40) }),
		token(func(m *Maker) string { return "hvs." + m.of(urlSafe, 95) }),
		token(func(m *Maker) string { return "hvb." + m.of(urlSafe, 140) }),
		token(func(m *Maker) string { return m.of(alnum, 14) + ".atlasv1." + m.of(urlSafe, 64) }),
		token(func(m *Maker) string { return "dop_v1_" + m.of(lowerHex, 64) }),
		token(func(m *Maker) string { return "dapi" + m.of(lowerHex, 32) }),
		token(func(m *Maker) string { return "pul-" + m.of(lowerHex, 40) }),
		token(func(m *Maker) string { return m.one("sntrys_eyJ", "sntryu_") + m.of(lowerHex, 64) }),
		token(func(m *Maker) string { return "NRAK-" + m.of(upperAlnum, 27) }),
		token(func(m *Maker) string { return "NRJS-" + m.of(lowerHex, 19) }),
		token(func(m *Maker) string { return "NRII-" + m.of(urlSafe, 32) }),
		token(func(m *Maker) string { return "glsa_" + m.of(alnum, 32) + "_" + m.of(lowerHex, 8) }),
		token(func(m *Maker) string { return "glc_" + m.of(base64Set, 64) }),
		token(func(m *Maker) string { return "eyJrIjoi" + m.of(alnum, 80) }),
		token(func(m *Maker) string { return "PMAK-" + m.of(lowerHex, 24) + "-" + m.of(lowerHex, 34) }),
		token(func(m *Maker) string { return "ATATT3" + m.of(urlSafe, 186) }),
		token(func(m *Maker) string { return "LTAI" + m.of(lowerAlnum, 20) }),
		token(func(m *Maker) string { return "AKCp" + m.of(alnum, 69) }),
		token(func(m *Maker) string { return "cmVmd" + m.of(alnum, 59) }),
		token(func(m *Maker) string {
			return "A3-" + m.of(upperAlnum, 6) + "-" + m.of(upperAlnum, 6) + "-" + m.of(upperAlnum, 5) + "-" + m.of(upperAlnum, 5) + "-" + m.of(upperAlnum, 5) + "-" + m.of(upperAlnum, 5)
		}),
		token(func(m *Maker) string { return "ops_eyJ" + m.of(base64Set, 260) }),
		token(func(m *Maker) string { return "p8e-" + m.of(lowerAlnum, 32) }),
		token(func(m *Maker) string { return "AGE-SECRET-KEY-1" + m.of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58) }),
		token(func(m *Maker) string { return m.of(urlSafe, 3) + m.digits(1) + "Q~" + m.of(alnum+"_~.-", 33) }, "azure_client_secret"),
		token(func(m *Maker) string { return "4b1d" + m.of(alnum, 38) }),
		token(func(m *Maker) string { return "v1.0-" + m.of(lowerHex, 24) + "-" + m.of(lowerHex, 146) }),
		token(func(m *Maker) string { return "dp.pt." + m.of(alnum, 43) }),
		token(func(m *Maker) string { return m.one("duffel_test_", "duffel_live_") + m.of(urlSafe, 43) }),
		token(func(m *Maker) string { return "dt0c01." + m.of(upperAlnum, 24) + "." + m.of(upperAlnum, 64) }),
		token(func(m *Maker) string { return m.one("EZAK", "EZTK") + m.of(alnum, 54) }),
		token(func(m *Maker) string { return m.one("EAAC", "EAAM") + m.of(alnum, 120) }),
		token(func(m *Maker) string { return "FLWSECK_TEST-" + m.of("abcdefgh0123456789", 32) + "-X" }),
		token(func(m *Maker) string { return "fo1_" + m.of(urlSafe, 43) }),
		token(func(m *Maker) string { return m.one("fm2_", "fm1r_", "fm1a_") + m.of(base64Set, 120) }),
		token(func(m *Maker) string { return "fio-u-" + m.of(urlSafe, 64) }),
		token(func(m *Maker) string {
			return "pat." + m.of(urlSafe, 22) + "." + m.of(alnum, 24) + "." + m.of(alnum, 20)
		}),
		token(func(m *Maker) string { return "HRKU-AA" + m.of(urlSafe, 58) }),
		token(func(m *Maker) string { return "ico-" + m.of(alnum, 32) }),
		token(func(m *Maker) string { return "s-s4t2ud-" + m.of(lowerHex, 64) }),
		token(func(m *Maker) string { return "pk." + m.of(lowerAlnum, 60) + "." + m.of(lowerAlnum, 22) }),
		token(func(m *Maker) string { return m.of(alnum, 6) + "_" + m.of(alnum, 29) + "_mmk" }, "maxmind_license_key"),
		token(func(m *Maker) string { return "API-" + m.of(upperAlnum, 26) }, "octopus_api_key"),
		token(func(m *Maker) string { return "sha256~" + m.of(urlSafe, 43) }),
		token(func(m *Maker) string { return m.one("pscale_tkn_", "pscale_pw_", "pscale_oauth_") + m.of(alnum, 43) }),
		token(func(m *Maker) string { return "pnu_" + m.of(lowerAlnum, 36) }),
		token(func(m *Maker) string { return "rdme_" + m.of(lowerAlnum, 70) }),
		token(func(m *Maker) string { return "tk-us-" + m.of(urlSafe, 48) }),
		token(func(m *Maker) string { return m.one("sm_aat_", "sm_pat_", "sm_sat_") + m.of(alnum, 16) }),
		token(func(m *Maker) string { return m.one("shippo_live_", "shippo_test_") + m.of(lowerHex, 40) }),
		token(func(m *Maker) string { return m.one("squ_", "sqp_", "sqa_") + m.of(lowerHex, 40) }),
		token(func(m *Maker) string { return "sgp_" + m.of(lowerHex, 16) + "_" + m.of(lowerHex, 40) }),
		token(func(m *Maker) string { return m.one("sq0atp-", "sq0csp-") + m.of(urlSafe, 43) }),
		token(func(m *Maker) string { return "EAAA" + m.of(urlSafe, 60) }),
		token(func(m *Maker) string { return m.digits(10) + ":A" + m.of(urlSafe, 34) }, "telegram_bot_token"),
		token(func(m *Maker) string { return "SK" + m.of(lowerHex, 32) }, "twilio_api_key"),
		token(func(m *Maker) string { return "AAAAAAAAAAAAAAAAAAAAAA" + m.of(alnum, 90) }),
		token(func(m *Maker) string { return "tfp_" + m.of(urlSafe+".", 59) }),
		token(func(m *Maker) string { return "AQVN" + m.of(urlSafe, 36) }),
		token(func(m *Maker) string { return "access-" + m.one("sandbox", "production") + "-" + m.uuid() }),
		token((*Maker).jwt), token((*Maker).jwt),
		{typ: "SECRET", make: (*Maker).pem, labels: []string{"key"}, keys: []string{"private_key"}},
		{typ: "SECRET", make: (*Maker).pem, labels: []string{"key"}, keys: []string{"private_key"}},
		{typ: "SECRET", make: (*Maker).url, labels: []string{"database"}, keys: []string{"DATABASE_URL", "dsn", "url"}},
		{typ: "SECRET", make: (*Maker).url, labels: []string{"database"}, keys: []string{"REDIS_URL", "conn", "url"}},
		{typ: "SECRET", make: (*Maker).connection, labels: []string{"connection string"}, keys: []string{"conn", "connection_string"}},
		{typ: "SECRET", make: (*Maker).connection, labels: []string{"connection string"}, keys: []string{"conn", "connection_string"}},
		{typ: "SECRET", make: (*Maker).header, labels: []string{"header"}, keys: []string{"header"}},
		{typ: "SECRET", make: (*Maker).header, labels: []string{"header"}, keys: []string{"header"}},
		named((*Maker).password, "password", "passwd", "PASSWORD", "db_password", "pwd", "MYSQL_ROOT_PASSWORD", "userPassword", "admin_pass", "PGPASSWORD", "pass", "Passwort"),
		named((*Maker).password, "password", "login_password", "smtp_password", "SMTP_PASS", "dbPassword", "redis.password", "spring.datasource.password", "ansible_ssh_pass"),
		named(func(m *Maker) string { return m.of(lowerHex, 32) }, "datadog_api_key", "DD_API_KEY", "adobe_client_secret", "FACEBOOK_APP_SECRET", "discord_client_secret", "finicity_token", "bittrex_secret", "algolia_api_key", "codecov_token", "fastly_api_token", "DRONECI_TOKEN"),
		named(func(m *Maker) string { return m.of(alnum, 40) }, "cohere_api_key", "CO_API_KEY", "cloudflare_api_key", "datadog_app_key", "gitter_token", "auth_token", "access_token", "refresh_token", "encryption_key", "signing_key", "jwt_secret"),
		named(func(m *Maker) string { return m.of(lowerHex, 64) }, "coinbase_access_token", "freshbooks_token", "confluent_secret", "discord_token", "SECRET_KEY_BASE", "app_secret", "bitbucket_client_secret", "webhook_secret", "session_secret", "MASTER_KEY"),
		named((*Maker).uuid, "heroku_api_key", "HEROKU_API_TOKEN", "hubspot_api_key", "client_secret", "snyk_token"),
		named(func(m *Maker) string { return m.of(lowerAlnum, 24) }, "etsy_access_token", "jira_api_token", "api_secret", "x-api-key", "client_secret", "apikey", "API_KEY", "apiToken"),
		named(func(m *Maker) string { return m.of(base64Set, 86) + "==" }, "AccountKey", "azure_storage_key", "SharedAccessKey", "storage_account_key", "kraken_secret"),
	}
}()

func (m *Maker) uuid() string {
	return m.of(lowerHex, 8) + "-" + m.of(lowerHex, 4) + "-4" + m.of(lowerHex, 3) + "-a" + m.of(lowerHex, 3) + "-" + m.of(lowerHex, 12)
}

func (m *Maker) jwt() string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(m.one(`{"alg":"HS256","typ":"JWT"}`, `{"typ":"JWT","alg":"RS256"}`, `{"alg":"ES256","kid":"a1"}`)) + "." + part(`{"sub":"`+m.digits(8)+`","iat":`+m.digits(10)+`}`) + "." + m.of(urlSafe, 43)
}

func (m *Maker) pem() string {
	kind := m.one("RSA ", "EC ", "", "OPENSSH ", "DSA ", "ENCRYPTED ")
	nl := m.one("\n", "\n", "\\n")
	body := ""
	for range 3 + m.r.IntN(20) {
		body += m.of(base64Set, 64) + nl
	}
	return "-----BEGIN " + kind + "PRIVATE KEY-----" + nl + body + m.of(base64Set, 30) + "==" + nl + "-----END " + kind + "PRIVATE KEY-----"
}

func (m *Maker) url() string {
	return m.one("postgres://", "postgresql://", "mysql://", "mongodb://", "mongodb+srv://", "redis://", "amqp://", "https://", "ftp://", "smtp://", "jdbc:postgresql://") +
		m.one("app", "root", "admin", "svc_user", "alice.b") + ":«" + m.one(m.of(alnum, 12), "p%40ss"+m.digits(3), m.of(alnum+"!$*_-", 14)+"1", "hunter"+m.digits(1)) + "»@" + m.one("db.internal:5432/shop", "db-1/app", "cache:6379/0", "example.com/path?x=1", "host.example.org")
}

func (m *Maker) connection() string {
	p := m.one(m.of(alnum, 14), "P4ss"+m.of(alnum, 5)+"!", m.of(alnum, 8))
	return m.one("Server=db;Database=shop;User Id=sa;Password=«"+p+"»;Encrypt=true", "host=db user=app password=«"+p+"» dbname=x", "Data Source=tcp:x,1433;Uid=app;Pwd=«"+p+"»;", "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=«"+m.of(base64Set, 86)+"==»;EndpointSuffix=core.windows.net",
		"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=«"+m.of(base64Set, 43)+"=»", "mysql -u root -p«"+p+"» shop", "curl -u admin:«"+p+"» https://example.com", "sshpass -p «"+p+"» ssh host", "export PGPASSWORD=«"+p+"»")
}

func (m *Maker) header() string {
	user := "user:" + m.of(alnum, 10)
	return m.one("Authorization: Bearer «"+m.of(urlSafe, 40)+"»", "Authorization: Basic «"+base64.StdEncoding.EncodeToString([]byte(user))+"»", "X-Api-Key: «"+m.of(alnum, 32)+"»", "authorization: token «"+m.of(lowerHex, 40)+"»", "Cookie: _gitlab_session=«"+m.of(lowerHex, 32)+"»",
		"X-Auth-Token: «"+m.of(lowerHex, 32)+"»", "Proxy-Authorization: Basic «"+base64.StdEncoding.EncodeToString([]byte(user))+"»", "Set-Cookie: session=«"+m.of(alnum, 32)+"»; HttpOnly", "X-Vault-Token: «hvs."+m.of(alnum, 24)+"»", "PRIVATE-TOKEN: «"+m.of(alnum, 20)+"»", "api-key: «"+hex.EncodeToString([]byte(m.of(alnum, 16)))+"»")
}

// Secret returns a text with one credential.
func (m *Maker) Secret() Sample {
	k := &secretKinds[m.r.IntN(len(secretKinds))]
	v := k.make(m)
	if strings.Contains(v, "\n") || strings.Contains(v, "=«") || strings.Contains(v, "; ") || strings.Contains(v, ": «") || strings.Contains(v, " «") {
		return within(m.one("{V}", "config:\n{V}\n# end", "use {V}\n", "$ {V}\n"), v, k.typ)
	}
	t := ""
	switch n := m.r.IntN(10); {
	case n < 7 || k.weak:
		t = strings.ReplaceAll(pick(m, secretPlaces), "{K}", pick(m, k.keys))
	case n < 8:
		t = strings.ReplaceAll(m.one("my {L} is {V}", "{L}: {V}", "The {L} {V} has leaked."), "{L}", pick(m, k.labels))
	default:
		t = strings.ReplaceAll(pick(m, bare), "{V2}", "next")
	}
	return within(t, v, k.typ)
}

// secretPlaces are lines of configuration and code.
var secretPlaces = []string{
	`{K} = "{V}"`, "{K}={V}", "{K}: {V}", `{"{K}": "{V}"}`, `export {K}="{V}"`, "{K}: '{V}'", `const {K} = '{V}';`, `os.environ["{K}"] = "{V}"`, "<{K}>{V}</{K}>", `{K} => "{V}"`, `{K} := "{V}"`, "--{K}={V} --verbose", "--{K} {V}", `"{K}" : "{V}",`,
	"ENV {K} {V}", `  {K}: "{V}"  # rotate`, `set {K} "{V}"`, `var {K} string = "{V}"`, `{\"{K}\":\"{V}\"}`, "{K}='{V}' ./run.sh", `config.{K} = "{V}"`, `setProperty("{K}", "{V}")`,
}
