package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/sallyport/sallyport/internal/spreadsheet"
	"github.com/sallyport/sallyport/internal/terminal"
)

// Columns are the names of the columns of [Report.WriteCSV], its first line.
func Columns() []string {
	return []string{
		"kind", "time", "until", "duration", "user", "groups", "method", "address", "resource", "account", "database", "session", "rule", "by", "what",
		"ended", "count",
	}
}

func (x *Entry) cells() []string {
	count := ""
	if x.Count > 0 || x.Kind == Access {
		count = countColumn.of(x)
	}
	return []string{
		string(x.Kind), x.Time, x.Until, x.duration(), x.User, groupsColumn.of(x), x.Method, x.Address, x.Resource, x.Account, x.Database, x.Session,
		rulesColumn.of(x), x.By, x.What, x.Ended, count,
	}
}

// WriteCSV writes all entries as CSV (RFC 4180) with a line of [Columns] and one for
// each entry. A spreadsheet takes no text for a formula: one that could be gets an
// apostrophe before it. Control characters are replaced.
func (r *Report) WriteCSV(w io.Writer) error {
	out := spreadsheet.NewWriter(w, Columns())
	for i := range r.Entries {
		if err := out.Write(r.Entries[i].cells()); err != nil {
			return err
		}
	}
	return out.End()
}

// WriteCSV writes the section as [Report.WriteCSV] does all entries, with a line of its columns.
func (s *Section) WriteCSV(w io.Writer) error {
	out := spreadsheet.NewWriter(w, s.Columns)
	for _, row := range s.Rows {
		if err := out.Write(row); err != nil {
			return err
		}
	}
	return out.End()
}

const (
	maxPage = 1_500_000 // bytes of rows in a page of HTML, so that all of it is below 2 MB
	maxCell = 500       // bytes of a text in it; CSV has more
	perRow  = 16        // bytes of a row apart from its cells, at most
	perCell = 4
)

//go:embed report.html
var page string

// pages divides the sections into pages of bounded size. A section that goes on has
// the same title in the next.
func (r *Report) pages() [][]shown {
	var all [][]shown
	var now []shown
	size := 0
	for _, s := range r.Sections() {
		now = append(now, shown{Section: s, Of: len(s.Rows), From: 1})
		part := &now[len(now)-1]
		part.Rows = nil
		for i, row := range s.Rows {
			safe := make([]string, len(row))
			n := perRow
			for k, c := range row {
				safe[k] = terminal.Visible(clip(c, maxCell))
				n += perCell + len(template.HTMLEscapeString(safe[k]))
			}
			if size+n > maxPage && size > 0 {
				if i == 0 {
					now = now[:len(now)-1]
				}
				all = append(all, now)
				now = []shown{{Section: s, Of: len(s.Rows), From: i + 1}}
				part, size = &now[0], 0
				part.Rows = nil
			}
			size += n
			part.Rows = append(part.Rows, safe)
		}
	}
	return append(all, now)
}

// shown is a section, or a part of it, in a page.
type shown struct {
	Section
	Of, From int // rows of the whole, and the first one that is here
}

// To is the last row that is here.
func (s shown) To() int { return s.From + len(s.Rows) - 1 }

// WriteHTML writes a page of the report as HTML with a table for each section, from 1 on, and returns how
// many pages the report has. The summaries come first. A page is smaller than 2 MB. It
// loads nothing and runs no script, and whatever a user wrote is shown as text; long texts are shortened.
// With link, which names the file of a page, pages refer to each other; it may be nil.
func (r *Report) WriteHTML(w io.Writer, number int, link func(page int) string) (pages int, err error) {
	all := r.pages()
	if number < 1 || number > len(all) {
		return len(all), fmt.Errorf("there is no page %d: the report has %d", number, len(all))
	}
	return len(all), r.writePage(w, all, number, link)
}

func (r *Report) writePage(w io.Writer, all [][]shown, number int, link func(page int) string) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	type ref struct {
		Title, File string
		Page        int
	}
	var contents []ref
	for i, sections := range all {
		for _, s := range sections {
			x := ref{fmt.Sprintf("%s (%d)", s.Title, s.Of), "", i + 1}
			if s.From > 1 {
				continue
			}
			if i+1 != number && link != nil {
				x.File = link(i + 1)
			}
			if i+1 == number || link != nil {
				x.File += "#" + s.Name
			}
			contents = append(contents, x)
		}
	}
	return t.Execute(w, map[string]any{
		"First": r.Period.From.Format(time.DateOnly), "Last": r.Period.To.AddDate(0, 0, -1).Format(time.DateOnly),
		"Sections": all[number-1], "Contents": contents, "Page": number, "Pages": len(all),
	})
}

// WritePages writes all pages as [Report.WriteHTML] does. Create is called for each with the name
// that link gives it, and what it returns is closed.
func (r *Report) WritePages(link func(page int) string, create func(name string) (io.WriteCloser, error)) error {
	all := r.pages()
	for i := range all {
		w, err := create(link(i + 1))
		if err != nil {
			return err
		}
		err = r.writePage(w, all, i+1, link)
		if closed := w.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}
