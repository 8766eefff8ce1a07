package commandline

import (
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/protocol/ssh"
)

// Transfer returns what a command line copies when copying is all that it does:
// the resource's end of scp, rsync, git and sftp, and tar from or to a pipe.
func (g *Grammar) Transfer(command string) (ssh.Transfer, bool) {
	programs, err := shell.Grammar{}.Programs(command)
	if err != nil {
		return ssh.Transfer{}, false
	}
	var moved *ssh.Transfer
	folder := ""
	for _, words := range programs {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, shell.Dynamic) }) {
			return ssh.Transfer{}, false
		}
		name, ok := installed(words[0])
		switch {
		case !ok:
			return ssh.Transfer{}, false
		case slices.Contains(beside, name):
		case name == "cd" && len(words) == 2 && folder == "" && moved == nil:
			folder = words[1]
		case movers[name] != nil && moved == nil:
			t, ok := movers[name](words[1:])
			if !ok {
				return ssh.Transfer{}, false
			}
			moved = &t
		default:
			return ssh.Transfer{}, false
		}
	}
	if moved == nil {
		return ssh.Transfer{}, false
	}
	for i, p := range moved.Paths {
		if folder != "" && !strings.HasPrefix(p, "/") {
			moved.Paths[i] = path.Join(folder, p)
		}
	}
	return *moved, true
}

// beside are programs that may come around one that copies.
var beside = []string{"sudo", "nice", "ionice", "gzip", "gunzip", "zcat", "bzip2", "xz", "zstd", "lz4", "pigz"}

// movers read the arguments of programs that copy. They refuse what they do not
// know.
var movers = map[string]func(args []string) (ssh.Transfer, bool){
	"scp": scp, "rsync": rsync, "tar": tar,
	"sftp-server":        func(args []string) (ssh.Transfer, bool) { return ssh.Transfer{SFTP: true}, len(args) == 0 },
	"git-upload-pack":    func(args []string) (ssh.Transfer, bool) { return repository(args, ssh.Transfer{Reads: true}) },
	"git-upload-archive": func(args []string) (ssh.Transfer, bool) { return repository(args, ssh.Transfer{Reads: true}) },
	"git-receive-pack":   func(args []string) (ssh.Transfer, bool) { return repository(args, ssh.Transfer{Writes: true}) },
	"git": func(args []string) (ssh.Transfer, bool) {
		if len(args) == 0 || !slices.Contains([]string{"upload-pack", "upload-archive", "receive-pack"}, args[0]) {
			return ssh.Transfer{}, false
		}
		return repository(args[1:], ssh.Transfer{Reads: args[0] != "receive-pack", Writes: args[0] == "receive-pack"})
	},
}

// folders are where systems install programs; one elsewhere may be anybody's.
var folders = []string{
	"/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/lib/openssh", "/usr/lib/ssh", "/usr/libexec", "/usr/libexec/openssh",
	"/usr/lib/git-core", "/usr/libexec/git-core",
}

func installed(program string) (name string, ok bool) {
	dir, name := path.Split(program)
	return name, dir == "" || slices.Contains(folders, path.Clean(dir)) && path.IsAbs(dir)
}

// scp reads "[-vrpd…] -f|-t PATH…", which OpenSSH's and PuTTY's clients send.
func scp(args []string) (t ssh.Transfer, ok bool) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		for _, letter := range args[0][1:] {
			switch letter {
			case 'f':
				t.Reads = true
			case 't':
				t.Writes = true
			case 'v', 'r', 'p', 'q', 'd', 'B', 'C', 'E':
			default:
				return t, false
			}
		}
		args = args[1:]
	}
	t.Paths = slices.Clone(args)
	return t, t.Reads != t.Writes && len(args) > 0
}

// rsync reads "--server [--sender] OPTION… . PATH…".
func rsync(args []string) (t ssh.Transfer, ok bool) {
	if len(args) == 0 || args[0] != "--server" {
		return t, false
	}
	dot := slices.Index(args, ".")
	if dot < 0 || dot+1 == len(args) || slices.Contains(args[:dot], "--daemon") {
		return t, false
	}
	t.Reads = slices.Contains(args[:dot], "--sender")
	t.Writes = !t.Reads
	t.Paths = slices.Clone(args[dot+1:])
	return t, true
}

func repository(args []string, t ssh.Transfer) (ssh.Transfer, bool) {
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		args = args[1:]
	}
	t.Paths = slices.Clone(args)
	return t, len(args) == 1
}

// tar reads an archive that is made of files and written to standard output, or
// one that is taken apart from standard input.
func tar(args []string) (t ssh.Transfer, ok bool) {
	if len(args) == 0 {
		return t, false
	}
	file, folder, paths := false, "", []string(nil)
	var wants []byte // letters whose values follow
	letters := func(s string) bool {
		for _, c := range []byte(s) {
			switch c {
			case 'c':
				t.Reads = true
			case 'x':
				t.Writes = true
			case 'f', 'C':
				wants = append(wants, c)
			case 'v', 'z', 'j', 'J', 'p', 'P', 'h', 'k', 'm', 'o', 'S', 'a':
			default:
				return false
			}
		}
		return true
	}
	for i, a := range args {
		switch {
		case len(wants) > 0:
			switch wants[0] {
			case 'f':
				if a != "-" {
					return t, false
				}
				file = true
			case 'C':
				folder = a
			}
			wants = wants[1:]
		case i == 0 && !strings.HasPrefix(a, "-"), len(a) > 1 && a[0] == '-' && a[1] != '-':
			if !letters(strings.TrimPrefix(a, "-")) {
				return t, false
			}
		case a == "--gzip", a == "--zstd", a == "--xz", a == "--one-file-system", a == "--numeric-owner", strings.HasPrefix(a, "--exclude="),
			strings.HasPrefix(a, "--strip-components="):
		case strings.HasPrefix(a, "-"):
			return t, false
		default:
			paths = append(paths, path.Join(folder, a))
		}
	}
	if t.Writes || len(paths) == 0 { // what is taken out of an archive goes where it says
		paths = []string{path.Clean(folder)}
	}
	t.Paths = paths
	return t, t.Reads != t.Writes && file && len(wants) == 0
}
