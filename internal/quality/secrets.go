package main

import (
	"math/rand/v2"
	"net/url"
	"regexp/syntax"
	"strings"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
)

// token is the form of a vendor's secrets.
type token struct {
	id   string
	form *syntax.Regexp
}

// readTokens takes the forms of secrets from the rules of a scanner, without the
// surroundings that it asks for. Forms that any long word has are left out.
func readTokens() (list []token, err error) {
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		return nil, err
	}
	var c config.ViperConfig
	if err := v.Unmarshal(&c); err != nil {
		return nil, err
	}
	for _, r := range c.Rules {
		if r.Regex == "" || strings.Contains(r.Regex, "BEGIN") {
			continue
		}
		re, err := syntax.Parse(r.Regex, syntax.Perl)
		if err != nil {
			continue // of a newer syntax
		}
		if inner := capture(re, max(r.SecretGroup, 1)); inner != nil {
			re = inner
		}
		if leads(re) {
			list = append(list, token{r.ID, re})
		}
	}
	return list, nil
}

// capture returns the group n of re.
func capture(re *syntax.Regexp, n int) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Cap == n {
		return re.Sub[0]
	}
	for _, s := range re.Sub {
		if found := capture(s, n); found != nil {
			return found
		}
	}
	return nil
}

// leads reports whether what re matches begins with letters of a vendor.
func leads(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) > 2
	case syntax.OpConcat, syntax.OpCapture:
		for _, s := range re.Sub {
			if s.Op != syntax.OpEmptyMatch && s.Op != syntax.OpWordBoundary {
				return leads(s)
			}
		}
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !leads(s) {
				return false
			}
		}
		return true
	}
	return false
}

// write appends a text that re matches.
func write(b *strings.Builder, r *rand.Rand, re *syntax.Regexp) {
	again := func(least, most int) {
		if most < 0 || most > least+24 {
			most = least + 24
		}
		for range least + r.IntN(most-least+1) {
			write(b, r, re.Sub[0])
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 { // in any case: vendors write it in small letters
			text = strings.ToLower(text)
		}
		b.WriteString(text)
	case syntax.OpCharClass:
		b.WriteByte(oneOf(r, re.Rune))
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		b.WriteByte(base64Set[r.IntN(62)])
	case syntax.OpCapture:
		write(b, r, re.Sub[0])
	case syntax.OpConcat:
		for _, s := range re.Sub {
			write(b, r, s)
		}
	case syntax.OpAlternate:
		write(b, r, re.Sub[r.IntN(len(re.Sub))])
	case syntax.OpStar:
		again(0, -1)
	case syntax.OpPlus:
		again(1, -1)
	case syntax.OpQuest:
		again(0, 1)
	case syntax.OpRepeat:
		again(re.Min, re.Max)
	}
}

// oneOf is a byte of a class: a letter or digit where it has some, and of hexadecimal
// digits, which rules allow in both cases, a small one.
func oneOf(r *rand.Rand, class []rune) byte {
	has := func(c rune) bool {
		for k := 0; k < len(class); k += 2 {
			if class[k] <= c && c <= class[k+1] {
				return true
			}
		}
		return false
	}
	set := ""
	for c := rune('!'); c < 0x7f; c++ {
		if has(c) && strings.ContainsRune(base64Set[:62], c) {
			set += string(c)
		}
	}
	if set == "" {
		return byte(class[0])
	}
	if has('f') && !has('g') {
		set = strings.NewReplacer("A", "", "B", "", "C", "", "D", "", "E", "", "F", "").Replace(set)
	}
	if has('_') && r.IntN(16) == 0 {
		return '_'
	}
	return set[r.IntN(len(set))]
}

// signs are what a password may have where it is written. In a URL they are escaped.
var signs = map[string]string{
	"password": "!@#$%&*?+=-_.", "urlpassword": "", "dsnpassword": "!@#$%&*?+-_.", "sqlpassword": "!@#$%&*?+=-_.;:", "shellpassword": "@%+=-_.,:", "xmlpassword": "!@#$%*?+=-_.", "yamlpassword": "!@$%?+=-_.",
}

// secret fills in a mark of a secret.
func (f *filler) secret(mark string) (string, bool) {
	switch mark {
	case "token":
		if f.r.IntN(4) == 0 {
			return f.one(f.fake.Password(true, true, true, false, false, 20+f.r.IntN(24)), f.hex(32), f.hex(40), f.hex(64)), true
		}
		var b strings.Builder
		write(&b, f.r, f.tokens[f.r.IntN(len(f.tokens))].form)
		return b.String(), true
	case "pin":
		return f.of("0123456789", 6), true
	case "urlpassword":
		return url.QueryEscape(f.password("!@#$%&*?+=-_.")), true
	}
	if set, ok := signs[mark]; ok {
		return f.password(set), true
	}
	return "", false
}

// password is one that a person thought of, or a program.
func (f *filler) password(set string) string {
	sign := f.of(set, 1)
	word := func() string {
		return gofakeitTitle(strings.Map(func(r rune) rune {
			if r|0x20 >= 'a' && r|0x20 <= 'z' {
				return r
			}
			return -1
		}, f.one(f.fake.Animal(), f.fake.Color(), f.fake.Noun(), f.fake.HackerNoun())))
	}
	digits := f.of("0123456789", 2+f.r.IntN(3))
	switch f.r.IntN(8) {
	case 0:
		return word() + sign + word() + digits
	case 1:
		return word() + digits + sign
	case 2:
		return strings.ToLower(word()) + digits
	case 3:
		return strings.ToLower(word() + "-" + word() + "-" + word() + "-" + digits)
	case 4:
		return strings.NewReplacer("a", "4", "e", "3", "o", "0", "i", "1").Replace(word()) + sign + digits
	case 5:
		return word() + word() + digits
	}
	b := []byte(f.fake.Password(true, true, true, false, false, 10+f.r.IntN(10)))
	for range 1 + f.r.IntN(3) {
		b[1+f.r.IntN(len(b)-1)] = set[f.r.IntN(len(set))]
	}
	return string(b)
}
