package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// checkout is a clean copy of the commit, in which nothing is that the commit does not have.
type checkout struct {
	dir  string
	time time.Time // of the commit; every file of the release has it
	env  []string  // for the go command
}

// consoleNotices lists the packages that the console's files hold parts of, with their licences.
const consoleNotices = "console/dist/LICENSES.txt"

// checkOut copies the commit that is checked out at source. A repository with changes that are
// not committed is refused: nobody else could build it.
func checkOut(ctx context.Context, source, dir string) (*checkout, error) {
	changed, err := output(ctx, source, nil, "git", "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changed != "" {
		return nil, fmt.Errorf("%s has changes that are not committed, commit them first:\n%s", source, changed)
	}
	from, err := filepath.Abs(source)
	if err != nil {
		return nil, err
	}
	if _, err := output(ctx, source, nil, "git", "clone", "--quiet", "--no-checkout", from, dir); err != nil {
		return nil, err
	}
	commit, err := output(ctx, source, nil, "git", "rev-parse", "--verify", "HEAD")
	if err != nil {
		return nil, err
	}
	if _, err := output(ctx, dir, nil, "git", "-c", "advice.detachedHead=false", "-c", "core.autocrlf=false", "checkout", "--quiet", commit); err != nil {
		return nil, err
	}
	seconds, err := output(ctx, dir, nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("git log: got the time %q, want seconds: %w", seconds, err)
	}
	env, err := goEnvironment(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &checkout{dir, time.Unix(n, 0).UTC(), env}, nil
}

// shipped are files of the repository that every archive has, and those for one system.
func (c *checkout) shipped(ctx context.Context, t target) (files []file, err error) {
	args := []string{"ls-files", "-z", "--error-unmatch", "--", "LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "docs"}
	if t.os == "linux" {
		args = append(args, "deploy/systemd")
	}
	names, err := output(ctx, c.dir, nil, "git", args...)
	if err != nil {
		return nil, fmt.Errorf("the commit lacks a file that a release has: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		f, err := c.file(name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// file reads one of the commit, whose name has slashes.
func (c *checkout) file(name string) (file, error) {
	body, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(name)))
	return file{name, 0o644, body}, err
}

// output runs a program in a folder and returns what it prints. Its errors hold what it says.
func output(ctx context.Context, dir string, env []string, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
