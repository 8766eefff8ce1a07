package sql

// Limits bound the text that a parser sees. Parsers recurse, and text nested
// deeply enough ends the process in a way that no recover catches. WithDefaults puts the defaults in the
// place of 0, as the analysers do with theirs; the functions of this package take limits as they are.
type Limits struct {
	Bytes   int // of the text, without what is in its strings; 0 is 1 MiB
	Strings int // bytes in its strings, which no parser sees when there are many; 0 is 64 MiB
	Tokens  int // 0 is 500,000
	Nesting int // of parentheses, brackets and CASE; 0 is 500
}

// WithDefaults returns l with its zero fields set.
func (l Limits) WithDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 1 << 20
	}
	if l.Strings == 0 {
		l.Strings = 64 << 20
	}
	if l.Tokens == 0 {
		l.Tokens = 500_000
	}
	if l.Nesting == 0 {
		l.Nesting = 500
	}
	return l
}

// Why a text is refused before it is parsed.
const (
	TooLong   = "the text is longer than the limit"
	TooMany   = "the text has more words than the limit"
	TooDeep   = "the text is nested more deeply than the limit"
	NotUTF8   = "the text is not UTF-8"
	Unclosed  = "a quote or comment is not closed"
	Ambiguous = "a backslash before a quote in a plain literal can be read in two ways; write E'…' or bind the value"
	BadDollar = "a lone $"
)
