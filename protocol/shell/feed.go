package shell

import (
	"encoding/base64"
	"encoding/hex"
	"path"
	"slices"
	"strings"
)

// feedKind is where what a program reads comes from.
type feedKind uint8

const (
	fromSession   feedKind = iota // the user
	fromText                      // a text that is known
	fromPaths                     // lines that are paths
	fromSome                      // a word that is not known, and not empty
	fromNothing                   // nothing comes
	fromElsewhere                 // not known
)

// feed is what a program reads by its standard input, or prints.
type feed struct {
	kind  feedKind
	text  string // with what carries what is not known; of what is not known, the part that is
	paths []word
	deep  bool // the paths come with everything below them
	net   bool // some of it comes over the network
}

// then is what comes when f and g come one after the other.
func (f feed) then(g feed) feed {
	out := f.joined(g)
	out.net = f.net || g.net
	return out
}

func (f feed) joined(g feed) feed {
	switch {
	case f.kind == fromNothing:
		return g
	case g.kind == fromNothing:
		return f
	case len(f.text)+len(g.text) > maxBytes:
		return feed{kind: fromElsewhere}
	case f.kind == fromText && g.kind == fromText:
		return feed{kind: fromText, text: f.text + g.text}
	case f.kind == fromPaths && g.kind == fromPaths:
		return feed{kind: fromPaths, paths: union(f.paths, g.paths)}
	}
	return feed{kind: fromElsewhere, text: f.text + g.text}
}

// words are the words of which a feed consists, as xargs reads them.
func (f feed) words() []arg {
	switch f.kind {
	case fromText:
		var list []arg
		for _, s := range strings.Fields(strings.NewReplacer("'", "", `"`, "", `\`, "").Replace(f.text)) {
			list = append(list, fixed(s))
		}
		return list
	case fromPaths:
		list := make([]arg, len(f.paths))
		for i, w := range f.paths {
			list[i] = arg{w}
		}
		return list
	case fromSome:
		return []arg{{{{kind: some, text: ""}}}}
	case fromNothing:
		return nil
	}
	return []arg{{{{kind: maybe, text: ""}}}}
}

// printed is what a substitution of what f prints is.
func (r *reading) printed(f feed, s *state) []word {
	switch f.kind {
	case fromText:
		return []word{literalWord(strings.TrimRight(f.text, "\n"))}
	case fromPaths:
		if len(f.paths) > 0 && len(f.paths) <= maxChoices {
			return f.paths
		}
	case fromSome:
		return []word{{{kind: some, text: ""}}}
	case fromNothing:
		return []word{{}}
	}
	return []word{{{kind: maybe, text: ""}}}
}

// printers are programs that print a word which is never empty, and no path of the
// system's.
var printers = strings.Fields("mktemp tempfile date hostname hostid whoami logname id uname nproc arch getconf lsb_release seq wc pidof pgrep uuidgen md5sum sha1sum sha256sum sha512sum cksum tty dpkg-architecture")

// evaluated are programs that print commands which are meant to be evaluated.
var evaluated = strings.Fields(`ssh-agent dircolors lesspipe lesspipe.sh resize keychain direnv pyenv rbenv nodenv jenv starship zoxide brew opam conda fnm mise
	thefuck fzf register-python-argcomplete gpg-agent luarocks`)

// passing are programs that print what others have written.
var passing = strings.Fields("curl wget cat tac head tail nc ncat socat ssh base64 xxd openssl gpg grep sed awk cut tr sort python3 python perl ruby node php sh bash")

// fetchers are programs that print what comes over the network.
var fetchers = strings.Fields("curl curlie wget wget2 aria2c fetch http https xh lynx links w3m ftp lftp tftp nc ncat netcat socat telnet")

// emits reports whether what a program prints is meant to be evaluated.
func emits(name string, args []string) bool {
	return slices.Contains(evaluated, name) || !slices.Contains(passing, name) && slices.ContainsFunc(args, func(a string) bool {
		return slices.Contains([]string{"completion", "completions", "--completion", "docker-env", "shellenv", "shell-init"}, a)
	})
}

// prints returns what a program prints.
func (r *reading) prints(name string, args []arg, in feed, s *state) feed {
	list := texts(args)
	ops, _ := operands(args, "")
	switch name {
	case "echo":
		escapes := false
		for len(args) > 0 && len(list[0]) > 1 && strings.Trim(list[0], "neE") == "-" {
			escapes = escapes || strings.Contains(list[0], "e")
			args, list = args[1:], list[1:]
		}
		out := textOf(args, " ", "\n")
		if escapes {
			out.text = ansi(out.text)
		}
		return out
	case "printf":
		return formatted(args)
	case "cat", "tee", "pv":
		if len(ops) == 0 || name == "tee" {
			return in
		}
		if name == "cat" && len(ops) == 1 && ops[0].String() == "-" {
			return in
		}
	case "pwd":
		return feed{kind: fromPaths, paths: []word{s.cwd.word()}}
	case "basename":
		if len(ops) > 0 && !slices.ContainsFunc(ops[0], func(w word) bool {
			return w.has(maybe) || w.resolve(s.cwd).base == atRoot && len(w.resolve(s.cwd).segs) == 0
		}) {
			return feed{kind: fromSome}
		}
	case "readlink", "realpath", "dirname":
		if len(ops) == 1 {
			if name == "dirname" {
				return folderOf(ops[0])
			}
			return feed{kind: fromPaths, paths: ops[0]}
		}
	case "git":
		if slices.Contains(list, "--show-toplevel") {
			return feed{kind: fromSome}
		}
		if slices.Contains(list, "ls-files") || slices.Contains(list, "--name-only") {
			return feed{kind: fromPaths, paths: []word{{{kind: some, text: ""}}}}
		}
	case "which", "type", "whence":
		if len(ops) == 1 {
			return feed{kind: fromPaths, paths: ops[0]}
		}
	case "ls":
		return listed(args, ops, list)
	case "find":
		return found(args)
	case "grep", "egrep", "fgrep", "head", "tail", "sort", "uniq", "sed", "awk", "cut", "tr", "tac", "shuf", "comm", "column", "rev", "fold", "xxd", "gunzip", "zcat", "gzip", "rot13":
		switch {
		case in.kind == fromPaths && slices.Contains([]string{"sort", "uniq", "tac", "shuf"}, name):
			return in
		case in.kind == fromPaths && slices.Contains([]string{"grep", "egrep", "fgrep", "head", "tail"}, name) && !slices.Contains(list, "-v"):
			return feed{kind: fromPaths, paths: chosen(in.paths)}
		case name == "rev" && in.kind == fromText:
			line := []rune(strings.TrimRight(in.text, "\n"))
			slices.Reverse(line)
			return feed{kind: fromText, text: string(line) + "\n"}
		case name == "xxd" && in.kind == fromText && len(list) > 0 && slices.ContainsFunc(list, func(a string) bool { return strings.HasPrefix(a, "-r") }):
			if b, err := hex.DecodeString(strings.Join(strings.Fields(in.text), "")); err == nil {
				return feed{kind: fromText, text: string(b)}
			}
		}
	case "base64", "openssl":
		if in.kind == fromText && slices.ContainsFunc(list, func(a string) bool { return a == "-d" || a == "-D" || a == "--decode" || a == "-di" }) {
			if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(in.text), "")); err == nil {
				return feed{kind: fromText, text: string(b)}
			}
		}
	}
	switch {
	case emits(name, list):
		return feed{kind: fromNothing} // what it says is its own
	case slices.Contains(printers, name):
		return feed{kind: fromSome}
	}
	return feed{kind: fromElsewhere}
}

// textOf joins arguments.
func textOf(args []arg, between, end string) feed {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(a.carry())
		if b.Len() > maxBytes {
			return feed{kind: fromElsewhere}
		}
	}
	return feed{kind: fromText, text: b.String() + end}
}

// formatted is what printf prints, for formats of strings and of escapes.
func formatted(args []arg) feed {
	if len(args) > 0 && args[0].String() == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return feed{kind: fromNothing}
	}
	format, rest := ansi(args[0].carry()), args[1:]
	var b strings.Builder
	for round := 0; round == 0 || len(rest) > 0; round++ {
		before := len(rest)
		for i := 0; i < len(format); i++ {
			if format[i] != '%' || i+1 == len(format) {
				b.WriteByte(format[i])
				continue
			}
			i++
			for i+1 < len(format) && strings.IndexByte("0123456789.-+ #", format[i]) >= 0 {
				i++
			}
			if format[i] == '%' {
				b.WriteByte('%')
				continue
			}
			if len(rest) > 0 {
				v := rest[0].carry()
				if b.Len()+len(v) > maxBytes {
					return feed{kind: fromElsewhere}
				}
				if format[i] == 'b' {
					v = ansi(v)
				}
				b.WriteString(v)
				rest = rest[1:]
			}
		}
		if len(rest) == before || b.Len() > maxBytes {
			break
		}
	}
	return feed{kind: fromText, text: b.String()}
}

// folderOf is what dirname prints.
func folderOf(a arg) feed {
	var out []word
	for _, w := range a {
		if len(w) > 0 && w[len(w)-1].kind == text && strings.Contains(w[len(w)-1].text, "/") {
			last := w[len(w)-1].text
			dir := last[:strings.LastIndexByte(strings.TrimRight(last, "/"), '/')+1]
			out = append(out, append(slices.Clone(w[:len(w)-1]), piece{kind: text, text: dir}))
			continue
		}
		if w.has(maybe) {
			out = append(out, word{{kind: maybe, text: ""}})
		} else {
			out = append(out, word{{kind: text, text: "."}})
		}
	}
	return feed{kind: fromPaths, paths: out}
}

// listed is what ls prints: names in the folder, or, of several, also where
// they are.
func listed(args, ops []arg, list []string) feed {
	if slices.ContainsFunc(list, func(a string) bool { return len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.ContainsAny(a, "lRs") }) {
		return feed{kind: fromElsewhere}
	}
	if slices.ContainsFunc(list, func(a string) bool { return len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Contains(a, "d") }) {
		var out []word
		for _, a := range ops {
			out = union(out, a)
		}
		return feed{kind: fromPaths, paths: out}
	}
	return feed{kind: fromPaths, paths: []word{{{kind: glob, text: ""}}}}
}

// chosen are some of paths: where one is a pattern, some of what it matches.
func chosen(paths []word) []word {
	out := make([]word, len(paths))
	for i, w := range paths {
		if w.has(glob) {
			c := slices.Clone(w)
			for j, p := range c {
				if p.kind == glob {
					c[j] = piece{kind: some, text: ""}
				}
			}
			out[i] = c
			continue
		}
		out[i] = w.below()
	}
	return out
}

// below is something in the folder w.
func (w word) below() word {
	w = slices.Clone(w)
	if len(w) == 0 || w[len(w)-1].kind != text || !strings.HasSuffix(w[len(w)-1].text, "/") {
		w = append(w, piece{kind: text, text: "/"})
	}
	return append(w, piece{kind: some, text: ""})
}

// base is the last part of a program's name; ok is false when it is not known.
func base(w word) (name string, ok bool) {
	s := w.String()
	name = path.Base(s)
	return name, !strings.Contains(name, Dynamic) && s != ""
}
