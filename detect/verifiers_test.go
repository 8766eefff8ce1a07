package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// verifiers are made by the programs themselves, of passwords that protect nothing.
var verifiers = []string{
	"SCRAM-SHA-256$4096:nYCiIVbJpHmFTZnrp7jKkw==$hZ9vrZOUzPnIDYGS5MrsQoqb0o4ztIIXLhQz4nWbEwU=:JrUHtGz7VhvL1fTlXbRs8M0RwYQ5Vb7u2IhDDDKp4rQ=",
	"SCRAM-SHA-512$4096:nYCiIVbJpHmFTZnrp7jKkw==$hZ9vrZOUzPnIDYGS5MrsQoqb0o4ztIIXLhQz4nWbEwUhZ9vrZOUzPnIDYGS5MrsQoqb0o4ztIIXLhQz4nWbEwU=:JrUHtGz7VhvL1fTlXbRs8M0RwYQ5Vb7u2IhDDDKp4rQ=",
	"md5a3556571e93b0d20722ba62be61e8c2d", "$1$xyz9mKpQ$3WmtCcqNrDWSUF1bBcYtS0", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
	"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
	"$5$rounds=5000$toolongsaltstring$Un/5jzAHMgOGZ5.mWJpuolil07jHPvOW8mGHspvNgD/", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
	"$7$CU..../....2Q9obwLhin8qvQl6sisAO/$sOHHXVXTXLfxgj6s4VJqLWKhLXjHTMf.iSL7NtqaoB7", "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b0dWRWJTmaaJObGwB3aUkBvZRc",
	"$argon2i$v=19$m=512,t=2,p=2$aI2R0hpDyLm3ltLa+1/rvQ$LqPKjd6n8yniKtAithoR7A", "{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3", "{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=", "{SSHA512}ALtwKGBdRgD+U0fPAy31C28RyKYx7+a8kmfksccsOeLknLHv2DBXYI7TDnTolQMBuPkWDISgZr2cHfnNPFjGZTEyNDU4OTkw",
	"{CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1", "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG",
	"pbkdf2_sha256$600000$seasalt$OiIBgA+gnqJ2aVDGd2ggxkfPTpzuGfwZOtGOvPnN+8c=", "pbkdf2_sha1$260000$x1x2$fV8nMmvFLDxhdBCHVPqvgBWKiOM=", "bcrypt_sha256$$2b$12$OUwUYLpxpZ1sKUDE0rMDfuyoEvPCBCDWiYfbJTvNhMXkPiyPgxp6S",
	"argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw", "scrypt$kH2u8tL3Yx$16384$8$5$k1+8Zz9mVwqQk7hD1nQ0xg3Qb1v8s2h6xYt5uPq7rT0=", "sha1$f1f2$b9bf0dd1a8bb2b1a0ddfcd2c0b9a2c1d5e6f7a8b",
	"$P$B55D6LjfHDkINU5wF.v2BuuzO0/XPk/", "$H$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", "$S$DFEr9yPUvzJqPkdBMVmYYZWrCyPFV5WAMY5XEsw0cu4LxRFrpmQq", "$wp$2y$10$gN3d8Yw9nq8z5qkq0l1k3eK0aHh2m4d6f8g0h1j2k3l4z5x6c7v8b",
	"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "scrypt:32768:8:1$8tW7y3ZkQx$5d2a0f3b6c9e8d7f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081", "pbkdf2:sha256:260000$V7s8kQ1x$9c1e5b2f4a6d8c0e1f3a5b7d9c2e4f6a8b0d1c3e5f7a9b2d4c6e8f0a1b3d5c7e",
	"$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A.WF/Z5JZv.lfCIhXXN33N23OSgQYThBYRfk", "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
	"$sha1$40000$jtNX3nZ2$hBNaIXkt4wBI2o5rsi8KejSjNqIq", "AQAAAAEAACcQAAAAEAGJ2sq0Yw8Jq5xX6yW4mF1qk5wK2b3Jp8n7v6c5x4z3l2k1j0h9g8f7d6s5a4p3o2==",
}

// TestVerifiers: what is kept of passwords is a secret, in columns of any name and in
// text, and of it nothing is seen.
func TestVerifiers(t *testing.T) {
	for _, v := range verifiers {
		for _, around := range []string{"%s", "alice %s x", "root:%s:19000:0:99999:7:::", "CREATE ROLE bob; ALTER ROLE bob WITH NOSUPERUSER PASSWORD '%s';", `{"h": "%s"}`, "alice:%s\n", "h=%s\n", "(1,'%s',NULL)"} {
			text := strings.Replace(around, "%s", v, 1)
			at, covered := strings.Index(text, v), false
			for _, f := range Default().Find(nil, []byte(text)) {
				from := 0
				if v[0] == '$' || v[0] == 'b' || v[0] == '{' { // the name of a scheme may stay
					from = strings.LastIndexByte(v[:12], '$')
					from = max(from, 0)
				}
				covered = covered || f.Start <= at+from && f.End >= at+len(v) && f.Type.Secret()
			}
			require.True(t, covered, "%q: %v", text, Default().Find(nil, []byte(text)))
		}
	}
	for _, text := range []string{
		"awk '{print $1$2}' file", "sed 's/$1$//'", "d41d8cd98f00b204e9800998ecf8427e", "md5: d41d8cd98f00b204e9800998ecf8427e  a.txt", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"echo $1$2$3", "price is $5$ or $6$", "SCRAM-SHA-256 is used", "*** 42 ***", "{SHA} is weak", "$2b or not $2b", "scrypt: a key derivation function", "git commit 2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "a*2470C0", "pbkdf2_sha256 with 600000 rounds",
	} {
		require.Empty(t, Default().Find(nil, []byte(text)), text)
	}
}
