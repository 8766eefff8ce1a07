package shell

import (
	"encoding/base64"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// language is how a program is given code of its own.
type language struct {
	options []string // patterns of options that come with code; the code is their rest, or the next word
	input   bool     // without a file it reads code from its input
}

var languages = map[string]language{
	"python*": {[]string{"-*c*"}, true}, "pypy*": {[]string{"-*c*"}, true}, "perl": {[]string{"-*e*", "-*E*"}, true}, "ruby": {[]string{"-*e*"}, true},
	"node": {[]string{"-*e*", "-*p*", "--eval*", "--print*"}, true}, "nodejs": {[]string{"-*e*", "-*p*", "--eval*", "--print*"}, true},
	"deno": {[]string{"eval"}, false}, "bun": {[]string{"-e*", "--eval*"}, false}, "php": {[]string{"-*r*", "-B", "-R", "-E"}, true}, "lua*": {[]string{"-*e*"}, true},
	"tclsh*": {nil, true}, "expect": {[]string{"-c*"}, true}, "Rscript": {[]string{"-e*"}, false}, "julia": {[]string{"-e*", "-E*"}, true}, "osascript": {[]string{"-e*"}, true},
	"gdb": {[]string{"-ex*", "--eval-command*", "-iex*", "-x*"}, false}, "emacs": {[]string{"--eval*", "-f*", "--funcall*"}, false},
	"vi": {editing, false}, "vim": {editing, false}, "nvim": {editing, false}, "view": {editing, false}, "ex": {editing, true}, "ed": {nil, true}, "dc": {nil, true}, "bc": {nil, false},
	"sqlite3": {nil, false},
}

var editing = []string{"-c*", "+*", "--cmd", "-S*", "-s*"}

// starting are what code uses to start other programs.
var starting = strings.Fields("system( system subprocess popen Popen spawn exec execl execv execSync execFile child_process shell_exec passthru proc_open qx %x ` os.exec fork Open3 Process.spawn IO.popen sh( Runtime")

// building are what code uses to make other code.
var building = strings.Fields("eval compile __import__ importlib getattr b64decode base64 fromCharCode chr( unhexlify bytes.fromhex pack( decode( rot13 [::-1] reversed")

// removing are what code uses to remove whole folders.
var removing = strings.Fields("rmtree remove_tree rm_rf rm_r rmSync rmdirSync rimraf RemoveAll removeSync remove_entry Path.rmtree file_delete -recursive")

// inline notes what a program does with code in its arguments or its input.
func (r *reading) inline(name string, args []arg, in feed, s *state, depth int) {
	for pattern, l := range languages {
		if ok, _ := path.Match(pattern, name); ok {
			r.language(name, l, args, in, s, depth)
			return
		}
	}
	switch name {
	case "at", "batch":
		if only(args, "-l", "-q", "-r", "-d", "-c", "-V") {
			return
		}
		r.unfollowed("%s runs what it is given later", name)
		if in.kind == fromText {
			r.text(in.text, s.clone(), feed{kind: fromNothing}, depth+1)
		}
	case "crontab":
		if len(args) > 0 && !slices.Contains([]string{"-l", "-r", "-V"}, args[0].String()) {
			r.unfollowed("crontab runs a file of commands later")
			r.table(in, s, depth)
		}
	case "sed", "gsed":
		r.sed(args, s, depth)
	case "awk", "gawk", "mawk", "nawk":
		r.awk(name, args, s, depth)
	case "ssh":
		r.remote(args, in, s, depth)
	case "scp", "sftp":
		r.connecting(name, args, s, depth)
	case "git":
		r.git(args, s, depth)
	case "tar", "bsdtar", "gtar":
		r.tarOptions(args, s, depth)
	case "rsync":
		r.rsyncOptions(args, s, depth)
	case "zip":
		r.given(name, args, []string{"-TT", "--unzip-command"}, s, depth)
	case "sort":
		r.given(name, args, []string{"--compress-program"}, s, depth)
	case "tmux":
		r.tmux(args, s, depth)
	case "openssl":
		if slices.ContainsFunc(args, func(a arg) bool {
			return strings.HasPrefix(a.String(), "-engine") || strings.HasPrefix(a.String(), "-provider")
		}) {
			r.unfollowed("openssl loads code from a file")
		}
	case "make", "gmake":
		r.unfollowed("make runs what its file says")
	}
}

// language reads the code that a program is given.
func (r *reading) language(name string, l language, args []arg, in feed, s *state, depth int) {
	if only(args, "--version", "--help", "-V", "-v", "-h") && len(args) == 1 {
		return
	}
	file := false
	for i, a := range args {
		t := a.String()
		if t == "--" {
			file = file || i+1 < len(args)
			break
		}
		if j := slices.IndexFunc(l.options, func(p string) bool { return option(p, t) }); j >= 0 {
			r.unfollowed("%s runs code of its own language from its option %.20q", name, t)
			r.code(name, args[i:], s, depth)
			return
		}
		file = file || !strings.HasPrefix(t, "-") && t != ""
	}
	switch {
	case file || slices.ContainsFunc(args, func(a arg) bool { return strings.HasPrefix(a.String(), "-m") }):
		if !slices.ContainsFunc(args, func(a arg) bool { return a.String() == "-" }) {
			return
		}
		fallthrough
	case l.input:
		if in.kind == fromText {
			r.code(name, append([]arg{fixed(in.text)}, args...), s, depth)
		}
		r.unfollowed("%s runs code of its own language from its input", name)
	}
}

// option reports whether an argument is an option of a pattern: a long one, or
// letters among which is the one that counts.
func option(pattern, a string) bool {
	if strings.HasPrefix(pattern, "-*") && (strings.HasPrefix(a, "--") || !strings.HasPrefix(a, "-")) {
		return false
	}
	head, _, _ := strings.Cut(a, "=")
	ok, _ := path.Match(pattern, strings.NewReplacer("/", "_").Replace(head))
	return ok
}

// code reads code of another language for the commands that it starts: the texts
// in its quotes, each, and joined. What it computes is not known.
func (r *reading) code(name string, args []arg, s *state, depth int) {
	var all strings.Builder
	for _, a := range args {
		all.WriteString(a.carry())
		all.WriteByte('\n')
	}
	code := all.String()
	starts := containsAny(code, starting) || strings.HasPrefix(name, "vi") || name == "nvim" || name == "ex" || name == "ed" || name == "gdb"
	parts := literals(code)
	if containsAny(code, removing) {
		for _, p := range parts {
			r.tree(name, []arg{fixed(p)}, s)
		}
	}
	for _, p := range parts {
		if strings.HasPrefix(p, "/dev/") || strings.HasPrefix(p, "/proc/sysrq") {
			if strings.Contains(code, "w") && containsAny(code, []string{"'w", `"w`, "'r+", `"r+`, "'a", `"a`, "'>", `">`, "+<", "write", "O_WRONLY", "O_RDWR", "fwrite", "File.w"}) {
				r.writes(name, fixed(p), feed{kind: fromElsewhere}, s)
			}
		}
	}
	if !starts && !containsAny(code, building) {
		return
	}
	tries := append(slices.Clone(parts), strings.Join(parts, " "), strings.Join(parts, ""))
	for _, p := range parts {
		if b, err := base64.StdEncoding.DecodeString(p); err == nil && len(b) > 3 && utf8.Valid(b) {
			tries = append(tries, string(b))
		}
		back := []rune(p)
		slices.Reverse(back)
		tries = append(tries, string(back))
	}
	for _, p := range tries {
		aside := r.aside()
		aside.text(strings.TrimLeft(p, "!: \t"), s.clone(), feed{kind: fromNothing}, depth+1)
		for _, words := range aside.Programs {
			if len(words[0]) > 0 && slices.Contains(r.wanted(code), path.Base(words[0])) {
				r.Programs, r.Written = append(r.Programs, words), append(r.Written, words)
			}
		}
		r.certain(aside)
	}
}

// wanted are the programs that code which starts some may start: every first word of
// its texts.
func (r *reading) wanted(code string) []string {
	var list []string
	for _, p := range literals(code) {
		if f := strings.Fields(strings.TrimLeft(p, "!: ")); len(f) > 0 {
			list = append(list, path.Base(f[0]))
		}
	}
	return list
}

func containsAny(s string, list []string) bool {
	return slices.ContainsFunc(list, func(w string) bool { return strings.Contains(s, w) })
}

// literals are the texts in quotes of any kind, and what follows an exclamation
// mark or the word shell in an editor's or debugger's command.
func literals(code string) (out []string) {
	for i := 0; i < len(code); i++ {
		q := code[i]
		switch q {
		case '"', '\'', '`':
		case '!':
			if end := strings.IndexAny(code[i:], "\n"); end > 1 {
				out = append(out, code[i+1:i+end])
			}
			continue
		default:
			if strings.HasPrefix(code[i:], "shell ") {
				end := strings.IndexByte(code[i:], '\n')
				out = append(out, code[i+6:i+max(end, 6)])
			}
			if (strings.HasPrefix(code[i:], "qx") || strings.HasPrefix(code[i:], "%x")) && i+3 < len(code) {
				if k := strings.IndexByte("({[<|/!", code[i+2]); k >= 0 {
					if end := strings.IndexByte(code[i+3:], ")}]>|/!"[k]); end > 0 {
						out = append(out, code[i+3:i+3+end])
					}
				}
			}
			continue
		}
		var b strings.Builder
		j := i + 1
		for ; j < len(code) && code[j] != q; j++ {
			if code[j] == '\\' && j+1 < len(code) {
				j++
			}
			b.WriteByte(code[j])
		}
		if j < len(code) {
			out = append(out, b.String())
			i = j
		}
		if len(out) > 32 {
			return out
		}
	}
	return out
}

// table reads a crontab's lines.
func (r *reading) table(in feed, s *state, depth int) {
	for line := range strings.Lines(in.text) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && strings.HasPrefix(f[0], "@"):
			r.text(strings.Join(f[1:], " "), s.clone(), feed{kind: fromNothing}, depth+1)
		case len(f) > 5 && !strings.HasPrefix(f[0], "#"):
			r.text(strings.Join(f[5:], " "), s.clone(), feed{kind: fromNothing}, depth+1)
		}
	}
}

// given reads the commands that options of a program come with.
func (r *reading) given(name string, args []arg, opts []string, s *state, depth int) {
	for i, a := range args {
		t := a.carry()
		if t == "--" {
			return
		}
		for _, o := range opts {
			value, ok := "", false
			key, rest, attached := strings.Cut(t, "=")
			switch {
			case strings.HasPrefix(o, "--") && strings.HasPrefix(key, "--") && len(key) > 3 && strings.HasPrefix(o, key):
				value, ok = rest, true
				if !attached && i+1 < len(args) {
					value = args[i+1].carry()
				}
			case !strings.HasPrefix(o, "--") && strings.HasPrefix(t, o) && !strings.HasPrefix(t, "--"):
				value, ok = strings.TrimPrefix(t[len(o):], "="), true
				if value == "" && i+1 < len(args) {
					value = args[i+1].carry()
				}
			}
			if ok && value != "" {
				if name != "rsync" && !slices.Contains(compressors, value) {
					r.unfollowed("%s runs a program by its option %.20q", name, o)
				}
				r.text(strings.TrimPrefix(value, "!"), s.clone(), feed{kind: fromElsewhere}, depth+1)
			}
		}
	}
}

// compressors are programs that archives are made with.
var compressors = strings.Fields("gzip pigz bzip2 pbzip2 lbzip2 xz pxz lzma lzip lzop zstd zstdmt lz4 brotli compress")

func (r *reading) tarOptions(args []arg, s *state, depth int) {
	for i, a := range args { // cIf PROGRAM ARCHIVE
		t := a.String()
		if letters := i == 0 && t != "" && t[0] != '-' || len(t) > 2 && t[0] == '-' && t[1] != '-'; !letters || !strings.ContainsAny(t[1:], "IF") {
			continue
		}
		r.unfollowed("tar runs a program that is given among other letters")
		for _, v := range args[i+1 : min(i+4, len(args))] {
			aside := r.aside()
			aside.text(v.carry(), s.clone(), feed{kind: fromElsewhere}, depth+1)
			r.certain(aside)
		}
	}
	r.given("tar", args, []string{"--to-command", "--use-compress-program", "--rsh-command", "--rmt-command", "--info-script", "--new-volume-script", "-I", "-F"}, s, depth)
	for i, a := range args {
		t := a.carry()
		key, value, attached := strings.Cut(t, "=")
		if !strings.HasPrefix(key, "--checkpoint-") || !strings.HasPrefix("--checkpoint-action", key) {
			continue
		}
		if !attached && i+1 < len(args) {
			value = args[i+1].carry()
		}
		if command, ok := strings.CutPrefix(value, "exec="); ok {
			r.unfollowed("tar runs a program by its option \"--checkpoint-action\"")
			r.text(command, s.clone(), feed{kind: fromElsewhere}, depth+1)
		} else if strings.Contains(value, string(carryAny)) {
			r.unclear("an option of tar that can start programs is computed: write it")
		}
	}
}

func (r *reading) rsyncOptions(args []arg, s *state, depth int) {
	if len(args) > 0 && args[0].String() == "--server" {
		return // the other end of a copy, where -e names what both ends can
	}
	opts := []string{"--rsh", "--rsync-path", "-e"}
	for i, a := range args { // -ave
		if t := a.String(); len(t) > 2 && t[0] == '-' && t[1] != '-' && strings.HasSuffix(t, "e") && i+1 < len(args) {
			r.text(args[i+1].carry(), s.clone(), feed{kind: fromElsewhere}, depth+1)
		}
	}
	r.given("rsync", args, opts, s, depth)
}

// gitRuns are the settings of git whose value is a command, by their last word or as
// a whole.
var gitRuns = strings.Fields(`pager editor sshcommand fsmonitor askpass helper textconv driver clean smudge process program cmd command external tool
	proxycommand gitproxy hookspath receivepack uploadpack packobjectshook sequence.editor`)

func (r *reading) git(args []arg, s *state, depth int) {
	r.given("git", args, []string{"--upload-pack", "--receive-pack", "--exec", "--open-files-in-pager", "--extcmd"}, s, depth)
	for i, a := range args {
		t := a.carry()
		switch {
		case (t == "-c" || t == "--config") && i+1 < len(args):
			r.gitSetting(args[i+1].carry(), s, depth)
		case strings.HasPrefix(t, "--config-env"), strings.HasPrefix(t, "--exec-path="):
			r.unfollowed("git finds programs elsewhere by its option %.20q", a.String())
		case strings.HasPrefix(t, "ext::"):
			r.text(strings.TrimPrefix(t, "ext::"), s.clone(), feed{kind: fromElsewhere}, depth+1)
		case (t == "-x" || t == "run" || t == "foreach") && i+1 < len(args) && (t != "-x" || slices.Contains(texts(args), "rebase") || slices.Contains(texts(args), "difftool")):
			if t == "run" && !slices.Contains(texts(args[:i]), "bisect") || t == "foreach" && !slices.Contains(texts(args[:i]), "submodule") {
				continue
			}
			r.text(textOf(args[i+1:], " ", "").text, s.clone(), feed{kind: fromElsewhere}, depth+1)
		case t == "config" && i+2 < len(args):
			words, _ := operands(args[i+1:], "-f --file")
			if len(words) > 1 {
				r.gitSetting(words[0].carry()+"="+words[1].carry(), s, depth)
			}
		}
	}
}

func (r *reading) gitSetting(setting string, s *state, depth int) {
	key, value, _ := strings.Cut(setting, "=")
	key = strings.ToLower(key)
	last := key[strings.LastIndexByte(key, '.')+1:]
	switch {
	case strings.HasPrefix(key, "alias."):
		if command, ok := strings.CutPrefix(value, "!"); ok {
			r.text(command, s.clone(), feed{kind: fromElsewhere}, depth+1)
		}
	case key == "include.path":
		r.unfollowed("git reads settings from a file")
	case last == "helper" && !strings.HasPrefix(value, "!") && !strings.Contains(value, "/"), last == "fsmonitor" && (value == "true" || value == "false"), last == "tool", value == "":
	case slices.Contains(gitRuns, last) || slices.Contains(gitRuns, key):
		r.text(strings.TrimPrefix(value, "!"), s.clone(), feed{kind: fromElsewhere}, depth+1)
		r.unfollowed("git runs what the setting %.40q says", key)
	}
}

// sshRuns are options of ssh whose value is a command of the machine that it runs on.
var sshRuns = strings.Fields("proxycommand localcommand knownhostscommand securitykeyprovider pkcs11provider xauthlocation remotecommand")

func (r *reading) sshOption(setting string, s *state, depth int) {
	end := strings.IndexAny(setting, "= ")
	if end < 0 {
		return
	}
	key, value := strings.ToLower(setting[:end]), strings.TrimLeft(setting[end:], "= ")
	switch {
	case key == "match" || key == "include":
		r.unfollowed("ssh reads settings from a file")
	case slices.Contains(sshRuns, key) && !strings.EqualFold(value, "none"):
		r.text(strings.TrimPrefix(value, "exec "), s.clone(), feed{kind: fromElsewhere}, depth+1)
	}
}

// connecting reads the options of scp and sftp.
func (r *reading) connecting(name string, args []arg, s *state, depth int) {
	r.given(name, args, []string{"-S"}, s, depth)
	for i, a := range args {
		t := a.carry()
		switch {
		case t == "-o" && i+1 < len(args):
			r.sshOption(args[i+1].carry(), s, depth)
		case strings.HasPrefix(t, "-o"):
			r.sshOption(t[2:], s, depth)
		case t == "-F":
			r.unfollowed("%s reads settings from a file", name)
		}
	}
}

// remote reads what ssh runs elsewhere.
func (r *reading) remote(args []arg, in feed, s *state, depth int) {
	r.connecting("ssh", args, s, depth)
	for i := 0; i < len(args); i++ {
		a := args[i].String()
		switch {
		case len(a) == 2 && a[0] == '-' && strings.IndexByte("BbcDEeFIiJLlmOopQRSWw", a[1]) >= 0:
			i++
		case strings.HasPrefix(a, "-"):
		default:
			if in.kind == fromSession { // a shell there is asked for as ssh alone asks for one
				in = feed{kind: fromNothing}
			}
			there := &state{vars: make(map[string][]word), cwd: place{base: atHome}, depth: s.depth}
			if i+1 < len(args) {
				r.text(textOf(args[i+1:], " ", "").text, there, in, depth+1)
			} else if in.kind == fromText {
				r.text(in.text, there, feed{kind: fromElsewhere}, depth+1)
			}
			return
		}
	}
}

// tmux reads the commands of new windows.
func (r *reading) tmux(args []arg, s *state, depth int) {
	words, _ := operands(args, "-L -S -f -s -n -c -t -x -y -F -e -l -p")
	if len(words) < 2 {
		return
	}
	switch words[0].String() {
	case "new", "new-session", "new-window", "neww", "split-window", "splitw", "respawn-pane", "run-shell", "run", "if-shell", "send-keys", "send", "popup", "display-popup":
		for _, a := range words[1:] {
			aside := r.aside()
			aside.text(a.carry(), s.clone(), feed{kind: fromNothing}, depth+1)
			r.Programs, r.Written = append(r.Programs, aside.Programs...), append(r.Written, aside.Written...)
			r.certain(aside)
		}
		if len(words) > 2 {
			r.probe(words[1:], feed{kind: fromNothing}, s, depth)
		}
		r.unfollowed("tmux starts programs")
	}
}

// finders are variables that change which programs or libraries run: folders in
// which they are found.
var finders = strings.Fields("PATH LD_LIBRARY_PATH DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH PYTHONPATH PYTHONHOME PERL5LIB NODE_PATH GIT_EXEC_PATH LD_RUN_PATH RUBYLIB GOPATH")

// commands are variables whose value is a command.
var commands = strings.Fields("PROMPT_COMMAND GIT_SSH_COMMAND GIT_SSH GIT_EDITOR GIT_PAGER GIT_EXTERNAL_DIFF GIT_ASKPASS GIT_SEQUENCE_EDITOR SSH_ASKPASS RSYNC_RSH CVS_RSH LESSOPEN LESSCLOSE PS4 MANPAGER SYSTEMD_PAGER EDITOR VISUAL PAGER BROWSER")

// loaders are variables by which every program runs other code first.
var loaders = strings.Fields("LD_PRELOAD LD_AUDIT DYLD_INSERT_LIBRARIES BASH_ENV SHELLOPTS BASHOPTS PERL5OPT PERL5DB RUBYOPT PYTHONSTARTUP PYTHONINSPECT")

// variable notes what setting a variable changes.
func (r *reading) variable(name string, value []word, s *state) {
	switch {
	case slices.Contains(loaders, name):
		if len(value) == 1 && value[0].empty() {
			return
		}
		r.unclear("it sets %s, by which other code runs first: leave that out", name)
	case slices.Contains(finders, name):
		for _, w := range value {
			r.folders(name, w)
		}
	case slices.Contains(commands, name):
		if t := arg(value).carry(); strings.Trim(t, "\\#$ "+string(carryHome)) != "" {
			r.unfollowed("it sets %s, which is a command", name)
			t = strings.TrimLeft(t, "|-")
			if name != "PS4" && !strings.ContainsRune(t, carryAny) {
				r.text(t, s.clone(), feed{kind: fromElsewhere}, s.depth+1)
			}
		}
	case name == "ENV" && len(arg(value).String()) > 0, name == "NODE_OPTIONS" && strings.Contains(arg(value).String(), "-r"), name == "JAVA_TOOL_OPTIONS" && strings.Contains(arg(value).String(), "agent"):
		r.unclear("it sets %s, by which other code runs first: leave that out", name)
	}
}

// folders notes the folders that a variable such as PATH names before what it
// held: programs may be found there that only have a known name.
func (r *reading) folders(name string, w word) {
	for i, part := range strings.Split(w.carry(), ":") {
		if i == 0 && part == string(carryAny) && w[0].text == name && strings.Contains(w.carry(), ":") {
			return // what was found stays what it was
		}
		switch {
		case strings.HasPrefix(part, "/tmp"), strings.HasPrefix(part, "/var/tmp"), strings.HasPrefix(part, "/dev"), part == "" && name == "PATH" && i == 0, (strings.HasPrefix(part, ".") || !strings.HasPrefix(part, "/")) && name == "PATH" && !strings.ContainsAny(part, string(carryHome)+string(carryAny)+string(carrySome)+"~"),
			(name == "LD_LIBRARY_PATH" || name == "PYTHONHOME") && (strings.HasPrefix(part, "/tmp") || strings.HasPrefix(part, "/dev")):
			r.unclear("%s names a folder in which anybody may put programs: name them by their path", name)
			return
		}
	}
	r.unfollowed("it sets %s, which changes what programs do", name)
}
