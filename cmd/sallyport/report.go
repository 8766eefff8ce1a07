package main

import (
	"context"
	_ "embed"
	"encoding/csv"
	"errors"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// finding is one line of a report.
type finding struct {
	Kind     string // access, approval, denied, unmasked, administration or erased
	Time     string
	User     string
	Groups   string
	Resource string
	Account  string
	Database string
	Session  string
	Rule     string // why: the rules or grants by which it was
	By       string // who approved, or did it
	What     string
	Count    string
}

var findingColumns = []string{"kind", "time", "user", "groups", "resource", "account", "database", "session", "rule", "by", "what", "count"}

func (f finding) cells() []string {
	return []string{f.Kind, f.Time, f.User, f.Groups, f.Resource, f.Account, f.Database, f.Session, f.Rule, f.By, f.What, f.Count}
}

// report answers an auditor's questions for a period.
func report(_ context.Context, c *cli, args []string) error {
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
	first, last, err := period(*from, *to, time.Now())
	if err != nil {
		return err
	}
	a, err := open()
	if err != nil {
		return err
	}
	list, err := findings(a, first, last)
	if err != nil {
		return err
	}
	if *output == "html" {
		return writeHTML(c.out, first, last, list)
	}
	return writeCSV(c.out, list)
}

// period is the time from the beginning of a day to the end of another, in UTC.
func period(from, to string, now time.Time) (first, end time.Time, err error) {
	today := now.UTC().Truncate(24 * time.Hour)
	first, end = today.AddDate(0, 0, -30), today
	if from != "" {
		if first, err = time.Parse(time.DateOnly, from); err != nil {
			return first, end, fail(exitUsage, "-from %q is no day: write 2026-01-31", from)
		}
	}
	if to != "" {
		if end, err = time.Parse(time.DateOnly, to); err != nil {
			return first, end, fail(exitUsage, "-to %q is no day: write 2026-01-31", to)
		}
	}
	end = end.AddDate(0, 0, 1)
	if !first.Before(end) {
		return first, end, fail(exitUsage, "the period ends before it begins")
	}
	return first, end, nil
}

// findings reads what happened in a period. A session counts by its beginning; events of the
// gateway's own by their time.
func findings(a *audit.Archive, first, end time.Time) ([]finding, error) {
	ids, err := a.Sessions()
	if err != nil {
		return nil, err
	}
	var list []finding
	for _, id := range ids {
		found, err := sessionFindings(a, id, first, end)
		if errors.Is(err, audit.ErrErased) {
			list = append(list, finding{Kind: "erased", Session: id, What: "the content was erased; its proof is there"})
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	slices.SortStableFunc(list, func(a, b finding) int { return strings.Compare(a.Time, b.Time) })
	return list, nil
}

func sessionFindings(a *audit.Archive, id string, first, end time.Time) ([]finding, error) {
	var list []finding
	var access *finding
	var rules []string
	operations := 0
	within := func(e *audit.Event) bool {
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		return err == nil && !at.Before(first) && at.Before(end)
	}
	why := func(s string) {
		if s != "" && !slices.Contains(rules, s) {
			rules = append(rules, s)
		}
	}
	for e, err := range a.Events(id) {
		if err != nil {
			return nil, err
		}
		of := finding{Time: e.Time, User: e.User, Groups: strings.Join(e.Groups, " "), Resource: e.Resource, Account: e.Account, Database: e.Database, Session: id}
		if access != nil {
			of = *access
			of.Time = e.Time
		}
		of.Rule, of.What = either(e.Rule, e.Grant), either(e.Reason, e.Error)
		switch {
		case e.Type == audit.SessionStart:
			if !within(e) {
				return nil, nil
			}
			of.Kind, of.What = "access", "session by "+e.Method+" from "+e.Remote
			if e.For != "" {
				of.What += " on behalf of " + e.For
			}
			access = &of
		case access == nil && !within(e):
		case e.Type == audit.OperationStart:
			if e.Kind != "connect" {
				operations++
			}
		case e.Type == audit.OperationEnd:
			why(e.Rule)
			why(e.Grant)
		case e.Type == audit.OperationRefused:
			of.Kind, of.By, of.What = "denied", e.By, strings.TrimSpace(e.Text+"\n"+e.Reason)
			list = append(list, of)
		case e.Type == audit.SessionUnmasked:
			of.Kind, of.What = "unmasked", "the rule's exception let the user see what it masks for others"
			list = append(list, of)
		case strings.HasPrefix(e.Type, audit.ReviewPrefix):
			of.Kind, of.By = "approval", e.DecidedBy
			of.What = strings.TrimSpace(strings.TrimPrefix(e.Type, audit.ReviewPrefix) + " " + e.Request + " " + e.Reason)
			of.Session = either(e.Session, id)
			list = append(list, of)
		case e.Type == audit.GatewayPrefix+"login-failed", e.Type == audit.GatewayPrefix+"session-refused":
			of.Kind, of.What = "denied", e.Type+": "+e.Error
			list = append(list, of)
		case strings.HasPrefix(e.Type, "admin."), e.Type == audit.RecordExpired:
			of.Kind, of.By, of.Session = "administration", e.User, e.Session
			of.What = strings.TrimSpace(e.Type + " " + e.Action + " " + e.Reason)
			list = append(list, of)
		}
	}
	if access != nil {
		access.Rule, access.Count = strings.Join(rules, " "), strconv.Itoa(operations)+" operations"
		list = append([]finding{*access}, list...)
	}
	return list, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func writeCSV(w io.Writer, list []finding) error {
	out := csv.NewWriter(w)
	if err := out.Write(findingColumns); err != nil {
		return err
	}
	for _, f := range list {
		cells := f.cells()
		for i, c := range cells {
			cells[i] = cell(c)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// cell keeps a spreadsheet from taking a user's text for a formula.
func cell(s string) string {
	s = visible(s)
	if s != "" && strings.ContainsRune("=+-@|%", rune(s[0])) {
		return "'" + s
	}
	return s
}

//go:embed report.html
var reportPage string

func writeHTML(w io.Writer, first, end time.Time, list []finding) error {
	t, err := template.New("report").Funcs(template.FuncMap{"visible": visible}).Parse(reportPage)
	if err != nil {
		return err
	}
	type section struct {
		Title, About string
		List         []finding
	}
	sections := []section{
		{Title: "Access", About: "Who had access to what, and by which rules or grants."},
		{Title: "Approvals", About: "What was asked for, and who decided."},
		{Title: "Denied", About: "What was refused, by whom and why."},
		{Title: "Seen unmasked", About: "Who saw what is masked for others."},
		{Title: "Administration", About: "What was done to the gateway and its records."},
		{Title: "Erased", About: "Sessions whose content is gone. Whether they fall into the period is not known."},
	}
	for i, kind := range []string{"access", "approval", "denied", "unmasked", "administration", "erased"} {
		for _, f := range list {
			if f.Kind == kind {
				sections[i].List = append(sections[i].List, f)
			}
		}
	}
	return t.Execute(w, map[string]any{
		"First": first.Format(time.DateOnly), "Last": end.AddDate(0, 0, -1).Format(time.DateOnly), "Sections": sections,
	})
}
