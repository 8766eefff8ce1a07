package compliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/report"
)

// State is what the gateway holds besides its records, such as its users.
type State struct {
	Table
	// Rows calls add with the cells of each row.
	Rows func(ctx context.Context, add func(cells ...string) error) error
}

// Source is what packs are made from.
type Source struct {
	Archive *audit.Archive
	// Sign signs the manifest: the SignEvidence of the archive's log.
	Sign func(manifest []byte) (string, error)
	// State is read when a pack is made: it says what is now.
	State []State
	// Program names the program that makes the pack, with its version.
	Program string
	// Dir is where files are spooled; empty is the system's directory for such files. Limit bounds them, in bytes, compressed; 0 is DefaultLimit.
	Dir   string
	Limit int64
}

// DefaultLimit bounds a pack, in bytes.
const DefaultLimit = 4 << 30

// MaxPeriod is the longest period that a pack is made for.
const MaxPeriod = 400 * 24 * time.Hour

// CheckPeriod says why a pack cannot be made for a period. Its text can be shown to the user.
func CheckPeriod(p report.Period) error {
	switch {
	case p.From.IsZero() || p.To.IsZero():
		return errors.New("the period needs a beginning and an end")
	case !p.From.Before(p.To):
		return fmt.Errorf("the period ends at %s, before it begins at %s", p.To.UTC().Format(time.RFC3339), p.From.UTC().Format(time.RFC3339))
	case p.To.Sub(p.From) > MaxPeriod:
		return fmt.Errorf("the period has %d days, want at most %d: make several packs", p.To.Sub(p.From)/(24*time.Hour), MaxPeriod/(24*time.Hour))
	}
	return nil
}

var recordTable = Table{
	"records", "State of the records", "Each record of the period, the gateway's own among them: whether it is as it was sealed. Proven is one that is whole and that the signed head has; proofs.json has the proof. Open and unsealed ones are not sealed yet.",
	[]Kind{Integrity, Retention},
	[]string{"record", "kind", "state", "events", "place", "message"},
}

// gathering is a pack that is being made.
type gathering struct {
	ctx    context.Context
	src    *Source
	spool  *spool
	anchor *audit.Anchor
	count  Counts

	sessions, decisions, maskingSheet, records *sheet
	own                                        []*sheet // as ownTables
	state                                      []*sheet // as src.State
	proofs                                     *spooled
	proven                                     int
}

func (g *gathering) begin() (err error) {
	sheet := func(t Table) (x *sheet) {
		if err == nil {
			x, err = newSheet(g.spool, t)
		}
		return x
	}
	g.sessions, g.decisions, g.maskingSheet, g.records = sheet(sessionTable), sheet(decisionTable), sheet(maskingTable), sheet(recordTable)
	for _, t := range ownTables {
		g.own = append(g.own, sheet(t.Table))
	}
	for _, s := range g.src.State {
		g.state = append(g.state, sheet(s.Table))
	}
	if err != nil {
		return err
	}
	if g.proofs, err = g.spool.create(proofsName); err != nil {
		return err
	}
	if g.anchor, err = g.src.Archive.Anchor(); err != nil {
		return err
	}
	_, err = io.WriteString(g.proofs, "[")
	return err
}

// sheets are all tables, in the order in which they are shown.
func (g *gathering) sheets() []*sheet {
	list := append([]*sheet{g.sessions, g.decisions, g.maskingSheet}, g.own...)
	return append(append(list, g.state...), g.records)
}

func (g *gathering) end() error {
	if _, err := io.WriteString(g.proofs, "\n]\n"); err != nil {
		return err
	}
	if err := g.proofs.end(); err != nil {
		return err
	}
	for _, s := range g.sheets() {
		if err := s.end(); err != nil {
			return err
		}
	}
	return nil
}

// recorded writes what became of the sessions and of the gateway's own record in the period.
func (g *gathering) recorded(p report.Period, progress func(done, all int)) error {
	found, err := g.src.Archive.Search(g.ctx, audit.Query{}, nil)
	if err != nil {
		return err
	}
	for i, s := range found.Sessions {
		if progress != nil {
			progress(i, len(found.Sessions))
		}
		if err := g.session(s, p); err != nil {
			return err
		}
	}
	for _, u := range found.Unread {
		began, ok := audit.Began(u.ID)
		if ok && !began.Before(p.To) || slices.ContainsFunc(found.Sessions, func(s *audit.Summary) bool { return s.ID == u.ID }) {
			continue
		}
		if err := g.record(u.ID, "session", u.Err); err != nil {
			return err
		}
	}
	return g.ownRecords(p)
}

// session writes what a session's record says, if it was open at some time of the period.
func (g *gathering) session(s *audit.Summary, p report.Period) error {
	began, known := s.Began(), true
	if began.IsZero() {
		began, known = audit.Began(s.ID)
	}
	if known && !began.Before(p.To) {
		return nil
	}
	// Its length has no more than microseconds, and its end is looked at when the record is read.
	if s.Seconds > 0 && s.End != "open" && began.Add(time.Duration((s.Seconds+1)*float64(time.Second))).Before(p.From) {
		return nil
	}
	if s.End == "erased" {
		if known && began.Before(p.From) { // when it ended is gone with it
			g.count.ErasedBefore++
			return nil
		}
		return g.record(s.ID, "session", audit.ErrErased)
	}
	w := &walk{gathering: g, period: p, id: s.ID}
	failed, err := w.read(g.src.Archive)
	if err != nil {
		return err
	}
	if errors.Is(failed, errBefore) || failed == nil && !w.inside {
		return nil
	}
	return g.record(s.ID, "session", failed)
}

// record writes the state of a record that was read, and failed so.
func (g *gathering) record(id, kind string, failed error) error {
	var i *audit.Inclusion
	var err error
	if errors.Is(failed, audit.ErrErased) {
		i, _, err = g.src.Archive.Proves(g.anchor, id)
	} else {
		i, err = g.anchor.Include(id)
	}
	if err == nil {
		err = g.anchor.Check(i)
	}
	state, message, place := "proven", "", ""
	switch {
	case errors.Is(failed, audit.ErrErased) && err == nil:
		state = "erased"
		g.count.Erased++
	case failed != nil:
		state, message = "failed", failed.Error()
	case errors.Is(err, audit.ErrUnsealed):
		state = "not sealed yet"
		g.count.Open++
	case err != nil:
		state, message = "failed", err.Error()
	default:
		g.count.Proven++
	}
	if state == "failed" {
		g.count.Failed++
	}
	events := ""
	if i != nil {
		place, events = strconv.FormatInt(i.Index, 10), i.Events()
		if err := g.proof(i); err != nil {
			return err
		}
	}
	return g.records.add(id, kind, state, events, place, message)
}

// proof writes the proof that a record was sealed, a line each.
func (g *gathering) proof(i *audit.Inclusion) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	line := "\n"
	if g.proven > 0 {
		line = ",\n"
	}
	g.proven++
	_, err = g.proofs.Write(append([]byte(line), b...))
	return err
}

// rotated is how much longer than to the next record's beginning events are added to one of the gateway's own: its last says which
// the next is, or was found at the next start.
const rotated = time.Hour

// ownRecords writes what the gateway has recorded of itself.
func (g *gathering) ownRecords(p report.Period) error {
	ids, err := g.src.Archive.Own()
	if err != nil {
		return err
	}
	for i, id := range ids {
		if began, ok := audit.Began(id); ok && !began.Before(p.To) {
			break
		}
		if i+1 < len(ids) {
			if next, ok := audit.Began(ids[i+1]); ok && next.Add(rotated).Before(p.From) {
				continue
			}
		}
		var failed error
		inside := false
		for e, err := range g.src.Archive.Events(id) {
			if err != nil {
				failed = err
				break
			}
			if err := g.ctx.Err(); err != nil {
				return err
			}
			if !within(p, e.When()) {
				continue
			}
			inside = true
			if err := g.happened(e); err != nil {
				return err
			}
		}
		if inside || failed != nil {
			if err := g.record(id, "gateway", failed); err != nil {
				return err
			}
		}
	}
	return nil
}

// happened writes an event of the gateway's own record.
func (g *gathering) happened(e *audit.Event) error {
	placed := false
	for i, t := range ownTables {
		if t.has == nil && placed || t.has != nil && !t.has(e.Type) {
			continue
		}
		placed = true
		cells := make([]string, len(t.Columns))
		for k, c := range t.Columns {
			cells[k] = fields[c](e)
		}
		if err := g.own[i].add(cells...); err != nil {
			return err
		}
	}
	return nil
}

// held writes what the gateway holds now.
func (g *gathering) held() error {
	for i, s := range g.src.State {
		if err := s.Rows(g.ctx, g.state[i].add); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}
