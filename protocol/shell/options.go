package shell

import (
	"path"
	"slices"
	"strings"
)

// options are what a wrapper takes before the program that it starts.
type options struct {
	flags    string // letters alone
	valued   string // letters that take the rest of their word, or the next one, along
	long     string // words; those with "=" take a value
	prints   string // options with which it starts nothing
	operands int    // words before the program
	shell    bool   // it starts a shell when no program is given
	folder   string // options whose value is the folder in which the program runs
}

var wrappers = map[string]*options{
	"sudo": {
		flags: "ABbEHiKklnPSsvV", valued: "aCcDghpRrTtUu", prints: "-l --list -v --validate -V --version -K --help --remove-timestamp -e --edit", folder: "-D --chdir",
		long: `askpass background bell help preserve-env set-home login remove-timestamp reset-timestamp list edit
		non-interactive preserve-groups stdin shell validate version auth-type= close-from= chdir= group= host= prompt= chroot= role=
		command-timeout= type= other-user= user=`,
	},
	"doas":             {flags: "Lns", valued: "Cu", prints: "-L"},
	"env":              {flags: "i0v", valued: "uC", prints: "--version --help", folder: "-C --chdir", long: "ignore-environment null debug unset= chdir= block-signal default-signal ignore-signal"},
	"nice":             {flags: "0123456789", valued: "n", prints: "--version --help", long: "adjustment="},
	"ionice":           {flags: "t", valued: "cnpPu", prints: "--version --help -p --pid", long: "class= classdata= ignore pid= pgid= uid="},
	"timeout":          {flags: "v", valued: "ks", prints: "--version --help", operands: 1, long: "foreground preserve-status verbose kill-after= signal="},
	"nohup":            {prints: "--version --help"},
	"xargs":            {flags: "0oprtxie", valued: "adEILnPs", prints: "--version --help", long: "null open-tty interactive no-run-if-empty verbose exit show-limits arg-file= delimiter= max-args= max-procs= max-chars= replace max-lines process-slot-var="},
	"stdbuf":           {valued: "ioe", prints: "--version --help", long: "input= output= error="},
	"time":             {flags: "apvqV", valued: "fo", prints: "-V --version --help", long: "append portability verbose quiet format= output="},
	"chrt":             {flags: "abfiomrR", valued: "TPD", prints: "--version --help -p --pid -m --max", operands: 1, long: "all-tasks batch fifo idle other rr deadline reset-on-fork sched-runtime= sched-period= sched-deadline="},
	"taskset":          {flags: "ac", prints: "--version --help -p -pc -cp --pid", operands: 1, long: "all-tasks cpu-list"},
	"strace":           {flags: "cCdDfFiknqrtTvwxyYzZ", valued: "abeEIoOpPsSuUX", prints: "-V --version -h --help"},
	"ltrace":           {flags: "cCfhiLrStTV", valued: "aADeFlnopsuwx", prints: "-V --version -h --help"},
	"watch":            {flags: "bcdegprtwx", valued: "nq", prints: "--version --help -v -h", long: "interval= beep color differences errexit chgexit no-title no-wrap precise exec equexit="},
	"flock":            {flags: "senuoxF", valued: "wE", prints: "--version --help", operands: 1, long: "shared exclusive unlock nonblock nb timeout= conflict-exit-code= close no-fork verbose"},
	"unshare":          {flags: "muinpUCTfrc", valued: "SGRw", prints: "--version --help", shell: true, long: "mount uts ipc net pid user cgroup time fork kill-child map-root-user map-current-user mount-proc setuid= setgid= root= wd= propagation= keep-caps"},
	"nsenter":          {flags: "amuinpUCTFZ", valued: "tSG", prints: "--version --help", shell: true, long: "target= all mount uts ipc net pid user cgroup time setuid= setgid= no-fork preserve-credentials"},
	"exec":             {flags: "cl", valued: "a"},
	"command":          {flags: "pvV", prints: "-v -V -pv -pV"},
	"builtin":          {},
	"setsid":           {flags: "cfw", prints: "--version --help", long: "ctty fork wait"},
	"chroot":           {prints: "--version --help", operands: 1, shell: true, long: "userspec= groups= skip-chdir"},
	"script":           {flags: "aefq", valued: "BIOTmoEt", prints: "--version --help -V -h", shell: true, long: "append flush quiet return timing log-io= log-out= log-in="},
	"su":               {flags: "flmpP", valued: "gGsw", prints: "--version --help -V -h", shell: true, long: "fast login preserve-environment pty group= supp-group= shell= whitelist-environment="},
	"runuser":          {flags: "flmpP", valued: "gGsuw", prints: "--version --help -V -h", shell: true, long: "fast login preserve-environment pty group= supp-group= shell= user= whitelist-environment="},
	"sg":               {operands: 1, shell: true},
	"newgrp":           {operands: 1, shell: true},
	"pkexec":           {prints: "--version --help", shell: true, long: "user= disable-internal-agent"},
	"gosu":             {operands: 1, prints: "--version --help"},
	"su-exec":          {operands: 1},
	"chpst":            {valued: "uUbe/nlLmdofcprt012", flags: "vVP"},
	"setpriv":          {prints: "-d --dump --version --help", long: "reuid= regid= clear-groups keep-groups init-groups groups= no-new-privs inh-caps= ambient-caps= bounding-set= securebits= pdeathsig= reset-env"},
	"prlimit":          {prints: "-p --pid --version --help"},
	"numactl":          {flags: "lasH", valued: "imNCp", prints: "-H --hardware -s --show", long: "interleave= membind= cpunodebind= physcpubind= localalloc preferred= all"},
	"fakeroot":         {valued: "lsbif", prints: "-v -h --version --help"},
	"unbuffer":         {flags: "p"},
	"dbus-run-session": {prints: "--version --help"},
	"systemd-inhibit":  {prints: "--list --version --help", long: "what= who= why= mode= no-pager no-legend"},
	"systemd-run": {flags: "qtPSGdr", valued: "puMHE", prints: "--version --help", long: `scope user system pty pipe wait collect quiet no-block same-dir shell unit= property= uid= gid= slice=
		description= setenv= working-directory= on-active= on-boot= on-calendar= on-startup= on-unit-active= timer-property= nice= service-type=`},
	"parallel": {flags: "0kmXvu", valued: "jIanNLS", prints: "--version --help", long: "jobs= keep-order null will-cite bar eta dry-run halt= joblog= retries= tag ungroup arg-file= colsep="},
	"screen":   {flags: "dmDRrxXqALU", valued: "cSstTphe", prints: "-ls -list -v -wipe"},
	"busybox":  {prints: "--list --list-full --help"},
	"toybox":   {prints: "--long --help --version"},
	"ip":       {},
}

// fits reports whether an option is one of a list of words.
func fits(list, option string) bool {
	name, _, _ := strings.Cut(option, "=")
	for word := range strings.FieldsSeq(list) {
		if word == name {
			return true
		}
	}
	return false
}

// takesWord reports whether an option of a wrapper takes the next word along.
// known is false when the option is not listed.
func (o *options) takesWord(option string) (takes, known bool) {
	if long, ok := strings.CutPrefix(option, "--"); ok {
		long, _, attached := strings.Cut(long, "=")
		for word := range strings.FieldsSeq(o.long) {
			plain, valued := strings.CutSuffix(word, "=")
			if plain == long {
				return valued && !attached, true
			}
		}
		return false, fits(o.prints, option)
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

// lines are wrappers whose option -c takes the text of a command.
var lines = []string{"su", "runuser", "script", "flock", "sg"}

// wrapper finds the program that a wrapper starts.
func (r *reading) wrapper(name string, args []arg, in feed, s *state, depth int) feed {
	o := wrappers[name]
	if name == "ip" {
		return r.namespace(args, in, s, depth)
	}
	own, shell, i := s.clone(), o.shell, 0
	if name == "exec" || name == "command" || name == "builtin" || name == "busybox" {
		own = s // in the same shell
	}
scan:
	for ; i < len(args); i++ {
		a := args[i].String()
		switch {
		case fits(o.prints, a):
			return feed{kind: fromNothing}
		case slices.Contains(lines, name) && takesLine(a):
			return r.line(a, args[i:], in, own, depth)
		case name == "env" && (strings.HasPrefix(a, "-S") || strings.HasPrefix(a, "--split-string") || strings.HasPrefix(a, "-vS")):
			_, text, ok := strings.Cut(args[i].carry(), "S")
			if strings.HasPrefix(a, "--") {
				_, text, ok = strings.Cut(args[i].carry(), "=")
			}
			rest := args[i+1:]
			if (!ok || text == "") && len(rest) > 0 {
				text, rest = rest[0].carry(), rest[1:]
			}
			return r.text("env "+text+" "+textOf(rest, " ", "").text, own, in, depth+1)
		case (name == "env" || name == "sudo" || name == "doas") && strings.Contains(a, "=") && !strings.HasPrefix(a, "-"):
			v, value, _ := strings.Cut(args[i].carry(), "=")
			own.vars[v] = []word{literalWord(value)}
			r.variable(v, own.vars[v], own)
			continue
		case a == "--":
			i++
		case name == "time" && a == "-p":
			continue
		case strings.HasPrefix(a, "-") && a != "-" || name == "env" && a == "-":
			shell = shell || name == "sudo" && strings.ContainsAny(a, "is") && a[1] != '-' || a == "--login" || a == "--shell" || name == "doas" && a == "-s"
			takes, known := o.takesWord(a)
			if !known {
				r.unfollowed("an option of %s, %q, is not known", name, a)
				return r.probe(args[i+1:], in, own, depth)
			}
			if fits(o.folder, a) {
				_, folder, attached := strings.Cut(args[i].carry(), "=")
				if !attached && i+1 < len(args) {
					folder = args[i+1].carry()
				}
				own.cwd = literalWord(folder).resolve(own.cwd)
			}
			if takes {
				i++
			}
			continue
		case name == "su" && a == "-":
			continue
		}
		break scan
	}
	rest := args[min(i, len(args)):]
	switch name {
	case "su", "runuser":
		if name == "runuser" && only(args[:i], "-u", "--user") {
			return r.program(rest, in, feed{}, own, depth+1)
		}
		return r.user(name, rest, in, own, depth)
	case "script":
		if len(rest) < 2 {
			return r.input(name, nil, in, own, depth)
		}
		return r.line(rest[1].String(), rest[1:], in, own, depth)
	case "watch": // joins its arguments into a text
		return r.text(textOf(rest, " ", "").text, own, feed{kind: fromNothing}, depth+1)
	case "xargs", "parallel":
		return r.filled(name, args[:i], rest, in, own, depth)
	case "taskset", "chrt", "flock", "sg", "newgrp":
		if len(rest) > 1 && takesLine(rest[1].String()) {
			return r.line("-c", rest[1:], in, own, depth)
		}
	}
	rest = rest[min(o.operands, len(rest)):]
	switch {
	case len(rest) > 0:
		return r.program(rest, in, r.opened, own, depth+1)
	case shell:
		return r.input(name, nil, in, own, depth)
	}
	return feed{kind: fromElsewhere}
}

// takesLine reports whether an option comes with the text of a command: -c, also
// together with other letters.
func takesLine(option string) bool {
	return option == "--command" || strings.HasPrefix(option, "--command=") ||
		len(option) > 1 && option[0] == '-' && option[1] != '-' && option[len(option)-1] == 'c'
}

// line reads the text after the option -c, which may come with it.
func (r *reading) line(option string, args []arg, in feed, s *state, depth int) feed {
	if _, _, attached := strings.Cut(option, "="); attached {
		_, text, _ := strings.Cut(args[0].carry(), "=")
		return r.text(text, s, in, depth+1)
	}
	if len(args) > 1 && takesLine(option) {
		return r.text(r.carried(args[1]), s, in, depth+1)
	}
	return r.probe(args, in, s, depth)
}

// user finds what su and runuser start: a shell, of which the user is named before
// or after the text.
func (r *reading) user(name string, rest []arg, in feed, s *state, depth int) feed {
	for i, a := range rest {
		if t := a.String(); takesLine(t) {
			return r.line(t, rest[i:], in, s, depth)
		}
	}
	return r.input(name, nil, in, s, depth)
}

// probe looks for harm in what follows an option that is not known: any of the
// words may be the first of a program.
func (r *reading) probe(args []arg, in feed, s *state, depth int) feed {
	for i := range args {
		aside := r.aside()
		aside.program(args[i:], in, feed{}, s.clone(), depth+1)
		r.Programs, r.Written = append(r.Programs, aside.Programs...), append(r.Written, aside.Written...)
		r.certain(aside)
	}
	return feed{kind: fromElsewhere}
}

// namespace is "ip netns exec NAME PROGRAM".
func (r *reading) namespace(args []arg, in feed, s *state, depth int) feed {
	list := texts(args)
	if i := slices.Index(list, "exec"); i > 0 && slices.Contains(list[:i], "netns") && i+2 < len(args) {
		return r.program(args[i+2:], in, feed{}, s, depth+1)
	}
	return feed{kind: fromElsewhere}
}

// filled reads the program of xargs and parallel with what they read by their
// input.
func (r *reading) filled(name string, opts, rest []arg, in feed, s *state, depth int) feed {
	if len(rest) == 0 {
		return in
	}
	list := texts(opts)
	values := in.words()
	if in.kind == fromSession || slices.ContainsFunc(list, func(a string) bool { return strings.HasPrefix(a, "-a") || strings.HasPrefix(a, "--arg-file") }) {
		values = []arg{{{{kind: maybe, text: ""}}}}
	}
	if name == "parallel" {
		if i := slices.IndexFunc(rest, func(a arg) bool { return strings.HasPrefix(a.String(), ":::") }); i >= 0 {
			values, rest = rest[i+1:], rest[:i]
			if len(rest) == 0 {
				for _, v := range values {
					r.text(v.carry(), s, feed{kind: fromNothing}, depth+1)
				}
				return feed{kind: fromElsewhere}
			}
		}
	}
	mark := ""
	for i, a := range list {
		switch {
		case a == "-I" && i+1 < len(list):
			mark = list[i+1]
		case strings.HasPrefix(a, "-I") && len(a) > 2:
			mark = a[2:]
		case strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "i"), strings.HasPrefix(a, "--replace"):
			mark = "{}"
		}
	}
	if name == "parallel" && slices.ContainsFunc(rest, func(a arg) bool { return strings.Contains(a.String(), "{}") }) {
		mark = "{}"
	}
	if len(values) == 0 && in.kind == fromNothing {
		values = []arg{}
	}
	if mark != "" {
		for _, v := range values {
			r.program(r.placed(rest, mark, v), feed{kind: fromNothing}, feed{}, s, depth+1)
		}
		if len(values) == 0 {
			r.program(rest, feed{kind: fromNothing}, feed{}, s, depth+1)
		}
		return feed{kind: fromElsewhere}
	}
	if in.deep && slices.Contains(fileRemovers, path.Base(rest[0].String())) {
		r.tree("find with "+rest[0].String(), named(values, s.cwd), s)
	}
	for i := range values {
		values[i] = made(values[i])
	}
	return r.program(slices.Concat(rest, values), feed{kind: fromNothing}, feed{}, s, depth+1)
}

// operands returns the words that are neither options nor their values, and the
// options. valued are options that take the next word along.
func operands(args []arg, valued string) (words []arg, opts []string) {
	for i := 0; i < len(args); i++ {
		a := args[i].String()
		switch {
		case a == "--":
			return append(words, args[i+1:]...), opts
		case len(a) > 1 && a[0] == '-':
			opts = append(opts, a)
			if fits(valued, a) && !strings.Contains(a, "=") {
				i++
			}
		default:
			words = append(words, args[i])
		}
	}
	return words, opts
}

// only reports whether one of the arguments is an option of list, before any "--".
func only(args []arg, list ...string) bool {
	for _, a := range args {
		s := a.String()
		if s == "--" {
			return false
		}
		if slices.Contains(list, s) {
			return true
		}
	}
	return false
}

// letter reports whether letters among options have one of set.
func letter(opts []string, set string) bool {
	return slices.ContainsFunc(opts, func(a string) bool { return !strings.HasPrefix(a, "--") && strings.ContainsAny(a[1:], set) })
}

// long reports whether an option is name, or a beginning of it that may be one.
func long(a, name string) bool {
	a, _, _ = strings.Cut(a, "=")
	return len(a) > 2 && strings.HasPrefix(a, "--") && strings.HasPrefix(name, a[2:])
}
