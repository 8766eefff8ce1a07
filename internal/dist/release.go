package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// release is what is asked for.
type release struct {
	source, out, key string
	targets          []target
	packaged         bool // whether there are .deb and .rpm files, too
	log              io.Writer
}

// run builds everything into a folder of its own, and puts that into its place when it is whole.
func (r *release) run(ctx context.Context) (err error) {
	if r.out, err = filepath.Abs(r.out); err != nil { // nfpm runs elsewhere
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "sallyport-dist-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	files, err := os.MkdirTemp(r.out, ".new-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(files)) }()
	if err := os.Chmod(files, 0o755); err != nil {
		return err
	}

	src, err := checkOut(ctx, r.source, filepath.Join(work, "source"))
	if err != nil {
		return err
	}
	builds, host, err := r.build(ctx, src, work)
	if err != nil {
		return err
	}
	version := host.info.Main.Version
	pages, err := host.pages(ctx, filepath.Join(work, "pages"))
	if err != nil {
		return err
	}
	var p *packer
	if r.packaged {
		fmt.Fprintln(r.log, "building nfpm")
		if p, err = src.packer(ctx, work); err != nil {
			return err
		}
	}
	for _, b := range builds {
		fmt.Fprintln(r.log, "packing", b.target)
		tree, err := r.pack(ctx, src, b, pages, version, files)
		if err == nil && p != nil && b.target.os == "linux" {
			err = p.packages(ctx, src, b.target, tree, version, filepath.Join(files, archiveName(b.target, version)))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", b.target, err)
		}
	}
	if err := sum(files); err != nil {
		return err
	}
	if err := r.sign(ctx, filepath.Join(files, sumsFile)); err != nil {
		return err
	}
	place := filepath.Join(r.out, version)
	if err := os.RemoveAll(place); err != nil {
		return err
	}
	if err := os.Rename(files, place); err != nil {
		return err
	}
	fmt.Fprintln(r.log, "done:", place)
	return nil
}

// build compiles for every target, and for this machine, whose program writes its own man pages.
func (r *release) build(ctx context.Context, src *checkout, work string) (builds []*build, host *build, err error) {
	here := target{runtime.GOOS, runtime.GOARCH}
	all := r.targets
	if !slices.Contains(all, here) {
		all = append(slices.Clone(all), here)
	}
	for _, t := range all {
		fmt.Fprintln(r.log, "building", t)
		b, err := src.compile(ctx, t, filepath.Join(work, t.os+"-"+t.arch))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", t, err)
		}
		if t == here {
			host = b
		}
		if slices.Contains(r.targets, t) {
			builds = append(builds, b)
		}
	}
	for _, b := range builds {
		if b.info.Main.Version != host.info.Main.Version {
			return nil, nil, fmt.Errorf("%s has the version %s, and %s has %s: build from a repository that nobody changes meanwhile", b.target, b.info.Main.Version, here, host.info.Main.Version)
		}
	}
	return builds, host, nil
}

// archiveName is how the files of a release for a target are called, without what their ending says.
func archiveName(t target, version string) string {
	return "sallyport_" + strings.TrimPrefix(version, "v") + "_" + t.os + "_" + t.arch
}

// pack writes the archive for one target and the list of what the program is made of, and returns the archive's files.
func (r *release) pack(ctx context.Context, src *checkout, b *build, pages []file, version, into string) ([]file, error) {
	parts, err := src.parts(ctx, b.target)
	if err != nil {
		return nil, err
	}
	notices, err := parts.licences(b.info.GoVersion)
	if err != nil {
		return nil, err
	}
	shipped, err := src.shipped(ctx, b.target)
	if err != nil {
		return nil, err
	}
	tree := append(shipped, file{b.target.program(), 0o755, b.body}, file{noticesFile, 0o644, notices})
	for _, p := range pages {
		if p.isFor(b.target) {
			tree = append(tree, p)
		}
	}
	sortFiles(tree)
	base := filepath.Join(into, archiveName(b.target, version))
	if err := writeArchive(base, b.target, tree, src.time); err != nil {
		return nil, err
	}
	bom, err := parts.bom(b, src)
	if err != nil {
		return nil, err
	}
	return tree, os.WriteFile(base+".cdx.json", bom, 0o644)
}
