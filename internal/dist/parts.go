package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// module is one that the program has packages of.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// pkg is what "go list" says about a package.
type pkg struct {
	ImportPath, Dir string
	Standard        bool
	Imports         []string
	Module          *module
}

// parts is what a program is made of.
type parts struct {
	packages []*pkg
	modules  map[string]*module // by path; without the standard library
	console  []npmPackage
	notices  []byte // of the console's packages
	golang   []byte // the licence of the standard library
}

// npmPackage is one that the console's files hold parts of.
type npmPackage struct{ name, version string }

// parts reads what the program for a target is made of.
func (c *checkout) parts(ctx context.Context, t target) (*parts, error) {
	text, err := c.goCommand(ctx, t, "list", "-deps", "-tags", buildTags, "-json=ImportPath,Dir,Standard,Imports,Module", program)
	if err != nil {
		return nil, err
	}
	p := &parts{modules: make(map[string]*module)}
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		one := &pkg{}
		if err := d.Decode(one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		p.packages = append(p.packages, one)
		if one.Module != nil {
			p.modules[one.Module.Path] = one.Module
		}
	}
	root, err := c.goCommand(ctx, t, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	if p.golang, err = os.ReadFile(filepath.Join(root, "LICENSE")); err != nil {
		return nil, fmt.Errorf("the licence of Go's standard library, which is in Go's own distributions: %w", err)
	}
	if p.notices, err = os.ReadFile(filepath.Join(c.dir, consoleNotices)); err != nil {
		return nil, err
	}
	if p.console = consolePackages(p.notices); len(p.console) == 0 {
		return nil, fmt.Errorf("%s names no package: want lines with a name and a version", consoleNotices)
	}
	return p, nil
}

var npmHeading = regexp.MustCompile(`(?m)^(@?[a-z0-9][a-z0-9._/-]*) ([0-9]+\.[0-9]+\.[0-9]+\S*)$`)

func consolePackages(notices []byte) (found []npmPackage) {
	for _, m := range npmHeading.FindAllSubmatch(notices, -1) {
		found = append(found, npmPackage{string(m[1]), string(m[2])})
	}
	return found
}

// noticesFile has the licences of others' code in the program.
const noticesFile = "THIRD-PARTY-LICENSES.txt"

var licenceFile = regexp.MustCompile(`(?i)^((un)?licen[cs]e|copying|notice|patents)`)

// licences is the text of every licence and notice in the folders of the program's packages, and in those
// above them in their modules. A module without one is refused: it may not be passed on.
func (p *parts) licences(goVersion string) ([]byte, error) {
	texts := make(map[string][]byte) // by the name of the module and the file's path in it
	found := make(map[string]bool)
	for _, one := range p.packages {
		if one.Module == nil || one.Module.Main {
			continue
		}
		for dir := one.Dir; ; dir = filepath.Dir(dir) {
			if err := readLicences(one.Module, dir, texts, found); err != nil {
				return nil, err
			}
			if dir == one.Module.Dir || !strings.HasPrefix(dir, one.Module.Dir) {
				break
			}
		}
	}
	for path, m := range p.modules {
		if !m.Main && !found[path] {
			return nil, fmt.Errorf("module %s %s has no file LICENSE, COPYING or NOTICE: it may not be passed on without one", path, m.Version)
		}
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "The program holds parts of these modules, and of Go's standard library.\n\n\n%s: LICENSE\n\n%s\n", goVersion, p.golang)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(&text, "\n%s\n\n%s\n", name, bytes.TrimSpace(texts[name]))
	}
	fmt.Fprintf(&text, "\n%s", p.notices)
	return text.Bytes(), nil
}

// writeLicences writes the licences of the program that the sources in a folder make for this machine, for those who build
// it in another way, as the Dockerfile does.
func writeLicences(ctx context.Context, source, file string) error {
	env, err := goEnvironment(ctx, source)
	if err != nil {
		return err
	}
	p, err := (&checkout{dir: source, env: env}).parts(ctx, target{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return err
	}
	text, err := p.licences(runtime.Version())
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

func readLicences(m *module, dir string, texts map[string][]byte, found map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		name, err := filepath.Rel(m.Dir, path)
		if err != nil {
			return err
		}
		key := m.Path + " " + m.Version + ": " + filepath.ToSlash(name)
		if texts[key] != nil {
			continue
		}
		if texts[key], err = os.ReadFile(path); err != nil {
			return err
		}
		found[m.Path] = true
	}
	return nil
}
