package postgres

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// malformed are the facts of a text that PostgreSQL is certain to refuse as a syntax
// error: it reads a text to its end before it runs any of it.
func malformed(n *sql.Normalised, why string) *proxy.Facts {
	f := unknown(n, why)
	f.Malformed = true
	return f
}

// unclosed reports whether a text with a quote or comment that is not closed is read
// so by every server, whatever its settings and the session's encoding.
func unclosed(n *sql.Normalised, text []byte) bool {
	return n.Problem == sql.Unclosed && !slices.ContainsFunc(text, func(c byte) bool { return c == '\\' || c >= 0x80 })
}

// commandWords are the words with which a statement may begin, in any version; further
// those of PostgreSQL's replication and of other servers and poolers that speak its
// protocol.
var commandWords = words(`abort alter analyse analyze begin call checkpoint close cluster comment commit copy create deallocate declare delete
	discard do drop end execute explain fetch grant import insert listen load lock merge move notify prepare reassign refresh reindex
	release repack reset return revoke rollback savepoint security select set show start table truncate unlisten update vacuum values
	wait with
	alter_replication_slot base_backup create_replication_slot drop_replication_slot identify_system read_replication_slot
	start_replication timeline_history upload_manifest
	accept append attach backup cancel configure deactivate describe desc detach diagnostics disable enable exec execute_direct export flush
	inspect install kill link locate msck optimize pause pivot pragma profile purge reconnect reload rename repair replace restore resume
	revert schedule scrub shutdown split sql summarize suspend unload unlock unpause unpivot upsert use validate verify wait_close from`)

// clauseWords are reserved words that something of their own must follow, and that name an
// output column only after AS.
var clauseWords = words(`from where having limit offset union except intersect into order group window`)

func words(list string) map[string]bool {
	m := make(map[string]bool)
	for word := range strings.FieldsSeq(list) {
		m[word] = true
	}
	return m
}

// certainlyMalformed reports whether PostgreSQL refuses a normalised text for sure: a
// statement begins with no command's word, a clause is followed by another or by the
// end, or parentheses do not match.
func certainlyMalformed(text string) bool {
	var before, last string // the two tokens before
	depth, first := 0, true
	for at := 0; ; {
		token, end := next(text, at)
		at = end
		switch {
		case clauseWords[last] && before != "as" && before != "." && before != "=" && before != "distinct" && endsClause(last, token):
			return true
		case token == "":
			return depth != 0
		case token == ";" && depth == 0:
			first, before, last = true, "", ""
			continue
		case first && token != "(" && !commandWords[token]:
			return true
		case last == "from" && token == "`" && depth == 0 && before != "distinct":
			return true
		}
		switch token {
		case "(", "[":
			depth++
		case ")", "]":
			if depth--; depth < 0 {
				return true
			}
		}
		first, before, last = false, last, token
	}
}

// endsClause reports whether a token cannot follow the word of a clause.
func endsClause(clause, token string) bool {
	switch token {
	case "", ";", ",", ")":
		return true
	case "group":
		return clause != "from" // FROM GROUP of REVOKE
	}
	return clauseWords[token]
}

// next returns the token of a normalised text at a place, and where it ends; names in
// quotes and literals as one character.
func next(text string, at int) (token string, end int) {
	for at < len(text) && text[at] == ' ' {
		at++
	}
	if at == len(text) {
		return "", at
	}
	word := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
	}
	switch c := text[at]; {
	case word(c):
		end = at
		for end < len(text) && word(text[end]) {
			end++
		}
		if token = text[at:end]; token == "u" && strings.HasPrefix(text[end:], `&"`) {
			_, end = next(text, end+1)
			return `"`, end
		}
		return token, end
	case c == '"' || c == '\'':
		for end = at + 1; end < len(text); end++ {
			if text[end] != c {
				continue
			}
			if end+1 < len(text) && text[end+1] == c {
				end++
				continue
			}
			return text[at : at+1], end + 1
		}
		return text[at : at+1], end
	}
	return text[at : at+1], at + 1
}
