package postgres

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

const searchPath = "search_path"

// askPath asks the chain about the search_path that a client gives when it
// connects, as about the SET that would say the same. It returns nil for both
// when the client gives none.
func (s *session) askPath(ctx context.Context, params []wire.Parameter) (proxy.Op, error) {
	for _, p := range params {
		if !strings.EqualFold(p.Name, searchPath) {
			continue
		}
		names, ok := splitPath(p.Value)
		if !ok {
			return nil, &parameterError{name: p.Name}
		}
		text := []byte("SET " + searchPath + " TO " + names)
		facts := noAnalyzer
		if s.handler.Analyzer != nil {
			t := &s.session.Target
			facts = s.handler.Analyzer.Analyze(ctx, text, &proxy.Reading{Dialect: "postgres", Resource: t.Resource.Name, Database: t.Database, Account: t.Account.Name})
		}
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: text, Facts: facts}
		if v := s.session.Ask(s.session.Context(), op); v.Refuses() {
			return nil, &proxy.RefusedError{Verdict: *v, By: op.By()}
		}
		return op, nil
	}
	return nil, nil
}

// splitPath returns the names in a setting's list as SQL, each in quotes: the
// server takes what has none for lower case.
func splitPath(list string) (names string, ok bool) {
	var quoted []string
	rest := strings.TrimSpace(list)
	for rest != "" || len(quoted) > 0 {
		name := ""
		if after, is := strings.CutPrefix(rest, `"`); is {
			for {
				part, behind, closed := strings.Cut(after, `"`)
				if name += part; !closed {
					return "", false
				}
				if after = behind; !strings.HasPrefix(after, `"`) {
					break
				}
				name, after = name+`"`, after[1:]
			}
			rest = strings.TrimSpace(after)
			if rest != "" && rest[0] != ',' {
				return "", false
			}
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			name, rest = strings.ToLower(strings.TrimSpace(rest[:end])), rest[end:]
			if strings.ContainsAny(name, "\" \t\r\n\f\v") {
				return "", false
			}
		}
		if name == "" {
			return "", false
		}
		quoted = append(quoted, `"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
		if rest == "" {
			break
		}
		rest = strings.TrimSpace(rest[1:])
	}
	if len(quoted) == 0 {
		return "''", true
	}
	return strings.Join(quoted, ", "), true
}

// followPath has names looked up in the search_path that the client has given. Of
// several, which counts is not known.
func followPath(n *proxy.Names, value string) {
	value = strings.ReplaceAll(value, `"$user"`, "$user")
	if sql.PlainPath(value) && n.Login == "" {
		n.Login = value
	} else {
		n.Unsure |= proxy.UnsureLogin | proxy.UnsurePath
	}
}
