// Package devtool builds the programs in tools that tests run. Each is a module of its own, so that what it needs is not
// what the repository needs.
package devtool

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Build returns the program of a folder of tools, which is built when it has changed. Where its sources or their modules
// cannot be had, the test is skipped.
func Build(t testing.TB, name string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, here, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(here), "..", "..", "tools", name)
	sum := fnv.New64a()
	for _, file := range []string{"main.go", "go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(source, file))
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("the sources of %s come with the repository only", name)
		}
		must(err)
		sum.Write(b)
	}
	cache, err := os.UserCacheDir()
	must(err)
	dir := filepath.Join(cache, "sallyport")
	must(os.MkdirAll(dir, 0o700))
	program := filepath.Join(dir, fmt.Sprintf("%s-%x-%s-%s", name, sum.Sum(nil), runtime.GOOS, runtime.GOARCH))
	if _, err := os.Stat(program); err == nil {
		return program
	}
	// Several tests may build at a time: whole programs take each other's place.
	fresh := fmt.Sprintf("%s.%d", program, os.Getpid())
	cmd := exec.Command("go", "build", "-o", fresh, ".")
	cmd.Dir = source
	if text, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("building %s: %v\n%s", name, err, text)
		}
		t.Skipf("%s cannot be built: %v\n%s", name, err, text)
	}
	must(os.Rename(fresh, program))
	return program
}

// Start runs a program that prints a line when it is ready, which is returned without its end, and that ends with its
// standard input: by stop, or with the test. It writes its errors to those of the test.
func Start(t testing.TB, program string, args ...string) (line string, stop func()) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("starting %s: %v", filepath.Base(program), err)
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(err)
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	stop = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", filepath.Base(program), err)
		}
	})
	t.Cleanup(stop)
	line, err = bufio.NewReader(out).ReadString('\n')
	must(err)
	return strings.TrimSpace(line), stop
}

// Modules returns the folder of the third-party packages that the console is built from and tested with. Where they cannot be had,
// the test is skipped.
func Modules(t testing.TB) string {
	t.Helper()
	program := Build(t, "consoledev")
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command(program, "-modules", "-root", filepath.Join(filepath.Dir(here), "..", ".."))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the packages of tools/consoledev cannot be had: %v", err)
		}
		t.Skipf("the packages of tools/consoledev cannot be had: %v", err)
	}
	return strings.TrimSpace(string(out))
}
