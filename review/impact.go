package review

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// maxImpact bounds what is shown of an impact, in bytes of its JSON.
const maxImpact = 64 << 10

// measure has it measured what op would change, for those who decide.
func (r *Request) measure(ctx context.Context, op proxy.Op) error {
	st, ok := op.(*proxy.Statement)
	if !ok {
		return nil
	}
	i, err := st.Measure(ctx)
	if err != nil || i == nil {
		return err
	}
	if text, err := json.Marshal(i); err != nil || len(text) > maxImpact {
		short := *i
		short.Columns, short.Samples, short.Unsaid = nil, nil, []string{"more was measured than can be shown"}
		i = &short
	}
	r.Impact = i
	r.Hash, err = r.hash()
	return err
}

// ImpactText says in one line what an operation would change; empty where nobody has measured it.
func (r *Request) ImpactText() string {
	i := r.Impact
	if i == nil || i.Rows < 0 {
		return ""
	}
	rows := fmt.Sprintf("%d rows", i.Rows)
	if i.Rows == 1 {
		rows = "1 row"
	}
	switch i.Effect {
	case "update":
		return "would change " + rows + " of " + i.Table
	case "delete":
		return "would delete " + rows + " of " + i.Table
	case "insert":
		return "would insert " + rows + " into " + i.Table
	case "truncate":
		return "would empty " + i.Table + ", with " + rows
	case "drop":
		return "would drop " + i.Table + ", with " + rows
	}
	return "would change " + rows + " of " + i.Table + " (" + i.Effect + ")"
}

// impactLines are those about what an operation would change.
func (r *Request) impactLines(line func(name, value string)) {
	i := r.Impact
	if i == nil {
		return
	}
	line("impact", r.ImpactText())
	switch i.Holds {
	case proxy.HoldsRows:
		line("holds", "it runs if these rows are the same then, and hold the same; otherwise nothing is changed")
	case proxy.HoldsCount:
		line("holds", "it runs if there are as many rows then; otherwise nothing is changed")
	}
	if i.Plan != "" {
		line("plan", fmt.Sprintf("%s, at a cost of %.2f", i.Plan, i.Cost))
	}
	if t := i.Trial; t != nil {
		if t.Why == "" {
			line("tried", fmt.Sprintf("it was run and taken back: %d rows", t.Rows))
		} else {
			line("tried", "no: "+t.Why)
		}
	}
	if u := i.Undo; u != nil {
		if u.Why == "" {
			line("undo", "it can be undone for "+shortTime(u.For)+", after another approval")
		} else {
			line("undo", "it cannot be undone: "+u.Why)
		}
	}
	for _, what := range i.Unsaid {
		line("note", what)
	}
	for n, s := range i.Samples {
		var values []string
		for c, column := range i.Columns {
			v := column
			if c < len(s.Before) {
				v += " " + s.Before[c]
			}
			if c < len(s.After) && s.After[c] != "" {
				v += " -> " + s.After[c]
			}
			values = append(values, v)
		}
		line(fmt.Sprintf("  row %d", n+1), strings.Join(values, ", "))
	}
}

// shortTime is a time as people write it.
func shortTime(t time.Duration) string {
	const day = 24 * time.Hour
	if t >= day && t%day == 0 {
		if t == day {
			return "1 day"
		}
		return fmt.Sprintf("%d days", t/day)
	}
	return hours.Length(t)
}
