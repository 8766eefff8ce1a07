package main

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/audit/report"
)

// auditorsReport answers an auditor's questions for a period.
func auditorsReport(ctx context.Context, c *cli, args []string) error {
	f := c.flags("report")
	open := auditFlags(c, f)
	from := f.String("from", "", "first `day`, such as 2026-01-01; empty is 30 days ago")
	to := f.String("to", "", "last `day`; empty is today")
	output := f.String("o", "csv", "`format`: csv or html")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *output != "csv" && *output != "html" {
		return fail(exitUsage, "unknown format %q: want csv or html", *output)
	}
	days, err := report.Days(*from, *to, time.Now())
	if err != nil {
		return fail(exitUsage, "%v", err)
	}
	a, err := open()
	if err != nil {
		return err
	}
	r, err := report.Read(ctx, a, days)
	if err != nil {
		return err
	}
	write := r.WriteCSV
	if *output == "html" {
		write = r.WriteHTML
	}
	if err := write(c.out); err != nil {
		return err
	}
	if n := r.Incomplete(); n > 0 {
		return fail(exitError, "%s missing or cannot be read whole; the report lists them as unreadable", plural(n, "record is", "records are"))
	}
	return nil
}
