// Package corpus reads files of statements and commands that rules are tried on.
//
// A line is one text; a line that begins with a tab continues it, and ⏎ is the end of
// a line within it. Empty lines are skipped. A line that begins with "# " is a comment,
// which names the part of the file that follows.
package corpus

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Case is one text of a file.
type Case struct {
	Line int    // where it begins, from 1
	Part string // the comment above, or the class of attacks
	Text string

	Refused bool   // in a file of attacks: the text is one
	Rule    string // that refuses the attacks of this class
}

// maxLine bounds a line, in bytes.
const maxLine = 1 << 20

// Read returns the texts of a file in which all lines are alike.
func Read(r io.Reader) ([]Case, error) {
	var list []Case
	part := ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.ReplaceAll(lines.Text(), "⏎", "\n")
		comment, isComment := strings.CutPrefix(line, "# ")
		rest, continues := strings.CutPrefix(line, "\t")
		switch {
		case continues && len(list) == 0:
			return nil, fmt.Errorf("line %d continues a text, and none is above it", n)
		case continues:
			list[len(list)-1].Text += "\n" + rest
		case isComment:
			part = comment
		case line != "":
			list = append(list, Case{Line: n, Part: part, Text: line})
		}
	}
	return list, lines.Err()
}

// ReadAttacks returns the texts of a file whose lines have marks: "[RULE] CLASS"
// begins a class of attacks, "! TEXT" is one that RULE refuses, and "= TEXT" is a
// neighbour that is not refused.
func ReadAttacks(r io.Reader) ([]Case, error) {
	lines, err := Read(r)
	if err != nil {
		return nil, err
	}
	var list []Case
	rule, class := "", ""
	for _, c := range lines {
		mark, text, _ := strings.Cut(c.Text, " ")
		switch {
		case strings.HasPrefix(mark, "[") && strings.HasSuffix(mark, "]"):
			rule, class = strings.Trim(mark, "[]"), text
			continue
		case mark != "!" && mark != "=" || rule == "":
			return nil, fmt.Errorf("line %d begins with %q; want \"[RULE] CLASS\", and below it \"! TEXT\" or \"= TEXT\"", c.Line, mark)
		}
		list = append(list, Case{Line: c.Line, Part: class, Text: text, Refused: mark == "!", Rule: rule})
	}
	return list, nil
}
