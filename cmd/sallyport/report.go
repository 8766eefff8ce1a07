package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit/report"
)

// auditorsReportCommand answers an auditor's questions for a period.
func auditorsReportCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "report", GroupID: recordsGroup, Short: "Answer an auditor: who had access and why, what was done, denied and seen unmasked, and what proves it",
		Example: example("sallyport report --from 2026-01-01 --to 2026-03-31 --dir quarter"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := auditFlags(c, f)
	from := f.String("from", "", "first `day`, such as 2026-01-01; empty is 30 days ago")
	to := f.String("to", "", "last `day`; empty is today")
	output := outputFlag(f, "", "csv", "html")
	section := f.String("section", "", "only the section of this `name`, as csv with columns of its own; \"list\" names them")
	page := f.Int("page", 1, "the `page` of html")
	dir := f.String("dir", "", "write all to this new `directory`: pages of html, a csv file for each section, the signed head and the public key")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		if *section != "" && (output.format != "csv" || *dir != "") {
			return fail(exitUsage, "--section is for csv on the output: leave out --output html and --dir")
		}
		days, err := report.Days(*from, *to, time.Now())
		if err != nil {
			return fail(exitUsage, "%v", err)
		}
		a, err := open()
		if err != nil {
			return err
		}
		tell, end := c.progress("reading sessions")
		r, err := report.Read(ctx, a, days, tell)
		end()
		if err != nil {
			return err
		}
		r.Program = "sallyport " + versionText()
		switch {
		case *dir != "":
			err = writeReport(r, *dir)
		case *section != "":
			err = writeSection(c, r, *section)
		case output.format == "html":
			err = writePage(c, r, *page)
		default:
			err = r.WriteCSV(c.out)
		}
		if err != nil {
			return err
		}
		if n := r.Incomplete(); n > 0 {
			return fail(exitError, "%s missing or cannot be read whole; the report lists them as unreadable", plural(n, "record is", "records are"))
		}
		if n := len(r.Proof.Problems); n > 0 {
			return fail(exitError, "the log is NOT AS SEALED; the report's summary lists %s", plural(n, "problem", "problems"))
		}
		return nil
	})
	return cmd
}

func writePage(c *cli, r *report.Report, page int) error {
	pages, err := r.WriteHTML(c.out, page, nil)
	if err != nil && (page < 1 || page > pages) {
		return fail(exitUsage, "%v", err)
	}
	if err == nil && pages > 1 {
		fmt.Fprintf(c.err, "sallyport: this is page %d of %d; --page N prints another, --dir DIR writes all\n", page, pages)
	}
	return err
}

func writeSection(c *cli, r *report.Report, name string) error {
	list := r.Sections()
	var names []string
	for i := range list {
		names = append(names, list[i].Name)
	}
	if name == "list" {
		_, err := fmt.Fprintln(c.out, strings.Join(names, "\n"))
		return err
	}
	i := slices.Index(names, name)
	if i < 0 {
		return fail(exitUsage, "unknown section %q: want one of %s", name, strings.Join(names, ", "))
	}
	return list[i].WriteCSV(c.out)
}

// writeReport writes all of the report into a directory, which must not be there: no
// file of another report is taken for one of this.
func writeReport(r *report.Report, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	create := func(name string) (io.WriteCloser, error) {
		return os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	write := func(name string, fill func(w io.Writer) error) error {
		w, err := create(name)
		if err != nil {
			return err
		}
		err = fill(w)
		if closed := w.Close(); err == nil {
			err = closed
		}
		return err
	}
	err := r.WritePages(func(page int) string {
		if page == 1 {
			return "index.html"
		}
		return fmt.Sprintf("page-%d.html", page)
	}, create)
	if err != nil {
		return err
	}
	list := r.Sections()
	for i := range list {
		if err := write(list[i].Name+".csv", list[i].WriteCSV); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"checkpoint": r.Proof.Checkpoint, "key.pub": r.Key + "\n"} {
		if err := write(name, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return err
		}
	}
	return nil
}
