package compliance

import (
	"bytes"
	_ "embed"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
)

//go:embed index.html
var page string

// controlTable is what the page says of controls, for programs.
var controlTable = Table{
	"controls", "Controls", "The controls of the framework, the files with evidence for each, and what the gateway cannot prove.", nil,
	[]string{"control", "asks", "files", "yours"},
}

// shown are the tables with evidence for a control.
func shown(c *Control, sheets []*sheet) (list []*sheet) {
	for _, s := range sheets {
		if slices.ContainsFunc(s.Shows, func(k Kind) bool { return slices.Contains(c.Shows, k) }) {
			list = append(list, s)
		}
	}
	return list
}

// controlSheet writes which control is shown by which files.
func controlSheet(s *spool, f *Framework, sheets []*sheet) error {
	x, err := newSheet(s, controlTable)
	if err != nil {
		return err
	}
	for _, c := range f.Controls {
		var files []string
		for _, t := range shown(&c, sheets) {
			csv, _ := t.files()
			files = append(files, csv)
		}
		if slices.Contains(c.Shows, Integrity) {
			files = append(files, proofsName, checkpointName)
		}
		if err := x.add(c.ID, c.Asks, strings.Join(files, " "), c.Yours); err != nil {
			return err
		}
	}
	return x.end()
}

// indexed is a table as the page shows it.
type indexed struct {
	Title, About, CSV, JSON string
	Rows                    int64
}

func renderIndex(f *Framework, m *Manifest, sheets []*sheet, public string) ([]byte, error) {
	t, err := template.New("index").Parse(page)
	if err != nil {
		return nil, err
	}
	of := func(list []*sheet) (out []indexed) {
		for _, s := range list {
			csv, json := s.files()
			out = append(out, indexed{s.Title, s.About, csv, json, s.rows})
		}
		return out
	}
	type control struct {
		Control
		Tables    []indexed
		Integrity bool
	}
	var controls []control
	for _, c := range f.Controls {
		controls = append(controls, control{c, of(shown(&c, sheets)), slices.Contains(c.Shows, Integrity)})
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Framework": f, "Manifest": m, "From": m.From.Format(time.RFC3339), "To": m.To.Format(time.RFC3339), "Made": m.Made.Format(time.RFC3339),
		"Early": m.Made.Before(m.To), "Controls": controls, "Tables": of(sheets), "Limits": Limits(), "Public": terminal.Visible(public),
	})
	return b.Bytes(), err
}
