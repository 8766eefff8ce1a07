package runbook

import (
	"fmt"
	"regexp"
	"strings"
)

// Ref is a value of a run: of a parameter, of the first row of an earlier step, or about the
// run itself.
type Ref struct {
	Step   string `json:"step,omitempty"` // empty: a parameter; "run": the run
	Name   string `json:"name"`
	Secret bool   `json:"secret,omitempty"`
}

func (r Ref) String() string {
	if r.Step == "" {
		return "$" + r.Name
	}
	return "$" + r.Step + "." + r.Name
}

// word is a part of a step that a value may take the place of, as a whole.
type word struct {
	text string
	ref  *Ref
}

var (
	refWord = regexp.MustCompile(`\A\$([a-z][a-z0-9_]*)(?:\.([A-Za-z_][A-Za-z0-9_]*))?\z`)
	inside  = regexp.MustCompile(`\$[({A-Za-z_]|\{\{|` + "`")
)

// runValues are what is known of a run itself.
var runValues = []string{"id", "user", "commit"}

func readWord(s string) (word, error) {
	if rest, ok := strings.CutPrefix(s, "$$"); ok {
		return word{text: "$" + rest}, nil
	}
	if m := refWord.FindStringSubmatch(s); m != nil {
		if m[2] == "" {
			return word{ref: &Ref{Name: m[1]}}, nil
		}
		return word{ref: &Ref{Step: m[1], Name: m[2]}}, nil
	}
	if at := inside.FindStringIndex(s); at != nil {
		return word{}, fmt.Errorf("%q has a value within a text", clip(s[at[0]:]))
	}
	return word{text: s}, nil
}

const wholeWord = "A value is a whole word, such as $order_id, and is never put into a text; $$ at the beginning is a $."

// quote writes a word for a shell of POSIX, which reads it as that word and nothing else.
func quote(s string) string {
	if s != "" && plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// plainWord are words that every shell takes as they are: an = at the beginning, and a ~, mean
// something to some.
var plainWord = regexp.MustCompile(`\A[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+,=-]*\z`)

// quoteLine writes the command line of words, and reports whether any of them had to be quoted.
// A first word with a = would be an assignment.
func quoteLine(words []string) (line string, quoted bool) {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		q := quote(w)
		if i == 0 && strings.Contains(w, "=") {
			q = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted = quoted || q != w
		b.WriteString(q)
	}
	return b.String(), quoted
}
