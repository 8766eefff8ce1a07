package git

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// head is the only ref of a mirror.
const head = "refs/sallyport/head"

func findGit() (string, error) {
	p, err := exec.LookPath("git")
	if err != nil {
		return "", errors.New("the program git is needed for repositories, and is not on the path: install it, or use a plain folder")
	}
	return filepath.Abs(p)
}

func sortedPaths(m map[string]entry) []string { return slices.Sorted(maps.Keys(m)) }

// settings are those of every call, and none of a user, of the machine or of a repository is
// read besides the mirror's, which nobody else writes.
var settings = []string{
	"core.hooksPath=/dev/null", "core.fsmonitor=false", "core.bigFileThreshold=1m", "core.pager=cat", "credential.helper=", "fetch.fsckObjects=true", "transfer.fsckObjects=true",
	"fetch.unpackLimit=1", "fetch.writeCommitGraph=false", "gc.auto=0", "maintenance.auto=false", "submodule.recurse=false", "protocol.version=2", "protocol.allow=never",
	"http.followRedirects=false", "http.lowSpeedLimit=1000", "http.lowSpeedTime=30", "gpg.program=/bin/false", "gpg.x509.program=/bin/false", "safe.bareRepository=all",
}

// command is a call of git within the mirror. The system ends it when it writes a file that is
// larger than a pack may be.
func (s *Source) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	line := []string{"-c", fmt.Sprintf(`ulimit -f %d && ulimit -c 0 && exec "$0" "$@"`, MaxPack/512), s.git}
	for _, set := range append(slices.Clone(settings), "protocol."+s.scheme+".allow=always") {
		line = append(line, "-c", set)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append(append(line, "--git-dir="+s.config.Mirror, "--no-replace-objects"), args...)...) // #nosec G204: words of our own
	cmd.Dir = s.config.Mirror
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false",
		"SSH_ASKPASS=/bin/false", "GIT_ALLOW_PROTOCOL=" + s.scheme, "GIT_PROTOCOL_FROM_USER=0", "GIT_NO_LAZY_FETCH=1", "GIT_ATTR_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0",
	}, env...)
	for _, name := range []string{"HTTPS_PROXY", "NO_PROXY", "TMPDIR"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	group(cmd)
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs git, and returns what it printed, at most limit bytes.
func (s *Source) run(ctx context.Context, limit int64, env []string, args ...string) ([]byte, error) {
	cmd := s.command(ctx, env, args...)
	var complaints limited
	complaints.left = 2000
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	text, rerr := io.ReadAll(io.LimitReader(out, limit+1))
	if int64(len(text)) > limit {
		_ = cmd.Cancel() // it may have ended
		_ = cmd.Wait()
		return nil, fmt.Errorf("git %s prints more than %d bytes", args[0], limit)
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("git %s took too long, or was ended", args[0])
		}
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, complaints.line())
	}
	return text, rerr
}

// limited keeps the beginning of what is written.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(l.left, len(b))
	l.left -= n
	l.Buffer.Write(b[:n])
	return len(b), nil
}

// line is what was written, as one line that is safe to show. A server may have sent it.
func (l *limited) line() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, strings.ToValidUTF8(l.String(), "")))
}

// mirror brings the mirror up to date, and returns the commit.
func (s *Source) mirror(ctx context.Context) (string, error) {
	if _, err := os.Stat(filepath.Join(s.config.Mirror, "HEAD")); err != nil {
		if err := os.MkdirAll(s.config.Mirror, 0o700); err != nil {
			return "", err
		}
		if _, err := s.run(ctx, 1<<16, nil, "init", "--quiet", "--bare", "--template="); err != nil {
			return "", err
		}
	}
	s.sweep()
	env, done, err := s.credentials(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	_, err = s.run(
		ctx, 1<<16, env, "fetch", "--quiet", "--force", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc", "--refmap=", "--",
		s.config.URL, "+"+s.config.Ref+":"+head,
	)
	if err != nil {
		return "", err
	}
	return s.resolve(ctx)
}

// sweep deletes what fetches have left that were ended.
func (s *Source) sweep() {
	for _, pattern := range []string{"objects/pack/tmp_*", "shallow.lock", "refs/sallyport/head.lock"} {
		list, err := filepath.Glob(filepath.Join(s.config.Mirror, pattern))
		if err != nil {
			continue // the pattern is a good one
		}
		for _, f := range list {
			_ = os.Remove(f) // the fetch says so if it is in its way
		}
	}
}

func (s *Source) resolve(ctx context.Context) (string, error) {
	out, err := s.run(ctx, 200, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", head+"^{commit}")
	if err != nil {
		return "", errors.New("the mirror has no commit")
	}
	commit := strings.TrimSpace(string(out))
	if !hash.MatchString(commit) {
		return "", errors.New("the mirror's ref is not a commit")
	}
	if want := s.config.Ref; hash.MatchString(want) && want != commit {
		return "", fmt.Errorf("got the commit %s, want %s", commit, want)
	}
	return commit, nil
}

// credentials are what a fetch proves itself by: never words of a command line.
func (s *Source) credentials(ctx context.Context) (env []string, done func(), err error) {
	done = func() {}
	secret := ""
	if s.config.Secret != nil {
		if secret, err = s.config.Secret(ctx); err != nil {
			return nil, done, fmt.Errorf("the secret: %w", err)
		}
	}
	switch s.scheme {
	case "https":
		if s.config.CA != "" {
			env = append(env, "GIT_SSL_CAINFO="+s.config.CA)
		}
		if secret != "" {
			user := s.config.User
			if user == "" {
				user = "git"
			}
			env = append(
				env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader",
				"GIT_CONFIG_VALUE_0=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+strings.TrimSpace(secret))),
			)
		}
	case "ssh":
		words := []string{
			"ssh", "-F", "none", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oGlobalKnownHostsFile=none", "-oUserKnownHostsFile=" + s.config.KnownHosts, "-oIdentitiesOnly=yes",
			"-oIdentityAgent=none", "-oForwardAgent=no", "-oPermitLocalCommand=no", "-oProxyCommand=none", "-oConnectTimeout=20",
		}
		if secret != "" {
			f, err := os.CreateTemp(s.config.Mirror, "key-")
			if err != nil {
				return nil, done, err
			}
			done = func() { _ = os.Remove(f.Name()) } // its folder is the gateway's alone
			if _, err = f.WriteString(strings.TrimRight(secret, "\n") + "\n"); err == nil {
				err = f.Close()
			}
			if err != nil {
				done()
				return nil, func() {}, err
			}
			words = append(words, "-i", f.Name())
		}
		for i, w := range words {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		env = append(env, "GIT_SSH_COMMAND="+strings.Join(words, " "), "GIT_SSH_VARIANT=ssh")
	}
	return env, done, nil
}

var goodSignature = regexp.MustCompile(`(?m)^Good "git" signature for (\S+) with `)

// signed returns who has signed a commit, by the list of allowed signers.
func (s *Source) signed(ctx context.Context, commit string, header []byte) (string, error) {
	if !bytes.Contains(header, []byte("\ngpgsig -----BEGIN SSH SIGNATURE-----\n")) {
		return "", fmt.Errorf("commit %s is not signed by a key of SSH, which the source requires", commit)
	}
	cmd := s.command(ctx, nil, "-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+s.config.Signers, "-c", "gpg.ssh.program=ssh-keygen", "verify-commit", "--raw", commit)
	var said limited
	said.left = 4000
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	m := goodSignature.FindStringSubmatch(said.String())
	if err != nil || m == nil {
		return "", fmt.Errorf("commit %s is not signed by an allowed signer: %s", commit, said.line())
	}
	return m[1], nil
}

var authorLine = regexp.MustCompile(`(?m)^author [^<\n]*<([^>\n]*)> `)

// read reads what a commit has.
func (s *Source) read(ctx context.Context, commit string) (*Snapshot, error) {
	snap := &Snapshot{Commit: commit, source: s.config.Name, path: s.config.Path, entries: make(map[string]entry)}
	object, err := s.run(ctx, 1<<20, nil, "cat-file", "commit", commit)
	if err != nil {
		return nil, err
	}
	header, _, _ := bytes.Cut(object, []byte("\n\n"))
	if m := authorLine.FindSubmatch(header); m != nil {
		snap.Author = strings.ToValidUTF8(string(m[1]), "")
	}
	if s.config.Signers != "" {
		if snap.Signer, err = s.signed(ctx, commit, header); err != nil {
			return nil, err
		}
	}
	list, err := s.run(ctx, 8<<20, nil, "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for line := range strings.SplitSeq(string(list), "\x00") {
		if line == "" {
			continue
		}
		if len(snap.entries) == MaxEntries {
			return nil, fmt.Errorf("commit %s has more than %d files", commit, MaxEntries)
		}
		meta, p, ok := strings.Cut(line, "\t")
		f := strings.Fields(meta)
		if !ok || len(f) != 4 {
			return nil, fmt.Errorf("commit %s has an entry that is not understood", commit)
		}
		e := entry{id: f[2]}
		switch f[0] {
		case "100644", "100755":
			e.kind = regular
			if e.size, err = strconv.ParseInt(f[3], 10, 64); err != nil {
				return nil, err
			}
		case "120000":
			e.kind = "a symbolic link"
		case "160000":
			e.kind = "a submodule"
		default:
			e.kind = "of the mode " + f[0]
		}
		snap.entries[p] = e
		if e.kind == regular && e.size <= keepFile && s.needs(p) {
			wanted = append(wanted, p)
		}
	}
	if err := s.blobs(ctx, snap, wanted); err != nil {
		return nil, err
	}
	return snap, snap.books(ctx)
}

// needs reports whether a file is read: runbooks, and what is small enough to be a script.
func (s *Source) needs(p string) bool {
	return isBook(p, s.config.Path) || strings.HasSuffix(p, ".sh") || strings.HasSuffix(p, ".yaml") || strings.HasSuffix(p, ".md")
}

// maxBlobs bounds all files that are read of a commit, in bytes.
const maxBlobs = 64 << 20

// blobs reads files of a commit.
func (s *Source) blobs(ctx context.Context, snap *Snapshot, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	var ids bytes.Buffer
	var all int64
	for _, p := range paths {
		ids.WriteString(snap.entries[p].id + "\n")
		all += snap.entries[p].size
	}
	if all > maxBlobs {
		return fmt.Errorf("the files have %d bytes, and may have %d", all, int64(maxBlobs))
	}
	cmd := s.command(ctx, nil, "cat-file", "--batch", "--buffer")
	cmd.Stdin = &ids
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(out, 64<<10)
	for _, p := range paths {
		e := snap.entries[p]
		if e.text, err = blob(in, e); err != nil {
			break
		}
		snap.entries[p] = e
	}
	if err != nil {
		_ = cmd.Cancel() // it may have ended
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return err
}

func blob(in *bufio.Reader, e entry) ([]byte, error) {
	head, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if want := fmt.Sprintf("%s blob %d\n", e.id, e.size); head != want {
		return nil, fmt.Errorf("the mirror is damaged: got %q, want %q", head, want)
	}
	text := make([]byte, e.size+1)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, err
	}
	return text[:e.size], nil
}
