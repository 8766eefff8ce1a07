package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Exec asks programs: "exec:NAME#KEY", where NAME is one of its commands. A command is a
// program's absolute path and its arguments; a shell is not used. The program reads one JSON object on
// its standard input and writes one on its standard output:
//
//	{"name": "orders-db", "key": "password", "fresh": false}
//	{"values": {"password": "…"}, "version": "3", "expires": "2026-01-02T15:04:05Z"}
//
// Version and expires may be left out. A program that has no such secret ends with status 2, and one that
// may not read it with 3. What it writes on standard error is not shown, since it may hold a secret.
type Exec struct {
	Commands map[string][]string
	// Env is the programs' whole environment, as NAME=VALUE.
	Env []string
}

// Statuses that a program ends with.
const (
	execNotFound = 2
	execDenied   = 3
)

// question is what a program reads, and reply what it writes.
type question struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Fresh bool   `json:"fresh"`
}

type reply struct {
	Values  map[string]json.RawMessage `json:"values"`
	Version string                     `json:"version"`
	Expires time.Time                  `json:"expires"`
}

// Resolve runs the program, until ctx ends at the latest.
func (e Exec) Resolve(ctx context.Context, ref Ref, u Use) (*Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	argv := e.Commands[ref.Path]
	switch {
	case len(argv) == 0:
		return nil, fmt.Errorf("there is no command %q: %w", ref.Path, ErrNotFound)
	case !filepath.IsAbs(argv[0]):
		return nil, fmt.Errorf("command %s: want the program's absolute path", ref.Path)
	case ref.Key == "":
		return nil, fmt.Errorf("command %s: want a key, as in exec:%s#password: %w", ref.Path, ref.Path, ErrType)
	}
	in, err := json.Marshal(question{Name: ref.Path, Key: ref.Key, Fresh: u.Fresh})
	if err != nil {
		return nil, err
	}
	out, err := e.run(ctx, argv, in)
	if err != nil {
		return nil, fmt.Errorf("running command %s: %w", ref.Path, err)
	}
	var r reply
	if json.Unmarshal(out, &r) != nil { // its error may quote the text
		return nil, fmt.Errorf("running command %s: %w: want one JSON object with values", ref.Path, ErrType)
	}
	values, err := json.Marshal(r.Values)
	if err != nil {
		return nil, fmt.Errorf("running command %s: %w", ref.Path, ErrType)
	}
	v, err := ref.Pick(values)
	if err != nil {
		return nil, fmt.Errorf("running command %s: %w", ref.Path, err)
	}
	v.Shared, v.Version, v.Expires = true, r.Version, r.Expires
	return v, nil
}

// run returns what the program writes.
func (e Exec) run(ctx context.Context, argv []string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	ownGroup(cmd)
	cmd.WaitDelay = time.Second
	cmd.Env = append([]string{}, e.Env...) // not nil, which is the gateway's own
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(in)
	out := &limited{end: cancel}
	cmd.Stdout, cmd.Stderr = out, io.Discard
	err := cmd.Run()
	if out.over {
		return nil, fmt.Errorf("it wrote more than %d bytes: %w", maxFile, ErrTooLarge)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if err == nil {
		return out.b.Bytes(), nil
	}
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) {
		return nil, fmt.Errorf("%w: it could not be run", ErrUnavailable)
	}
	switch exit.ExitCode() {
	case execNotFound:
		return nil, ErrNotFound
	case execDenied:
		return nil, ErrDenied
	}
	return nil, fmt.Errorf("%w: it ended with status %d", ErrUnavailable, exit.ExitCode())
}

// limited keeps what a program writes, and ends it when that is too much.
type limited struct {
	b    bytes.Buffer
	over bool
	end  func()
}

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxFile {
		l.over = true
		l.end()
		return 0, ErrTooLarge
	}
	return l.b.Write(p)
}

// isVariable reports whether text is NAME=VALUE.
func isVariable(text string) bool {
	name, _, ok := strings.Cut(text, "=")
	return ok && name != ""
}
