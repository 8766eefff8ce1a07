package control

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Measures returns what this gateway has measured since it began. It is safe for concurrent use.
type Measures func() Measured

// Measured are numbers of one gateway since it began.
type Measured struct {
	Since     time.Time    `json:"since"`
	Open      int          `json:"open"`    // sessions
	Waiting   int          `json:"waiting"` // requests that wait for a decision, at all gateways on the store
	Oldest    time.Time    `json:"oldest,omitzero"`
	Allowed   uint64       `json:"allowed"` // operations
	Denied    uint64       `json:"denied"`
	Failed    uint64       `json:"failed"`
	Added     []AddedTime  `json:"added"`
	Masked    []MaskedSum  `json:"masked"` // the most first
	Sinks     []SinkState  `json:"sinks"`
	Recording bool         `json:"recording"` // the record can be written
	Ends      []Expiration `json:"-"`         // for those who may configure
}

// AddedTime is what deciding added to operations of a protocol, in microseconds: so much at most to one half of them, to 95 and to 99 of 100; 0
// is more than 5 s. Those that somebody has approved do not count.
type AddedTime struct {
	Protocol   string `json:"protocol"`
	Operations uint64 `json:"operations"`
	P50        int64  `json:"p50"`
	P95        int64  `json:"p95"`
	P99        int64  `json:"p99"`
}

// MaskedSum is how many values of a class were masked.
type MaskedSum struct {
	Class  string `json:"class"`
	Values uint64 `json:"values"`
}

// SinkState is how late events are where they are sent.
type SinkState struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since,omitzero"` // since when events wait; zero: none do
}

// Expiration is a certificate, and when it expires.
type Expiration struct {
	Name   string    `json:"name"`
	Until  time.Time `json:"until"`
	Renews bool      `json:"renews"` // by itself
}

// Dashboard is the answer to GET /v1/dashboard.
type Dashboard struct {
	From      time.Time         `json:"from"`
	To        time.Time         `json:"to"`
	Parts     []SessionPart     `json:"parts"` // equal parts of the time that was asked about, the oldest first
	Sessions  int               `json:"sessions"`
	People    int               `json:"people"`
	Resources []ResourceFigures `json:"resources"` // with most sessions, at most 10
	Others    int               `json:"others"`    // resources that are not among them
	More      bool              `json:"more,omitempty"`
	Unread    int               `json:"unread,omitempty"` // sessions of which it is not known whether they are of this time
	Measured  *Measured         `json:"measured,omitempty"`
	// Certificates are for those who may configure, the first to expire first.
	Certificates []Expiration `json:"certificates,omitempty"`
}

// SessionPart are the sessions that began in a part of the time.
type SessionPart struct {
	Sessions   int `json:"sessions"`
	Operations int `json:"operations"` // that ran
	Refused    int `json:"refused"`    // operations
}

// ResourceFigures are the sessions at a resource.
type ResourceFigures struct {
	Name       string `json:"name"`
	Protocol   string `json:"protocol"`
	Sessions   int    `json:"sessions"`
	Operations int    `json:"operations"`
	Refused    int    `json:"refused"`
}

// Bounds of a dashboard.
const (
	maxDashboard  = 20_000 // sessions
	maxTop        = 10
	dashboardTime = 20 * time.Second
)

func (h *Handler) showDashboard(c *call) error {
	from, to, err := period(c.URL.Query())
	if err != nil {
		return err
	}
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	if err := h.record(audit.Action{Type: audit.AdminRead, By: c.who, Reason: "dashboard " + c.URL.RawQuery, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), dashboardTime)
	defer cancel()
	found, err := a.Search(ctx, audit.Query{Since: from, Until: to, Limit: maxDashboard}, nil)
	if err != nil {
		return err
	}
	out := dashboard(found.Sessions, from.UTC(), to.UTC())
	out.More, out.Unread = len(found.Sessions) == maxDashboard, len(found.Unread)
	if c.portal.Measures != nil {
		m := c.portal.Measures()
		out.Measured = &m
		if h.Permit != nil && h.Permit(c.who, Configure) {
			out.Certificates = m.Ends
		}
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// dashboard sums up sessions.
func dashboard(sessions []*audit.Summary, from, to time.Time) *Dashboard {
	out := &Dashboard{From: from, To: to, Parts: make([]SessionPart, countParts), Resources: []ResourceFigures{}}
	part := to.Sub(from)/countParts + 1
	people := make(map[string]bool)
	by := make(map[string]*ResourceFigures)
	for _, s := range sessions {
		at := s.Began()
		if at.Before(from) || !at.Before(to) {
			continue
		}
		out.Sessions++
		people[s.User] = true
		p := &out.Parts[min(countParts-1, int(at.Sub(from)/part))]
		p.Sessions, p.Operations, p.Refused = p.Sessions+1, p.Operations+s.Operations, p.Refused+s.Refused
		r := by[s.Resource]
		if r == nil {
			r = &ResourceFigures{Name: s.Resource, Protocol: s.Protocol}
			by[s.Resource] = r
		}
		r.Sessions, r.Operations, r.Refused = r.Sessions+1, r.Operations+s.Operations, r.Refused+s.Refused
	}
	out.People = len(people)
	for _, r := range by {
		out.Resources = append(out.Resources, *r)
	}
	slices.SortFunc(out.Resources, func(a, b ResourceFigures) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	if n := len(out.Resources); n > maxTop {
		out.Resources, out.Others = out.Resources[:maxTop], n-maxTop
	}
	return out
}
