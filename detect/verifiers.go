package detect

import "bytes"

// verifierRecognizers are what databases, systems and frameworks keep of passwords: with
// one, a password can be guessed without end, and some prove a login by themselves.
func verifierRecognizers() []Recognizer {
	const crypt = "-A-Za-z0-9./$=,+_"
	verifier := func(body string, least, most int, check func(v []byte) bool, literals ...string) (ps []Prefix) {
		for _, l := range literals {
			ps = append(ps, Prefix{Literal: l, Body: body, Min: least, Max: most, Check: check})
		}
		return ps
	}
	var ps []Prefix
	add := func(list []Prefix) { ps = append(ps, list...) }
	add(verifier("A-Za-z0-9+/=:$", 60, 256, nil, "SCRAM-SHA-1$", "SCRAM-SHA-256$", "SCRAM-SHA-512$"))
	add(verifier("0-9a-f", 32, 32, nil, "md5"))
	// crypt(3) of systems, and what programs have made like it.
	add(verifier(crypt, 22, 256, hashed(22), "$1$", "$5$", "$6$", "$7$", "$8$", "$9$", "$y$", "$gy$", "$2a$", "$2b$", "$2x$", "$2y$", "$apr1$", "$sha1$", "$md5,", "$md5$",
		"$argon2id$", "$argon2i$", "$argon2d$", "$scrypt$", "$pbkdf2", "$bcrypt-sha256$", "$s0$", "$s1$"))
	add(verifier(crypt, 31, 31, nil, "$P$", "$H$"))
	add(verifier(crypt, 52, 52, nil, "$S$"))
	add(verifier("0-9a-f", 32, 32, nil, "$NT$", "$3$$"))
	// Of frameworks.
	add(verifier(crypt, 30, 512, hashed(22), "pbkdf2_sha256$", "pbkdf2_sha1$", "pbkdf2_sha512$", "scrypt$", "argon2$", "bcrypt$", "bcrypt_sha256$", "pbkdf2$"))
	add(verifier(crypt, 33, 256, hashed(32), "sha1$", "sha256$", "sha512$", "md5$"))
	add(verifier(crypt+":", 40, 512, hashed(32), "scrypt:", "pbkdf2:"))
	// Of directories (RFC 2307), and what has taken their form.
	for _, scheme := range [...]string{"SHA", "SSHA", "SHA224", "SHA256", "SSHA256", "SHA384", "SSHA384", "SHA512", "SSHA512", "MD5", "SMD5", "CRYPT", "PBKDF2", "PBKDF2-SHA256", "PBKDF2-SHA512", "ARGON2", "BCRYPT", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "SCRAM-SHA-256"} {
		add(verifier(crypt, 13, 512, nil, "{"+scheme+"}", "{"+string(bytes.ToLower([]byte(scheme)))+"}"))
	}
	// Of MySQL and .NET.
	for _, c := range "0123456789ABCDEF" {
		add(verifier("0-9A-F", 39, 39, nil, "*"+string(c)))
	}
	add(verifier("\x01-&(-\xff", 63, 70, nil, "$A$005$"))
	add(verifier("A-Za-z0-9+/=", 60, 120, nil, "AQAAAAEAACcQ", "AQAAAAIAAYag"))
	return []Recognizer{{Type: Secret, Score: 98, Prefixes: ps}}
}

// hashed returns a check that the last part of a verifier is at least least bytes,
// and that letters are among them.
func hashed(least int) func(v []byte) bool {
	return func(v []byte) bool {
		last := v[bytes.LastIndexByte(v, '$')+1:]
		if len(last) < least {
			return false
		}
		for _, c := range last {
			if isAlnum(c) && !isDigit(c) {
				return true
			}
		}
		return false
	}
}
