// Command testreport reads what "go test -json" prints and shows a person what
// matters: a line for each package, all output of what failed, and every skipped
// test with its reason, which go test itself leaves out.
//
//	go test -json ./... | testreport [-tally FILE]
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
	flag.Parse()
	c, err := report(os.Stdout, os.Stdin)
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
type counts struct{ passed, failed, skipped int }

func (c *counts) ok() bool { return c.failed == 0 && c.passed > 0 }

func (c *counts) appendTo(file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "passed %d\nfailed %d\nskipped %d\n", c.passed, c.failed, c.skipped); err != nil {
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
	failedTests := make(map[string]int) // by package
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
				failedTests[e.Package]++
				fmt.Fprint(w, text)
			case e.Action == "fail":
				if failedTests[e.Package] == 0 {
					c.failed++
				}
				fmt.Fprint(w, strings.Join(output[key{e.FailedBuild, ""}], ""), text)
				// A test that a crash cut short has told no end.
				for k, lines := range output {
					if k.pkg == e.Package && k.test != "" {
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
