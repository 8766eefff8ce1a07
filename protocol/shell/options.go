package shell

import (
	"path"
	"slices"
	"strings"
)

// options are what a wrapper takes before the program that it starts. What is not
// listed is not understood.
type options struct {
	flags  string // letters alone
	valued string // letters that take the rest of their word, or the next one, along
	long   string // words; those with "=" take a value
}

var wrappers = map[string]options{
	"sudo": {"ABbEHiKklnPSsvV", "aCcDghpRrTtUu", `askpass background bell help preserve-env set-home login remove-timestamp reset-timestamp list
		non-interactive preserve-groups stdin shell validate version auth-type= close-from= chdir= group= host= prompt= chroot= role=
		command-timeout= type= other-user= user=`},
	"doas":    {"Lns", "Cu", ""},
	"env":     {"i0v", "uC", "ignore-environment null debug unset= chdir= block-signal default-signal ignore-signal"},
	"nice":    {"0123456789", "n", "adjustment="},
	"ionice":  {"t", "cnpPu", "class= classdata= ignore pid= pgid= uid="},
	"timeout": {"v", "ks", "foreground preserve-status verbose kill-after= signal="},
	"xargs": {"0oprtx", "adEILnPs", `null open-tty interactive no-run-if-empty verbose exit show-limits arg-file= delimiter= max-args= max-procs=
		max-chars= process-slot-var=`},
	"stdbuf":  {"", "ioe", "input= output= error="},
	"time":    {"apvq", "fo", "append portability verbose quiet format= output="},
	"chrt":    {"abfiomrR", "TPD", "all-tasks batch fifo idle other rr deadline reset-on-fork sched-runtime= sched-period= sched-deadline="},
	"taskset": {"ac", "", "all-tasks cpu-list"},
	"strace":  {"cCdDfFiknqrtTvwxyYzZ", "abeEIoOpPsSuUX", ""},
	"watch":   {"bcdegprtwx", "nq", "interval= beep color differences errexit chgexit no-title no-wrap precise exec equexit="},
	"flock":   {"senuoxF", "wE", "shared exclusive unlock nonblock nb timeout= conflict-exit-code= close no-fork verbose"},
	"unshare": {"muinpUCTfrc", "SGRw", `mount uts ipc net pid user cgroup time fork kill-child map-root-user map-current-user mount-proc setuid=
		setgid= root= wd= propagation= keep-caps`},
	"nsenter": {"amuinpUCTFZ", "tSG", "target= all mount uts ipc net pid user cgroup time setuid= setgid= no-fork preserve-credentials"},
	"exec":    {"cl", "a", ""},
	"command": {"pvV", "", ""},
	"setsid":  {"cfw", "", "ctty fork wait"},
	"chroot":  {"", "", "userspec= groups= skip-chdir"},
	"script":  {"aefq", "BIOTmoEt", "append flush quiet return"},
	"su":      {"flmpP", "gGsw", "fast login preserve-environment pty group= supp-group= shell= whitelist-environment="},
	"runuser": {"flmpP", "gGsuw", "fast login preserve-environment pty group= supp-group= shell= user= whitelist-environment="},
	"pkexec":  {"", "", "user= disable-internal-agent"},
	"systemd-run": {"qtPSGdr", "puMHE", `scope user system pty pipe wait collect quiet no-block same-dir unit= property= uid= gid= slice=
		description= setenv= working-directory=`},
	"parallel": {"0kmXv", "jIanNL", "jobs= keep-order null"},
}

// takesWord reports whether an option of a wrapper takes the next word along.
// known is false when the option is not listed.
func takesWord(name, option string) (takes, known bool) {
	o := wrappers[name]
	if long, ok := strings.CutPrefix(option, "--"); ok {
		long, _, attached := strings.Cut(long, "=")
		for word := range strings.FieldsSeq(o.long) {
			plain, valued := strings.CutSuffix(word, "=")
			if plain == long {
				return valued && !attached, true
			}
		}
		return false, false
	}
	letters := option[1:]
	for i := range len(letters) {
		switch c := letters[i]; {
		case strings.IndexByte(o.valued, c) >= 0:
			return i == len(letters)-1, true
		case strings.IndexByte(o.flags, c) < 0:
			return false, false
		}
	}
	return false, true
}

// coded are programs that take code in an argument: after one of these options.
var coded = map[string][]string{
	"python*": {"-*c*"}, "perl": {"-*e*", "-*E*"}, "ruby": {"-*e*"}, "node": {"-*e*", "-*p*", "--eval*", "--print*"}, "nodejs": {"-*e*", "-*p*", "--eval*", "--print*"},
	"php": {"-*r*", "-B", "-R", "-E"}, "lua*": {"-*e*"}, "expect": {"-c*"}, "gdb": {"-ex*", "--eval-command*", "-x*", "-iex*"},
	"vi": {"-c*", "+*", "--cmd"}, "vim": {"-c*", "+*", "--cmd", "-S*", "-s*"}, "nvim": {"-c*", "+*", "--cmd", "-S*", "-s*"}, "ex": {"*"}, "emacs": {"--eval*", "-f*", "--funcall*"},
	"tar":   {"--checkpoint-action*", "--to-command*", "-I*", "--use-compress-program*", "-F*", "--info-script*", "--new-volume-script*", "--rsh-command*", "--rmt-command*"},
	"rsync": {"-e*", "--rsh*", "--rsync-path*", "-*e"}, "git": {"-c*", "--exec-path*", "--config-env*", "--upload-pack*", "--receive-pack*"},
	"sed": {"-*f*", "--file*"}, "awk": {"-f*", "--file*"}, "gawk": {"-f*", "--file*", "-l*", "-i*"}, "mawk": {"-f*"}, "nawk": {"-f*"},
	"zip": {"-TT*", "--unzip-command*"}, "crontab": {"-"}, "openssl": {"-engine*", "-provider*"}, "scp": {"-S*", "-oProxyCommand*"}, "sftp": {"-S*", "-oProxyCommand*"},
}

// readers are programs that run what they are given by their input.
var readers = []string{"python*", "perl", "ruby", "node", "nodejs", "php", "lua*", "tclsh*", "expect", "at", "batch", "ed", "ex", "crontab", "dc", "gdb"}

// inline notes what a program does with code in its arguments or its input.
func (r *reading) inline(name string, args []string, input bool, depth int) {
	if name == "rsync" && len(args) > 0 && args[0] == "--server" {
		return // the other end of a copy, where -e names what both ends can
	}
	for pattern, list := range coded {
		if ok, _ := path.Match(pattern, name); !ok {
			continue
		}
		for _, a := range args {
			if a == "--" {
				break
			}
			if slices.ContainsFunc(list, func(p string) bool { return option(p, a) }) {
				r.unclear("%s runs code from its option %q", name, a)
				return
			}
		}
	}
	switch name {
	case "at", "batch", "ed", "ex":
		r.unclear("%s runs what it is given later", name)
	case "crontab":
		if len(args) > 0 && !slices.Contains([]string{"-l", "-r"}, args[0]) {
			r.unclear("crontab runs a file of commands later")
		}
	case "sed":
		r.script(name, args, "l", "e", sedRuns)
	case "awk", "gawk", "mawk", "nawk":
		r.script(name, args, "Fv", "e", awkRuns)
	case "ssh":
		r.remote(args, depth)
	}
	if input && !slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }) && slices.ContainsFunc(readers, func(p string) bool { ok, _ := path.Match(p, name); return ok }) {
		r.unclear("%s reads commands that are not in the text", name)
	}
}

// option reports whether an argument is an option of a pattern: a long one, or
// letters among which is the one that counts.
func option(pattern, a string) bool {
	if strings.HasPrefix(pattern, "-*") && (strings.HasPrefix(a, "--") || !strings.HasPrefix(a, "-")) {
		return false
	}
	ok, _ := path.Match(pattern, strings.ReplaceAll(a, "/", "_"))
	return ok
}

// script notes texts of another language that start programs: those after the
// options of given, or the first word that does not belong to an option.
func (r *reading) script(name string, args []string, valued, given string, runs func(string) bool) {
	var texts, words []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			words = append(words, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(a, "--expression="), strings.HasPrefix(a, "--source="):
			texts = append(texts, a[strings.IndexByte(a, '=')+1:])
		case a == "--expression" || a == "--source" || len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Contains(given, a[len(a)-1:]):
			if i++; i < len(args) {
				texts = append(texts, args[i])
			}
		case len(a) > 2 && a[0] == '-' && strings.Contains(given, a[1:2]):
			texts = append(texts, a[2:])
		case len(a) == 2 && a[0] == '-' && strings.Contains(valued, a[1:]):
			i++
		case strings.HasPrefix(a, "-"):
		default:
			words = append(words, a)
		}
	}
	if len(texts) == 0 && len(words) > 0 {
		texts = words[:1]
	}
	for _, text := range texts {
		if strings.Contains(text, Dynamic) || runs(text) {
			r.unclear("a text for %s starts programs or writes files, or is computed", name)
			return
		}
	}
}

// awkRuns reports whether a text can be awk's that starts programs.
func awkRuns(text string) bool {
	return strings.Contains(text, "system") || strings.Contains(text, "getline") || strings.ContainsAny(text, "|@") || strings.Contains(text, "print >") || strings.Contains(text, ">\"") || strings.Contains(text, "> \"")
}

// sedRuns reports whether a text can be sed's with the commands e or w.
func sedRuns(text string) bool {
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ';' || c == '\n' || c == '{' || c == '}' }) {
		line = strings.TrimLeft(line, " \t0123456789,$!~+")
		if strings.HasPrefix(line, "/") { // an address by pattern
			if end := strings.LastIndexByte(line, '/'); end > 0 {
				line = strings.TrimLeft(line[end+1:], " \t,!I")
			}
		}
		switch {
		case line == "":
		case line[0] == 'e' || line[0] == 'w' || line[0] == 'W':
			return true
		case line[0] == 's' && len(line) > 1:
			flags := line[strings.LastIndexByte(line, line[1])+1:]
			if strings.ContainsAny(flags, "ewW") {
				return true
			}
		}
	}
	return false
}

// remote reads what ssh runs elsewhere.
func (r *reading) remote(args []string, depth int) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case strings.HasPrefix(a, "-o") || a == "-F" || strings.HasPrefix(a, Dynamic):
			r.unclear("an option of ssh can start programs")
			return
		case len(a) == 2 && a[0] == '-' && strings.IndexByte("BbcDEeIiJLlmOpQRSWw", a[1]) >= 0:
			i++
		case strings.HasPrefix(a, "-"):
		default:
			if i+1 < len(args) {
				r.text(strings.Join(args[i+1:], " "), depth)
			}
			return
		}
	}
}
