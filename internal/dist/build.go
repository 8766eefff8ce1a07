package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// target is a system, as Go names it.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

func (t target) program() string {
	if t.os == "windows" {
		return "sallyport.exe"
	}
	return "sallyport"
}

func parseTargets(list string) (ts []target, err error) {
	for word := range strings.SplitSeq(list, ",") {
		system, arch, ok := strings.Cut(word, "/")
		if !ok || system == "" || arch == "" {
			return nil, fmt.Errorf("target %q: want OS/ARCH, such as linux/amd64", word)
		}
		t := target{system, arch}
		if slices.Contains(ts, t) {
			return nil, fmt.Errorf("target %q: it is there twice, want it once", word)
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// The package that is built, and its tags, which "make build" has, too.
const (
	program   = "./cmd/sallyport"
	buildTags = "timetzdata"
)

// build is a program that was compiled.
type build struct {
	target target
	path   string
	body   []byte
	info   *buildinfo.BuildInfo
}

// goEnvironment is an environment in which the bytes of a program depend on the commit and the
// version of Go alone. Where modules come from stays as it is set up here.
func goEnvironment(ctx context.Context, dir string) ([]string, error) {
	kept := []string{"GOAUTH", "GOCACHE", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOPROXY", "GOSUMDB", "GOVCS"}
	text, err := output(ctx, dir, []string{"GOWORK=off"}, "go", append([]string{"env", "-json"}, kept...)...)
	if err != nil {
		return nil, err
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	env := []string{
		"GOENV=off", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=",
	}
	for _, name := range kept {
		env = append(env, name+"="+values[name])
	}
	return env, nil
}

func (c *checkout) goCommand(ctx context.Context, t target, args ...string) (string, error) {
	return output(ctx, c.dir, append(c.env, "GOOS="+t.os, "GOARCH="+t.arch), "go", args...)
}

// compile builds the program for a target into a folder. Its version is the commit's tag, or one
// that Go makes of the commit's time and hash where there is no tag.
func (c *checkout) compile(ctx context.Context, t target, dir string) (*build, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b := &build{target: t, path: filepath.Join(dir, t.program())}
	if _, err := c.goCommand(ctx, t, "build", "-trimpath", "-buildvcs=true", "-tags", buildTags, "-ldflags", "-s -w", "-o", b.path, program); err != nil {
		return nil, err
	}
	var err error
	if b.info, err = buildinfo.ReadFile(b.path); err != nil {
		return nil, err
	}
	if v := b.info.Main.Version; !strings.HasPrefix(v, "v") || strings.Contains(v, "dirty") {
		return nil, fmt.Errorf("the program was built as version %q, want one of a commit without changes, such as v1.2.3: is git installed, and can Go read the repository?", v)
	}
	b.body, err = os.ReadFile(b.path)
	return b, err
}

// shells are those that the program writes completions for, and the files' names.
var shells = map[string]string{
	"bash": "completions/sallyport.bash", "zsh": "completions/_sallyport",
	"fish": "completions/sallyport.fish", "powershell": "completions/sallyport.ps1",
}

// pages has the program, which is one for this machine, write its completions and man pages.
func (b *build) pages(ctx context.Context, dir string) (files []file, err error) {
	for shell, name := range shells {
		text, err := output(ctx, "", nil, b.path, "completion", shell)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, []byte(text + "\n")})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := output(ctx, "", nil, b.path, "reference", "man", dir); err != nil {
		return nil, err
	}
	written, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(written) == 0 {
		return nil, fmt.Errorf("%s reference man: it wrote no page", b.path)
	}
	for _, e := range written {
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, file{manFolder + e.Name(), 0o644, body})
	}
	return files, nil
}

const manFolder = "man/man1/"

// isFor reports whether a page or a completion goes with a system.
func (f *file) isFor(t target) bool {
	return (t.os == "windows") == strings.HasSuffix(f.name, ".ps1")
}
