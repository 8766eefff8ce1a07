package report

import (
	_ "embed"
	"encoding/csv"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
)

// Columns are the names of the columns of WriteCSV, its first line.
func Columns() []string {
	return []string{"kind", "time", "user", "groups", "resource", "account", "database", "session", "rule", "by", "what", "count"}
}

func (x *Entry) cells() []string {
	return []string{
		string(x.Kind), x.Time, x.User, strings.Join(x.Groups, " "), x.Resource, x.Account, x.Database, x.Session,
		strings.Join(x.Rules, " "), x.By, x.What, x.count(),
	}
}

// WriteCSV writes the report as CSV (RFC 4180) with a line of [Columns] and one for
// each entry. A spreadsheet takes no text for a formula: one that could be gets an
// apostrophe before it. Control characters are replaced.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(Columns()); err != nil {
		return err
	}
	for i := range r.Entries {
		cells := r.Entries[i].cells()
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
	s = terminal.Visible(s)
	if s != "" && strings.ContainsRune("=+-@|%", rune(s[0])) {
		return "'" + s
	}
	return s
}

//go:embed report.html
var page string

// WriteHTML writes the report as one page of HTML with a table for each kind. The page
// loads nothing and runs no script, and whatever a user wrote is shown as text.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	type section struct {
		Title, About string
		Rows         [][]string
	}
	sections := []struct {
		kind Kind
		section
	}{
		{Access, section{Title: "Access", About: "Who had access to what, and by which rules or grants."}},
		{Approval, section{Title: "Approvals", About: "What was asked for, and who decided."}},
		{Denied, section{Title: "Denied", About: "What was refused, who refused it and why."}},
		{Unmasked, section{Title: "Seen unmasked", About: "Who saw what is masked for others."}},
		{Administration, section{Title: "Administration", About: "What was done to the gateway and its records."}},
		{Unreadable, section{Title: "Not readable", About: "Records that are missing or cannot be read whole. Whether they fall into the period is not known."}},
		{Erased, section{Title: "Erased", About: "Sessions whose content is gone. Whether they fall into the period is not known."}},
	}
	shown := make([]section, len(sections))
	for i, s := range sections {
		shown[i] = s.section
		for k := range r.Entries {
			if x := &r.Entries[k]; x.Kind == s.kind {
				shown[i].Rows = append(shown[i].Rows, x.row())
			}
		}
	}
	return t.Execute(w, map[string]any{
		"First": r.Period.From.Format(time.DateOnly), "Last": r.Period.To.AddDate(0, 0, -1).Format(time.DateOnly), "Sections": shown,
	})
}

// row are the cells of the entry in a page.
func (x *Entry) row() []string {
	row := []string{
		x.Time, x.User, strings.Join(x.Groups, " "), x.Resource, x.Account, x.Session, strings.Join(x.Rules, " "), x.By, x.What, x.count(),
	}
	for i, c := range row {
		row[i] = terminal.Visible(c)
	}
	return row
}
