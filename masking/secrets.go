package masking

import (
	"bytes"
	"encoding/base64"
)

const (
	alnum    = "A-Za-z0-9"
	wordish  = "A-Za-z_0-9-"
	lowerHex = "0-9a-f"
)

// secretRecognizers are keys and tokens that providers mark with a prefix.
func secretRecognizers() []Recognizer {
	one := func(t Type, ps ...Prefix) Recognizer { return Recognizer{Type: t, Score: 97, Prefixes: ps} }
	aws := "A-Z2-7"
	return []Recognizer{
		one(PrivateKey, Prefix{Literal: "-----BEGIN "}, Prefix{Literal: "AGE-SECRET-KEY-1", Body: "A-Z0-9", Min: 58}, Prefix{Literal: "PuTTY-User-Key-File-", Body: "\x01-\xff", Min: 40, Max: 8192}),
		one(JWT, Prefix{Literal: "eyJ", Body: wordish + ".", Min: 20, Max: 16384, Check: validJWT}),
		one(CloudKey,
			Prefix{Literal: "AKIA", Body: aws, Min: 16}, Prefix{Literal: "ASIA", Body: aws, Min: 16}, Prefix{Literal: "ABIA", Body: aws, Min: 16},
			Prefix{Literal: "ACCA", Body: aws, Min: 16},
			Prefix{Literal: "AIza", Body: wordish, Min: 35}, Prefix{Literal: "ya29.", Body: wordish + ".", Min: 20, Max: 1024}, Prefix{Literal: "GOCSPX-", Body: wordish, Min: 28},
			Prefix{Literal: "dop_v1_", Body: lowerHex, Min: 64}, Prefix{Literal: "doo_v1_", Body: lowerHex, Min: 64}, Prefix{Literal: "dor_v1_", Body: lowerHex, Min: 64},
			Prefix{Literal: "LTAI", Body: alnum, Min: 16, Max: 20}, Prefix{Literal: "AKCp", Body: alnum, Min: 60, Max: 80},
			Prefix{Literal: "FlyV1 ", Body: alnum + "_+/=,-", Min: 40, Max: 4096},
		),
		one(APIToken,
			Prefix{Literal: "ghp_", Body: alnum, Min: 36, Max: 251}, Prefix{Literal: "gho_", Body: alnum, Min: 36, Max: 251}, Prefix{Literal: "ghu_", Body: alnum, Min: 36, Max: 251},
			Prefix{Literal: "ghs_", Body: alnum, Min: 36, Max: 251}, Prefix{Literal: "ghr_", Body: alnum, Min: 36, Max: 251}, Prefix{Literal: "github_pat_", Body: alnum + "_", Min: 60, Max: 251},
			Prefix{Literal: "glpat-", Body: wordish + ".", Min: 20, Max: 300}, Prefix{Literal: "gldt-", Body: wordish, Min: 20, Max: 64}, Prefix{Literal: "glrt-", Body: wordish + ".", Min: 20, Max: 64},
			Prefix{Literal: "glptt-", Body: alnum, Min: 40, Max: 64}, Prefix{Literal: "glsoat-", Body: wordish, Min: 20, Max: 64}, Prefix{Literal: "glcbt-", Body: wordish, Min: 20, Max: 64},
			Prefix{Literal: "xoxb-", Body: alnum + "-", Min: 20, Max: 256}, Prefix{Literal: "xoxp-", Body: alnum + "-", Min: 20, Max: 256}, Prefix{Literal: "xoxa-", Body: alnum + "-", Min: 20, Max: 256},
			Prefix{Literal: "xoxr-", Body: alnum + "-", Min: 20, Max: 256}, Prefix{Literal: "xoxs-", Body: alnum + "-", Min: 20, Max: 256}, Prefix{Literal: "xoxe-", Body: alnum + "-.", Min: 20, Max: 512},
			Prefix{Literal: "xapp-", Body: alnum + "-", Min: 30, Max: 256}, Prefix{Literal: "hooks.slack.com/services/", Body: alnum + "/", Min: 30, Max: 96},
			Prefix{Literal: "sk_live_", Body: alnum, Min: 16, Max: 256}, Prefix{Literal: "rk_live_", Body: alnum, Min: 16, Max: 256},
			Prefix{Literal: "sk_test_", Body: alnum, Min: 16, Max: 256}, Prefix{Literal: "rk_test_", Body: alnum, Min: 16, Max: 256}, Prefix{Literal: "whsec_", Body: alnum + "+/=", Min: 24, Max: 128},
			Prefix{Literal: "sk-", Body: wordish, Min: 32, Max: 300, Check: mixed},
			Prefix{Literal: "SG.", Body: wordish + ".", Min: 60, Max: 80, Check: func(v []byte) bool { return bytes.Count(v, []byte{'.'}) == 2 }},
			Prefix{Literal: "npm_", Body: alnum, Min: 36}, Prefix{Literal: "pypi-AgE", Body: wordish, Min: 50, Max: 512}, Prefix{Literal: "dckr_pat_", Body: wordish, Min: 27, Max: 64},
			Prefix{Literal: "hf_", Body: alnum, Min: 30, Max: 64, Check: mixedCase}, Prefix{Literal: "shpat_", Body: "0-9a-fA-F", Min: 32}, Prefix{Literal: "shpss_", Body: "0-9a-fA-F", Min: 32},
			Prefix{Literal: "shpca_", Body: "0-9a-fA-F", Min: 32}, Prefix{Literal: "shppa_", Body: "0-9a-fA-F", Min: 32},
			Prefix{Literal: "lin_api_", Body: alnum, Min: 32, Max: 64}, Prefix{Literal: "figd_", Body: wordish, Min: 36, Max: 64}, Prefix{Literal: "ntn_", Body: alnum, Min: 40, Max: 64},
			Prefix{Literal: "sq0atp-", Body: wordish, Min: 22, Max: 64}, Prefix{Literal: "sq0csp-", Body: wordish, Min: 43, Max: 64}, Prefix{Literal: "hvs.", Body: wordish, Min: 24, Max: 256},
			Prefix{Literal: "hvb.", Body: wordish, Min: 90, Max: 400}, Prefix{Literal: "dapi", Body: lowerHex, Min: 32}, Prefix{Literal: "pul-", Body: lowerHex, Min: 40},
			Prefix{Literal: "rubygems_", Body: lowerHex, Min: 48}, Prefix{Literal: "sntrys_", Body: alnum + "+/=_", Min: 40, Max: 512}, Prefix{Literal: "NRAK-", Body: "A-Z0-9", Min: 27},
			Prefix{Literal: "glsa_", Body: alnum + "_", Min: 40, Max: 64}, Prefix{Literal: "glc_", Body: alnum + "+/=", Min: 32, Max: 512}, Prefix{Literal: "PMAK-", Body: lowerHex + "-", Min: 50, Max: 64},
			Prefix{Literal: "gsk_", Body: alnum, Min: 40, Max: 64, Check: mixedCase}, Prefix{Literal: "xai-", Body: alnum, Min: 60, Max: 100}, Prefix{Literal: "r8_", Body: alnum, Min: 37}, Prefix{Literal: "pplx-", Body: alnum, Min: 40, Max: 64},
			Prefix{Literal: "key-", Body: lowerHex, Min: 32}, Prefix{Literal: "EAACEdEose0cBA", Body: alnum, Min: 20, Max: 256},
		),
		one(Secret,
			Prefix{Literal: "Bearer ", Body: alnum + "._~+/=-", Min: 20, Max: 4096, Check: mixed}, Prefix{Literal: "Basic ", Body: alnum + "+/=", Min: 12, Max: 1024, Check: validBasic},
		),
		one(Password, Prefix{Literal: "PASSWORD '", Body: "\x01-&(-\xff", Min: 1, Max: 256}, Prefix{Literal: "IDENTIFIED BY '", Body: "\x01-&(-\xff", Min: 1, Max: 256}),
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

// literal looks at the trigger of a literal at i and returns where to go on.
func (s *scan) literal(i int) int {
	src, b := s.src, s.src[i]
	before := s.at(i - 1)
	if s.plan.before[b][before/64]&(1<<(before%64)) == 0 {
		return i + 1
	}
	list := s.plan.literals[b]
	for k := range list {
		l := &list[k]
		start := i - l.at
		end := start + len(l.text)
		if start < s.floor || end > len(src) || string(src[start:end]) != l.text {
			continue
		}
		if c := s.at(start - 1); isAlnum(c) && isAlnum(l.text[0]) {
			continue
		}
		if l.typ == PrivateKey && l.text[0] == '-' {
			if to := s.pem(start, end); to > end {
				return to
			}
			continue
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
			continue
		}
		s.emit(start, end, l.typ, l.score)
		return end
	}
	return i + 1
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
