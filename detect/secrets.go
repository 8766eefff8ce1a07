package detect

import (
	"bytes"
	"encoding/base64"
	"slices"
)

const (
	alnum    = "A-Za-z0-9"
	wordish  = "A-Za-z_0-9-"
	lowerHex = "0-9a-f"

	lowerAlnum = "a-z0-9"
)

// secretRecognizers are keys and tokens that providers mark by their form.
func secretRecognizers() []Recognizer {
	one := func(t Type, ps ...Prefix) Recognizer { return Recognizer{Type: t, Score: 97, Prefixes: ps} }
	const aws = "A-Z2-7"
	const hexes = "0-9a-fA-F"
	const base64 = alnum + "+/="
	// fixed are literals with bodies of one length.
	fixed := func(body string, n int, literals ...string) (ps []Prefix) {
		for _, l := range literals {
			ps = append(ps, Prefix{Literal: l, Body: body, Min: n})
		}
		return ps
	}
	upTo := func(body string, least, most int, literals ...string) (ps []Prefix) {
		for _, l := range literals {
			ps = append(ps, Prefix{Literal: l, Body: body, Min: least, Max: most})
		}
		return ps
	}
	return []Recognizer{
		one(PrivateKey, Prefix{Literal: "-----BEGIN "}, Prefix{Literal: "AGE-SECRET-KEY-1", Body: "A-Z0-9", Min: 58}, Prefix{Literal: "PuTTY-User-Key-File-", Body: "\x01-\xff", Min: 40, Max: 8192}),
		one(JWT, Prefix{Literal: "eyJ", Body: wordish + ".", Min: 20, Max: 16384, Check: validJWT}),
		one(CloudKey, slices.Concat(
			fixed(aws, 16, "AKIA", "ASIA", "ABIA", "ACCA"), fixed(lowerHex, 64, "dop_v1_", "doo_v1_", "dor_v1_"),
			[]Prefix{
				{Literal: "AIza", Body: wordish, Min: 35},
				{Literal: "ya29.", Body: wordish + ".", Min: 20, Max: 1024},
				{Literal: "GOCSPX-", Body: wordish, Min: 28},
				{Literal: "LTAI", Body: alnum, Min: 16, Max: 20},
				{Literal: "AKCp", Body: alnum, Min: 60, Max: 80},
				{Literal: "cmVmd", Body: alnum, Min: 59},
				{Literal: "FlyV1 ", Body: alnum + "_+/=,-", Min: 40, Max: 4096},
				{Literal: "fo1_", Body: wordish, Min: 43},
				{Literal: "AQVN", Body: wordish, Min: 35, Max: 40, Check: mixedCase},
				{Literal: "Q~", Before: alnum + "_~.", Least: 4, Body: alnum + "_~.-", Min: 31, Max: 34},
				{Literal: "HRKU-AA", Body: wordish, Min: 58},
				{Literal: "YC", Body: wordish, Min: 38, Check: mixedCase},
			},
			upTo(base64, 100, 4096, "fm1r_", "fm1a_", "fm2_"),
		)...),
		one(APIToken, slices.Concat(
			upTo(alnum, 36, 251, "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
			upTo(wordish+".", 20, 300, "glpat-", "gldt-", "glrt-", "glsoat-", "glcbt-", "glft-", "glffct-", "glimt-", "glagent-", "gloas-", "glptt-", "glwt-"),
			upTo(alnum+"-", 20, 512, "xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-"), upTo(alnum+"-.", 20, 512, "xoxe-", "xoxe."),
			upTo(alnum, 10, 256, "sk_live_", "rk_live_", "sk_test_", "rk_test_", "sk_prod_", "rk_prod_"),
			fixed(hexes, 32, "shpat_", "shpss_", "shpca_", "shppa_"),
			upTo(alnum, 54, 60, "EZAK", "EZTK"), upTo(alnum, 80, 512, "EAAC", "EAAM"), upTo(alnum+"_=.-", 32, 128, "pscale_tkn_", "pscale_pw_", "pscale_oauth_"),
			upTo(alnum+"_=.-", 43, 64, "duffel_test_", "duffel_live_"), upTo(alnum, 16, 64, "sm_aat_", "sm_pat_", "sm_sat_"), fixed(lowerHex, 40, "shippo_live_", "shippo_test_", "pul-"),
			upTo(alnum+"_=-", 40, 48, "squ_", "sqp_", "sqa_"), upTo(alnum+"-", 12, 64, "FLWSECK_TEST-", "FLWPUBK_TEST-", "FLWSECK-"), upTo(wordish+".", 60, 80, "pat.", "sat."),
			upTo(lowerHex+"-", 36, 36, "access-sandbox-", "access-production-", "access-development-"), upTo(alnum, 34, 34, "api_org_"),
			[]Prefix{
				{Literal: "github_pat_", Body: alnum + "_", Min: 60, Max: 251},
				{Literal: "GR1348941", Body: wordish, Min: 20},
				{Literal: "xapp-", Body: alnum + "-", Min: 30, Max: 256},
				{Literal: "hooks.slack.com/", Body: alnum + "/", Min: 30, Max: 96},
				{Literal: "whsec_", Body: base64, Min: 24, Max: 128},
				{Literal: "sk-", Body: wordish, Min: 32, Max: 300, Check: mixed},
				{Literal: "SG.", Body: wordish + ".", Min: 60, Max: 80, Check: func(v []byte) bool { return bytes.Count(v, []byte{'.'}) == 2 }},
				{Literal: "npm_", Body: alnum, Min: 36},
				{Literal: "pypi-AgE", Body: wordish, Min: 50, Max: 512},
				{Literal: "dckr_pat_", Body: wordish, Min: 27, Max: 64},
				{Literal: "dckr_oat_", Body: wordish, Min: 27, Max: 64},
				{Literal: "hf_", Body: alnum, Min: 30, Max: 64, Check: mixedCase},
				{Literal: "lin_api_", Body: alnum, Min: 32, Max: 64},
				{Literal: "figd_", Body: wordish, Min: 36, Max: 64},
				{Literal: "ntn_", Body: alnum, Min: 40, Max: 64},
				{Literal: "secret_", Body: alnum, Min: 43},
				{Literal: "sq0atp-", Body: wordish, Min: 22, Max: 64},
				{Literal: "sq0csp-", Body: wordish, Min: 43, Max: 64},
				{Literal: "EAAA", Body: wordish + "=", Min: 60, Check: mixedCase},
				{Literal: "hvs.", Body: wordish, Min: 24, Max: 256},
				{Literal: "hvb.", Body: wordish, Min: 90, Max: 400},
				{Literal: "hvr.", Body: wordish, Min: 24, Max: 256},
				{Literal: ".atlasv1.", Before: alnum, Least: 14, Body: wordish + "=", Min: 60, Max: 70},
				{Literal: "dapi", Body: lowerHex, Min: 32},
				{Literal: "rubygems_", Body: lowerHex, Min: 48},
				{Literal: "sntrys_", Body: base64 + "_", Min: 40, Max: 512},
				{Literal: "sntryu_", Body: lowerHex, Min: 64},
				{Literal: "NRAK-", Body: "A-Z0-9", Min: 27},
				{Literal: "NRJS-", Body: lowerHex, Min: 19},
				{Literal: "NRII-", Body: wordish, Min: 32},
				{Literal: "glsa_", Body: alnum + "_", Min: 40, Max: 64},
				{Literal: "glc_", Body: base64, Min: 32, Max: 512},
				{Literal: "eyJrIjoi", Body: base64, Min: 70, Max: 400},
				{Literal: "PMAK-", Body: lowerHex + "-", Min: 50, Max: 64},
				{Literal: "gsk_", Body: alnum, Min: 40, Max: 64, Check: mixedCase},
				{Literal: "xai-", Body: alnum, Min: 60, Max: 100},
				{Literal: "r8_", Body: alnum, Min: 37},
				{Literal: "pplx-", Body: alnum, Min: 40, Max: 64},
				{Literal: "key-", Body: lowerHex, Min: 32},
				{Literal: "pubkey-", Body: lowerHex, Min: 32},
				{Literal: "-us", Before: lowerHex, Least: 32, Body: "0-9", Min: 1, Max: 2},
				{Literal: "xkeysib-", Body: lowerAlnum + "-", Min: 70, Max: 90},
				{Literal: "xsmtpsib-", Body: lowerAlnum + "-", Min: 70, Max: 90},
				{Literal: "oy2", Body: lowerAlnum, Min: 43, Check: mixed},
				{Literal: "CLOJARS_", Body: lowerAlnum, Min: 60},
				{Literal: "ATATT3", Body: wordish + "=", Min: 150, Max: 256},
				{Literal: "ATBB", Body: alnum, Min: 28, Max: 64, Check: mixedCase},
				{Literal: "A3-", Body: "A-Z0-9-", Min: 32, Max: 40, Check: func(v []byte) bool { return bytes.Count(v, []byte{'-'}) >= 5 }},
				{Literal: "ops_eyJ", Body: base64 + "_-", Min: 100, Max: 4096},
				{Literal: "p8e-", Body: lowerAlnum, Min: 32},
				{Literal: "dp.pt.", Body: alnum, Min: 43},
				{Literal: "dp.st.", Body: wordish + ".", Min: 40, Max: 80},
				{Literal: "dt0c01.", Body: alnum + ".", Min: 80, Max: 96},
				{Literal: "fio-u-", Body: wordish + "=", Min: 64},
				{Literal: "ico-", Body: alnum, Min: 32},
				{Literal: "s-s4t2", Body: lowerHex + "u-", Min: 60, Max: 70},
				{Literal: "pk.", Body: lowerAlnum + ".", Min: 70, Max: 90, Check: mixed},
				{Literal: "sk.ey", Body: wordish + ".", Min: 60, Max: 120},
				{Literal: "_mmk", Before: alnum + "_", Least: 36},
				{Literal: "API-", Body: "A-Z0-9", Min: 26, Check: mixed},
				{Literal: "sha256~", Body: wordish, Min: 43},
				{Literal: "pnu_", Body: lowerAlnum, Min: 36},
				{Literal: "rdme_", Body: lowerAlnum, Min: 70},
				{Literal: "tk-us-", Body: wordish, Min: 48},
				{Literal: "sgp_", Body: hexes + "local_", Min: 40, Max: 60},
				{Literal: ":A", Before: "0-9", Least: 8, Body: wordish, Min: 33, Max: 35, Check: mixedCase},
				{Literal: "SK", Body: lowerHex, Min: 32},
				{Literal: "AAAAAAAAAAAAAAAAAAAAAA", Body: alnum + "%", Min: 70, Max: 110, Check: func(v []byte) bool { return mixed(v) && mixedCase(v[18:]) }},
				{Literal: "tfp_", Body: wordish + ".=", Min: 40, Max: 64},
				{Literal: "AC", Body: lowerHex, Min: 32},
				{Literal: "dnkey-", Body: wordish + "=", Min: 79},
				{Literal: "NRAA-", Body: lowerHex, Min: 27},
				{Literal: "live_", Body: wordish + "=", Min: 40, Max: 44, Check: mixed},
				{Literal: "sl.", Body: wordish + "=", Min: 130, Max: 200},
				{Literal: "lsv2_", Body: lowerHex + "pskt_", Min: 40, Max: 60},
			},
		)...),
		one(Secret,
			Prefix{Literal: "Bearer ", Body: alnum + "._~+/=-", Min: 20, Max: 4096, Check: mixed}, Prefix{Literal: "Basic ", Body: base64, Min: 12, Max: 1024, Check: validBasic},
		),
		one(Password, Prefix{Literal: "PASSWORD '", Body: "\x01-&(-\xff", Min: 1, Max: 256}, Prefix{Literal: "IDENTIFIED BY '", Body: "\x01-&(-\xff", Min: 1, Max: 256}, Prefix{Literal: "sshpass -p ", Body: "!-~", Min: 4, Max: 64}),
	}
}

// mixed reports whether v has digits and letters, as random tokens have.
func mixed(v []byte) bool {
	digits, letters := 0, 0
	for _, c := range v {
		if isDigit(c) {
			digits++
		} else if isAlnum(c) {
			letters++
		}
	}
	return digits > 0 && letters > 0
}

func mixedCase(v []byte) bool {
	lower := false
	for _, c := range v[4:] {
		lower = lower || isLower(c)
	}
	for _, c := range v[4:] {
		if isUpper(c) {
			return lower
		}
	}
	return false
}

func validJWT(v []byte) bool {
	first := bytes.IndexByte(v, '.')
	return first > 10 && first < len(v)-4 && bytes.HasPrefix(v[first:], []byte(".eyJ"))
}

// validBasic reports whether v is base64 of a name, a colon and a password.
func validBasic(v []byte) bool {
	b := bytes.TrimPrefix(v, []byte("Basic "))
	var out [64]byte
	if len(b) > 80 {
		b = b[:80]
	}
	n, err := base64.StdEncoding.Decode(out[:], b[:len(b)/4*4])
	return err == nil && bytes.IndexByte(out[:n], ':') > 0
}

// literal looks for literals of which src[i:i+2] is part and that begin before
// limit. It returns where to go on, or i when there are none.
func (s *scan) literal(i, limit int) int {
	pair := pairOf(s.src[i], s.at(i+1))
	for _, k := range *s.plan.triggers.list(pair) {
		if k.pair != pair || k.beside != 0 && s.at(i+int(k.beside)) != k.other {
			continue
		}
		if start := i - int(k.at); start < limit {
			if to := s.matches(&s.plan.literals[k.literal], start); to > i {
				return to
			}
		}
	}
	return i
}

// matches looks whether l stands at start, with what must follow it. It returns
// where to go on, or 0 when it does not.
func (s *scan) matches(l *literal, start int) int {
	src := s.src
	end := start + len(l.text)
	if start < s.floor || end > len(src) || string(src[start:end]) != l.text {
		return 0
	}
	if l.own != nil {
		if to := l.own(s, start, end); to > end {
			return to
		}
		return 0
	}
	if start = s.inFront(l, start); start < 0 {
		return 0
	}
	if c := s.at(start - 1); isAlnum(c) && isAlnum(src[start]) && !s.escaped(start-1) {
		return 0
	}
	if l.typ == PrivateKey && l.text[0] == '-' {
		return s.pem(start, end)
	}
	limit := min(len(src), end+max(l.min, l.max)+1)
	from := end
	for end < limit && l.body[src[end]] {
		end++
	}
	n := end - from
	if n > l.max && l.typ == Password { // up to a quote that does not come
		end, n = from+l.max, l.max
	}
	if n < l.min || n > max(l.min, l.max) || l.check != nil && !l.check(src[start:end]) {
		if n > maxRun {
			return end // so that no run is looked at twice
		}
		return 0
	}
	if l.typ == Password { // the literal leads to it
		start = from
	}
	s.emit(start, end, l.typ, l.score)
	return end
}

// inFront returns where a value begins whose literal l begins at i, or -1 when
// what must stand before it does not.
func (s *scan) inFront(l *literal, i int) int {
	if l.least == 0 {
		return i
	}
	k := i
	for k > s.floor && i-k < maxRun && l.front[s.src[k-1]] {
		k--
	}
	if i-k < l.least {
		return -1
	}
	return k
}

// escaped reports whether the letter at i is that of an escape, as in "\nAKIA…".
func (s *scan) escaped(i int) bool {
	return i > 0 && s.src[i-1] == '\\' && (s.src[i] == 'n' || s.src[i] == 't' || s.src[i] == 'r')
}

// maxPEM bounds how far the end of a private key is looked for.
const maxPEM = 16 << 10

// pem finds a private key whose block begins at start, with or without its end.
func (s *scan) pem(start, from int) int {
	src := s.src
	line := src[from:min(len(src), from+40)]
	title := bytes.Index(line, []byte("PRIVATE KEY"))
	if title < 0 || bytes.Contains(line[:title], []byte("-")) {
		return start
	}
	body := from + title + len("PRIVATE KEY")
	rest := src[body:min(len(src), body+maxPEM)]
	if n := bytes.Index(rest, []byte("-----END ")); n >= 0 && !bytes.Contains(rest[:n], []byte("-----BEGIN ")) {
		end := body + n + len("-----END ")
		for end < len(src) && (isUpper(src[end]) || src[end] == ' ' || src[end] == '-') {
			end++
		}
		s.emit(start, end, PrivateKey, 99)
		return end
	}
	// Cut off: what looks like its lines.
	end := body
	for end < len(src) && end-body < maxPEM && (isAlnum(src[end]) || bytes.IndexByte([]byte("+/=-:,. \r\n\\"), src[end]) >= 0) {
		if src[end] == '-' && bytes.HasPrefix(src[end:], []byte("-----BEGIN ")) {
			break
		}
		end++
	}
	s.emit(start, end, PrivateKey, 96)
	return end
}
