package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parts of nfpm's configuration that are written, as JSON, which YAML takes in.
type (
	nfpmConfig struct {
		Name        string            `json:"name"`
		Arch        string            `json:"arch"`
		Platform    string            `json:"platform"`
		Version     string            `json:"version"`
		Release     string            `json:"release"`
		Section     string            `json:"section"`
		Maintainer  string            `json:"maintainer"`
		Description string            `json:"description"`
		Homepage    string            `json:"homepage"`
		License     string            `json:"license"`
		MTime       string            `json:"mtime"`
		NoGlobs     bool              `json:"disable_globbing"`
		Recommends  []string          `json:"recommends"`
		Contents    []nfpmFile        `json:"contents"`
		Scripts     map[string]string `json:"scripts"`
		RPM         nfpmRPM           `json:"rpm"`
	}
	nfpmRPM struct {
		BuildHost   string `json:"buildhost"`
		Compression string `json:"compression"`
	}
	nfpmFile struct {
		Src      string   `json:"src"`
		Dst      string   `json:"dst"`
		Packager string   `json:"packager"`
		Info     nfpmInfo `json:"file_info"`
	}
	nfpmInfo struct {
		Mode  int    `json:"mode"`
		MTime string `json:"mtime"`
		Owner string `json:"owner"`
		Group string `json:"group"`
	}
)

// place is where packages put files of an archive: those whose name is prefix, or begins with it where it
// is empty or ends in a slash. A destination that ends in a slash is a folder.
type place struct {
	prefix, deb, rpm string
	compressed       bool
}

// everywhere is a place that is the same in both kinds of packages.
func everywhere(prefix, dst string) place { return place{prefix: prefix, deb: dst, rpm: dst} }

// places are tried in their order.
var places = []place{
	everywhere("sallyport", "/usr/bin/sallyport"),
	everywhere("deploy/systemd/", "/usr/lib/systemd/system/"),
	{manFolder, "/usr/share/man/man1/", "/usr/share/man/man1/", true},
	everywhere("completions/sallyport.bash", "/usr/share/bash-completion/completions/sallyport"),
	everywhere("completions/sallyport.fish", "/usr/share/fish/vendor_completions.d/sallyport.fish"),
	{"completions/_sallyport", "/usr/share/zsh/vendor-completions/_sallyport", "/usr/share/zsh/site-functions/_sallyport", false},
	{"LICENSE", "/usr/share/doc/sallyport/copyright", "/usr/share/licenses/sallyport/LICENSE", false},
	everywhere("", "/usr/share/doc/sallyport/"),
}

func (p *place) takes(name string) bool {
	if p.prefix == "" || strings.HasSuffix(p.prefix, "/") {
		return strings.HasPrefix(name, p.prefix)
	}
	return name == p.prefix
}

// packageScripts are what packages run, by nfpm's names for them, and packageUsers names the service's user.
var packageScripts = map[string]string{
	"postinstall": "deploy/packages/postinstall.sh", "preremove": "deploy/packages/preremove.sh",
}

const packageUsers = "deploy/packages/sysusers.conf"

// The module that names nfpm and the checksums of everything that it is built from, and its program.
const (
	nfpmFolder  = "tools/nfpm"
	nfpmProgram = "github.com/goreleaser/nfpm/v2/cmd/nfpm"
)

// packer makes packages: nfpm, and a folder for what it reads.
type packer struct{ nfpm, dir string }

// packer builds nfpm as the commit has it.
func (c *checkout) packer(ctx context.Context, dir string) (*packer, error) {
	p := &packer{filepath.Join(dir, "nfpm", "nfpm"), dir}
	env := append(slices.Clone(c.env), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	_, err := output(ctx, filepath.Join(c.dir, filepath.FromSlash(nfpmFolder)), env, "go", "build", "-trimpath", "-o", p.nfpm, nfpmProgram)
	return p, err
}

// packages has nfpm write the .deb and the .rpm file of one target.
func (p *packer) packages(ctx context.Context, src *checkout, t target, tree []file, version, base string) error {
	c := nfpmConfig{
		Name: "sallyport", Arch: t.arch, Platform: t.os, Version: strings.TrimPrefix(version, "v"), Release: "1",
		Section: "net", Maintainer: "The Sallyport authors <https://github.com/sallyport/sallyport>", Homepage: "https://github.com/sallyport/sallyport",
		Description: "Access gateway for databases, SSH, clusters and web applications", License: "Apache-2.0",
		MTime: src.time.Format(time.RFC3339), NoGlobs: true, Recommends: []string{"ca-certificates"},
		Scripts: make(map[string]string), RPM: nfpmRPM{"localhost", "gzip"},
	}
	for name, path := range packageScripts {
		c.Scripts[name] = filepath.Join(src.dir, filepath.FromSlash(path))
	}
	users, err := src.file(packageUsers)
	if err != nil {
		return err
	}
	work := filepath.Join(p.dir, "packages-"+t.arch)
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	s := &staging{dir: work, time: src.time, config: &c}
	if err := s.add(users, everywhere(packageUsers, "/usr/lib/sysusers.d/sallyport.conf")); err != nil {
		return err
	}
	for _, f := range tree {
		if err := s.add(f, placeOf(f.name)); err != nil {
			return err
		}
	}
	config := filepath.Join(work, "nfpm.json")
	text, err := json.Marshal(&c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	epoch := []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(src.time.Unix(), 10)}
	for _, packager := range []string{"deb", "rpm"} {
		if _, err := output(ctx, work, epoch, p.nfpm, "package", "--config", config, "--packager", packager, "--target", base+"."+packager); err != nil {
			return err
		}
	}
	return nil
}

// placeOf finds the place of an archive's file.
func placeOf(name string) place {
	return places[slices.IndexFunc(places, func(p place) bool { return p.takes(name) })]
}

// staging is a folder with what nfpm reads, since it reads nothing but files.
type staging struct {
	dir    string
	time   time.Time
	config *nfpmConfig
}

// add puts a file into both kinds of packages.
func (s *staging) add(f file, p place) error {
	body, suffix := f.body, ""
	if p.compressed {
		var err error
		if body, err = gzipped(body); err != nil {
			return err
		}
		suffix = ".gz"
	}
	src := filepath.Join(s.dir, fmt.Sprintf("%03d", len(s.config.Contents)))
	if err := os.WriteFile(src, body, 0o600); err != nil {
		return err
	}
	info := nfpmInfo{int(f.mode.Perm()), s.time.Format(time.RFC3339), "root", "root"}
	for _, to := range []struct{ packager, dst string }{{"deb", p.deb}, {"rpm", p.rpm}} {
		if strings.HasSuffix(to.dst, "/") {
			to.dst = path.Join(to.dst, strings.TrimPrefix(f.name, p.prefix))
		}
		s.config.Contents = append(s.config.Contents, nfpmFile{src, to.dst + suffix, to.packager, info})
	}
	return nil
}
