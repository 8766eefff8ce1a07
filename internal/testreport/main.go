// Command testreport reads what "go test -json" prints and shows a person what
// matters: a line for each package, all output of what failed, and every skipped
// test with its reason, which go test itself leaves out.
//
//	go test -json ./... | testreport [-tally FILE] [-again -- FLAG…]
//
// With -again, tests that failed while others ran at the same time run once more by
// themselves, with the flags of go test that follow. One that passes then depends
// on the machine's load: it is named, and counted as unsteady rather than failed.
// A data race, a crash and a package that does not build are never run again.
//
// It exits with status 1 when anything failed, or when nothing was tested.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	tally := flag.String("tally", "", "`file` to which the counts are appended, a line each")
	rerun := flag.Bool("again", false, "run once more what failed among others, with the flags of go test that follow")
	flag.Parse()
	c, err := report(os.Stdout, os.Stdin)
	if err == nil && *rerun {
		err = c.again(os.Stdout, func(pkg, pattern string) (*counts, error) {
			return test(os.Stdout, append(flag.Args(), "-count=1", "-json", "-run", pattern, pkg))
		})
	}
	if err == nil && *tally != "" {
		err = c.appendTo(*tally)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !c.ok() {
		os.Exit(1)
	}
}

// event is a line of go test's output; see "go doc test2json".
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// counts are numbers of tests, subtests included; a package that fails as a
// whole counts as one.
type counts struct {
	passed, failed, skipped int
	unsteady                int // failed among others, passed alone

	failures map[string]*failure // by package
}

// failure is what failed in one package.
type failure struct {
	count int      // as in counts.failed
	tests []string // of the top level
	final bool     // by a race or a crash, or with no test to name
}

func (c *counts) failure(pkg string) *failure {
	if c.failures == nil {
		c.failures = make(map[string]*failure)
	}
	if c.failures[pkg] == nil {
		c.failures[pkg] = &failure{}
	}
	return c.failures[pkg]
}

func (c *counts) ok() bool { return c.failed == 0 && c.passed > 0 }

func (c *counts) appendTo(file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "passed %d\nfailed %d\nskipped %d\nunsteady %d\n", c.passed, c.failed, c.skipped, c.unsteady); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// report reads events from r until its end and writes what matters to w.
func report(w io.Writer, r io.Reader) (*counts, error) {
	c := &counts{}
	type key struct{ pkg, test string }
	output := make(map[key][]string)
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(w, "%s", line) // not go test's: shown as it is
				continue
			}
			k := key{e.Package, e.Test}
			if e.Package == "" {
				k.pkg = e.ImportPath
			}
			switch e.Action {
			case "output", "build-output":
				if strings.Contains(e.Output, "WARNING: DATA RACE") {
					c.failure(k.pkg).final = true
				}
				output[k] = append(output[k], e.Output)
				continue
			case "pass", "fail", "skip":
			default:
				continue
			}
			text := strings.Join(output[k], "")
			delete(output, k)
			switch {
			case e.Test != "" && e.Action == "pass":
				c.passed++
			case e.Test != "" && e.Action == "skip":
				c.skipped++
				fmt.Fprintf(w, "SKIP\t%s %s: %s\n", e.Package, e.Test, reason(text))
			case e.Test != "":
				c.failed++
				f := c.failure(e.Package)
				f.count++
				if !strings.Contains(e.Test, "/") {
					f.tests = append(f.tests, e.Test)
				}
				fmt.Fprint(w, text)
			case e.Action == "fail":
				f := c.failure(e.Package)
				if f.count == 0 {
					f.count, f.final = 1, true
					c.failed++
				}
				fmt.Fprint(w, strings.Join(output[key{e.FailedBuild, ""}], ""), text)
				// A test that a crash cut short has told no end.
				for k, lines := range output {
					if k.pkg == e.Package && k.test != "" {
						f.final = true
						fmt.Fprint(w, strings.Join(lines, ""))
						delete(output, k)
					}
				}
				fmt.Fprintf(w, "FAIL\t%s\t%.1fs\n", e.Package, e.Elapsed)
			case e.Action == "skip":
				fmt.Fprintf(w, "?   \t%s\t[no test files]\n", e.Package)
			default:
				fmt.Fprintf(w, "ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
			}
		}
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// reason is what a skipped test said, on one line.
func reason(output string) string {
	var said []string
	for l := range strings.Lines(output) {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "=== ") || strings.HasPrefix(l, "--- SKIP") {
			continue
		}
		said = append(said, l)
	}
	return strings.Join(said, " ")
}
