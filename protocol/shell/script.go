package shell

import (
	"path"
	"slices"
	"strings"
)

// programs of sed and awk: those after the options of given, or the first word that
// does not belong to an option. file is true when they are in a file.
func scripts(args []arg, valued, given string) (list []arg, file bool) {
	var words []arg
	for i := 0; i < len(args); i++ {
		a := args[i].String()
		switch {
		case a == "--":
			words = append(words, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(a, "--expression="), strings.HasPrefix(a, "--source="):
			_, v, _ := strings.Cut(args[i].carry(), "=")
			list = append(list, fixed(v))
		case a == "--file" || a == "--exec" || strings.HasPrefix(a, "--file=") || strings.HasPrefix(a, "--exec=") || strings.HasPrefix(a, "-E") && valued == "Fv", len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Contains(a, "f") && !strings.ContainsAny(a[:strings.Index(a, "f")], given+valued):
			file = true
			i++
		case a == "--expression" || a == "--source" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Contains(given, a[len(a)-1:]):
			if i++; i < len(args) {
				list = append(list, args[i])
			}
		case len(a) > 2 && a[0] == '-' && strings.Contains(given, a[1:2]):
			list = append(list, fixed(args[i].carry()[2:]))
		case len(a) == 2 && a[0] == '-' && strings.Contains(valued, a[1:]):
			i++
		case strings.HasPrefix(a, "-") && a != "-":
		default:
			words = append(words, args[i])
		}
	}
	if len(list) == 0 && len(words) > 0 && !file {
		list = words[:1]
	}
	return list, file
}

// sed notes the commands e and w of sed's scripts.
func (r *reading) sed(args []arg, s *state, depth int) {
	list, file := scripts(args, "l", "e")
	if file {
		r.unfollowed("sed runs a script from a file")
	}
	for _, a := range list {
		if len(a) != 1 || strings.HasPrefix(a.String(), Dynamic) {
			r.unfollowed("a script of sed's is computed")
		}
		for _, c := range sedCommands(a.carry()) {
			switch {
			case c.runs == "":
				r.unclear("a script of sed's runs what it reads: use s without e")
			case c.file:
				target := c.runs
				if !sinks[target] {
					r.notes([]arg{fixed(">"), fixed(target)})
				}
				r.writes("sed", fixed(target), feed{kind: fromElsewhere}, s)
			default:
				r.unfollowed("a script of sed's starts programs")
				r.text(c.runs, s.clone(), feed{kind: fromElsewhere}, depth+1)
			}
		}
	}
}

// sedCommand is a command of sed's that starts a program, or writes a file.
type sedCommand struct {
	runs string
	file bool
}

// sedCommands finds them in a script.
func sedCommands(script string) (out []sedCommand) {
	for i := 0; i < len(script); {
		c := script[i]
		line := func(from int) string {
			end := strings.IndexByte(script[from:], '\n')
			if end < 0 {
				end = len(script) - from
			}
			i = from + end
			return strings.TrimSpace(script[from : from+end])
		}
		switch {
		case strings.IndexByte(" \t\n;{}!,0123456789$~+I", c) >= 0:
			i++
		case c == '#', c == 'a' || c == 'i' || c == 'c' || c == 'r' || c == 'R' || c == ':' || c == 'b' || c == 't' || c == 'T':
			if c == 'a' || c == 'i' || c == 'c' || c == '#' || c == 'r' || c == 'R' {
				line(i)
				continue
			}
			for i < len(script) && script[i] != ';' && script[i] != '\n' && script[i] != '}' {
				i++
			}
		case c == '/' || c == '\\' && i+1 < len(script): // an address
			if c == '\\' {
				i++
			}
			i = after(script, i, 1)
		case c == 'e':
			out = append(out, sedCommand{runs: line(i + 1)})
		case c == 'w' || c == 'W':
			out = append(out, sedCommand{runs: line(i + 1), file: true})
		case c == 's' || c == 'y':
			if i+1 >= len(script) {
				return out
			}
			i = after(script, i+1, 2)
			for i < len(script) && strings.IndexByte("gpIiMm0123456789ew", script[i]) >= 0 && c == 's' {
				if script[i] == 'e' {
					out = append(out, sedCommand{})
				}
				if script[i] == 'w' {
					out = append(out, sedCommand{runs: line(i + 1), file: true})
					break
				}
				i++
			}
		default:
			i++
		}
	}
	return out
}

// after is where n parts end that begin at i with their delimiter.
func after(script string, i, n int) int {
	delimiter := script[i]
	class := false
	for i++; i < len(script); i++ {
		switch {
		case script[i] == '\\':
			i++
		case script[i] == '[' && !class:
			class = strings.IndexByte(script[i:], ']') > 0
		case script[i] == ']':
			class = false
		case script[i] == delimiter && !class, script[i] == '\n' && n == 1:
			if n--; n == 0 {
				return i + 1
			}
		}
	}
	return i
}

// awk notes what the scripts of awk start and write.
func (r *reading) awk(name string, args []arg, s *state, depth int) {
	list, file := scripts(args, "Fv", "e")
	if file || slices.ContainsFunc(args, func(a arg) bool {
		return only([]arg{a}, "--load", "--include") || strings.HasPrefix(a.String(), "--load=") || strings.HasPrefix(a.String(), "--include=") || name == "gawk" && (strings.HasPrefix(a.String(), "-l") || strings.HasPrefix(a.String(), "-i"))
	}) {
		r.unfollowed("%s runs a script from a file", name)
	}
	for _, a := range list {
		if len(a) != 1 || strings.HasPrefix(a.String(), Dynamic) {
			r.unfollowed("a script of %s is computed", name)
		}
		r.awkScript(name, a.carry(), s, depth)
	}
}

func (r *reading) awkScript(name, script string, s *state, depth int) {
	script = withoutPatterns(script)
	bare := withoutTexts(script)
	runs := strings.Contains(bare, "system") || strings.ContainsAny(bare, "|@")
	for i := range len(script) { // print > "file"
		if begin := strings.LastIndexAny(script[:i], "{;\n") + 1; script[i] == '>' && script[max(i-1, 0)] != '>' && strings.Contains(script[begin:i], "print") {
			target := arg{{{kind: maybe}}}
			rest := strings.TrimLeft(script[i:], "> ")
			if parts := literals(rest); strings.HasPrefix(rest, `"`) && len(parts) > 0 {
				target = fixed(parts[0])
			}
			if !sinks[target.String()] {
				r.notes([]arg{fixed(">"), target})
			}
			r.writes(name, target, feed{kind: fromElsewhere}, s)
		}
	}
	if !runs {
		return
	}
	parts := literals(script)
	found := false
	for _, p := range append(parts, strings.Join(parts, "")) {
		aside := r.aside()
		aside.text(p, s.clone(), feed{kind: fromNothing}, depth+1)
		if len(aside.Harms) > 0 {
			found = true
		}
		for _, words := range aside.Programs {
			if words[0] != "" && path.Base(words[0]) != "." && !strings.ContainsAny(words[0], "%,: ") {
				r.Programs, r.Written = append(r.Programs, words), append(r.Written, words)
				found = true
			}
		}
		r.certain(aside)
	}
	r.unfollowed("a script of %s starts programs", name)
	if !found {
		r.unclear("a script of %s starts programs whose names are computed: run them outside of it", name)
	}
}

// withoutTexts is a script without what is in its quotes.
func withoutTexts(script string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(script); i++ {
		switch {
		case quoted && script[i] == '\\':
			i++
		case script[i] == '"':
			quoted = !quoted
		case !quoted:
			b.WriteByte(script[i])
		}
	}
	return b.String()
}

// withoutPatterns is a script of awk's without its patterns and its "||".
func withoutPatterns(script string) string {
	var b strings.Builder
	quoted := false
	last := byte('{') // the last but for blanks
	for i := 0; i < len(script); i++ {
		c := script[i]
		switch {
		case quoted && c == '\\' && i+1 < len(script):
			b.WriteByte(c)
			i++
			b.WriteByte(script[i])
			continue
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '|' && i+1 < len(script) && script[i+1] == '|':
			b.WriteString("  ")
			last = '|'
			i++
			continue
		case c == '/' && strings.IndexByte("{}(,~!&|;\n=", last) >= 0:
			i = after(script, i, 1) - 1
			b.WriteByte(' ')
			last = '0'
			continue
		case c == '>' && i+1 < len(script) && script[i+1] == '=':
			i++
			continue
		}
		if c != ' ' && c != '\t' {
			last = c
		}
		b.WriteByte(c)
	}
	return b.String()
}
