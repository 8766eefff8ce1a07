// Command dist builds a release of the commit that is checked out: for each system an archive with
// the program, a list of what it is made of, packages for Debian's and Red Hat's systems, and
// checksums, which it signs. The same commit and the same version of Go make the same
// bytes. docs/release.md says how it is used.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// keyVariable names the file of the key that signs, in the environment.
const keyVariable = "SALLYPORT_RELEASE_KEY"

func main() {
	var r release
	flag.StringVar(&r.source, "source", ".", "`folder` of the repository")
	flag.StringVar(&r.out, "out", "bin/dist", "`folder` in which a folder for the version is made; an older one of the same version is replaced")
	flag.BoolVar(&r.packaged, "packages", true, "make .deb and .rpm files, by the nfpm of tools/nfpm")
	flag.StringVar(&r.key, "key", os.Getenv(keyVariable), "`file` of the SSH key that signs, or its public half when an agent has it; "+keyVariable+" names it, too; empty signs nothing")
	targets := flag.String("targets", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64", "`systems` to build for")
	licences := flag.String("licences", "", "write the licences of the program's parts into this `file`, and build nothing")
	flag.Parse()
	r.log = os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *licences != "" {
		exit(writeLicences(ctx, r.source, *licences))
	}
	var err error
	if r.targets, err = parseTargets(*targets); err == nil {
		err = r.run(ctx)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
