package aws

import (
	"errors"
	"strings"
)

var errStatement = errors.New("the statement cannot be read: name its table after FROM, INTO or UPDATE, and leave out comments and `")

// statements collects the tables of statements in PartiQL.
func statements(v any, to *[]string, depth int) error {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			text, ok := x.(string)
			if !ok || name != "Statement" || depth > 4 {
				if err := statements(x, to, depth+1); err != nil {
					return err
				}
				continue
			}
			names, err := partiqlTables(text)
			if err != nil {
				return err
			}
			*to = append(*to, names...)
		}
	case []any:
		for _, x := range v {
			if err := statements(x, to, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// partiqlTables are the tables of a statement: the names that follow FROM, INTO and UPDATE.
func partiqlTables(s string) (names []string, err error) {
	expects := false // a table
	for s != "" {
		word, quote, rest, ok := partiqlToken(s)
		switch {
		case !ok:
			return nil, errStatement
		case word == "" && quote == 0: // white space
		case expects && (quote == '\'' || quote == 0 && !isWord(word[0])):
			return nil, errStatement
		case expects:
			names, expects = append(names, word), false
		case quote == 0:
			switch strings.ToUpper(word) {
			case "FROM", "INTO", "UPDATE":
				expects = true
			}
		}
		s = rest
	}
	if expects || len(names) == 0 {
		return nil, errStatement
	}
	return names, nil
}

// partiqlToken cuts off what a text begins with: white space, which is an empty word, a word, a sign, or what is in quotes.
func partiqlToken(s string) (word string, quote byte, rest string, ok bool) {
	switch c := s[0]; {
	case c == ' ', c == '\t', c == '\r', c == '\n':
		return "", 0, s[1:], true
	case c == '\'' || c == '"':
		for i := 1; i < len(s); i++ {
			if s[i] != c {
				continue
			}
			if i+1 < len(s) && s[i+1] == c { // twice is one of them
				i++
				continue
			}
			return strings.ReplaceAll(s[1:i], string([]byte{c, c}), string(c)), c, s[i+1:], true
		}
		return "", 0, "", false
	case isWord(c):
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		return s[:n], 0, s[n:], true
	case c == '`', c >= 0x7f, c < ' ', strings.HasPrefix(s, "--"), strings.HasPrefix(s, "/*"):
		return "", 0, "", false
	}
	return s[:1], 0, s[1:], true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$'
}
