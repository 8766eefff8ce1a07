package control

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Audit is the permission to see what the gateway has recorded of itself: logins, what was asked for, approved and refused, and what
// administrators have done.
const Audit Permission = "audit"

// Events is the answer to GET /v1/events.
type Events struct {
	Events []json.RawMessage `json:"events"` // as they are on record, the newest first
	// More says that there are older ones that fit.
	More bool `json:"more,omitempty"`
	// Counts are how many fit, of equal parts of the time that was asked about, the oldest first.
	Counts []int     `json:"counts"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

const (
	maxEventSpan = 92 * 24 * time.Hour
	countParts   = 48
)

// period is the time that somebody asks about by since and until: without them, the last day.
func period(q url.Values) (from, to time.Time, err error) {
	if from, err = moment(q, "since"); err != nil {
		return from, to, err
	}
	if to, err = moment(q, "until"); err != nil {
		return from, to, err
	}
	if to.IsZero() {
		to = time.Now()
	}
	if from.IsZero() {
		from = to.Add(-24 * time.Hour)
	}
	if !from.Before(to) || to.Sub(from) > maxEventSpan {
		return from, to, badRequest("since, until: want a time of at most %d days", int(maxEventSpan/(24*time.Hour)))
	}
	return from, to, nil
}

// listEvents searches the gateway's own record.
func (h *Handler) listEvents(c *call) error {
	q := c.URL.Query()
	limit, err := number(q, "limit", 200, maxFound)
	if err != nil {
		return err
	}
	from, to, err := period(q)
	if err != nil {
		return err
	}
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	if err := h.record(audit.Action{Type: audit.AdminRead, By: c.who, Reason: "events " + c.URL.RawQuery, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	records, err := a.Own()
	if err != nil {
		return err
	}
	out := Events{Events: []json.RawMessage{}, Counts: make([]int, countParts), From: from.UTC(), To: to.UTC()}
	part := to.Sub(from)/countParts + 1
	fits := filter(q.Get("type"), q.Get("user"), q["text"])
	for i := len(records) - 1; i >= 0; i-- {
		var found []json.RawMessage
		older := false // than what is asked about, all of it
		for raw, err := range a.Raw(records[i]) {
			if c.Context().Err() != nil {
				return c.Context().Err()
			}
			if err != nil {
				h.log().Warn("control: the gateway's own record cannot be read to its end", "record", records[i], "err", err)
				break
			}
			var head struct {
				Time time.Time `json:"t"`
				Type string    `json:"type"`
			}
			if json.Unmarshal(raw, &head) != nil {
				continue
			}
			older = head.Time.Before(from)
			if older || !head.Time.Before(to) || !fits(head.Type, raw) {
				continue
			}
			out.Counts[min(countParts-1, int(head.Time.Sub(from)/part))]++
			found = append(found, bytes.Clone(raw))
			if len(found) > 2*limit+1 { // the newest are kept
				out.More = true
				found = slices.Delete(found, 0, len(found)-limit)
			}
		}
		slices.Reverse(found)
		out.Events = append(out.Events, found...)
		if len(out.Events) > limit {
			out.Events, out.More = out.Events[:limit], true
		}
		if older && len(found) == 0 {
			break // and so are those before
		}
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// filter says which events fit: of a type or of those that begin so, of somebody, with all texts in either case.
func filter(typ, user string, texts []string) func(typ string, raw []byte) bool {
	var want [][]byte
	for _, t := range texts {
		if t = strings.TrimSpace(t); t != "" {
			want = append(want, bytes.ToLower([]byte(t)))
		}
	}
	return func(is string, raw []byte) bool {
		if typ != "" && is != typ && !strings.HasPrefix(is, strings.TrimSuffix(typ, ".")+".") {
			return false
		}
		if user != "" {
			var who struct {
				User      string `json:"user"`
				For       string `json:"for"`
				DecidedBy string `json:"decided_by"`
			}
			if json.Unmarshal(raw, &who) != nil || who.User != user && who.For != user && who.DecidedBy != user {
				return false
			}
		}
		if len(want) == 0 {
			return true
		}
		lower := bytes.ToLower(raw)
		return !slices.ContainsFunc(want, func(w []byte) bool { return !bytes.Contains(lower, w) })
	}
}
