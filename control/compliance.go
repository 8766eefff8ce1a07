package control

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/compliance"
	"github.com/sallyport/sallyport/audit/report"
)

// FrameworkList is the answer to GET /v1/compliance/frameworks.
type FrameworkList struct {
	Frameworks []Framework `json:"frameworks"`
}

// Framework is one that packs of evidence are made for.
type Framework struct {
	ID       string             `json:"id"`
	Title    string             `json:"title"`
	Controls []ComplianceDemand `json:"controls"`
}

// ComplianceDemand is a control of a framework.
type ComplianceDemand struct {
	ID    string `json:"id"`
	Asks  string `json:"asks"`
	Yours string `json:"yours,omitempty"` // what the gateway cannot prove
}

func (h *Handler) listFrameworks(c *call) error {
	list := FrameworkList{Frameworks: []Framework{}}
	for _, f := range compliance.Frameworks() {
		out := Framework{ID: f.ID, Title: f.Title, Controls: []ComplianceDemand{}}
		for _, x := range f.Controls {
			out.Controls = append(out.Controls, ComplianceDemand{x.ID, x.Asks, x.Yours})
		}
		list.Frameworks = append(list.Frameworks, out)
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

// exportEvidence makes a pack of evidence, and sends it. It is on record before it is made, and again, with what it is, before it is sent.
func (h *Handler) exportEvidence(c *call) error {
	f, p, err := evidenceWanted(c)
	if err != nil {
		return err
	}
	if h.Permit == nil || !h.Permit(c.who, List) {
		return &Error{http.StatusForbidden, CodeForbidden, "a pack of evidence says who was at which resource: it needs the permission " + string(List) + ", too"}
	}
	if !h.exporting.CompareAndSwap(false, true) {
		return &Error{http.StatusTooManyRequests, CodeBusy, "another pack of evidence is being made: ask again soon"}
	}
	defer h.exporting.Store(false)
	a, leave, err := h.archive()
	if err != nil {
		return err
	}
	defer leave()
	about := fmt.Sprintf("evidence %s from %s to %s", f.ID, p.From.Format(time.RFC3339Nano), p.To.Format(time.RFC3339Nano))
	record := func(action, reason string) error {
		return h.record(audit.Action{Type: audit.AdminExport, Action: action, By: c.who, Reason: reason, Remote: c.RemoteAddr})
	}
	if err := record("begin", about); err != nil {
		return err
	}
	src := compliance.Source{
		Archive: a, Sign: h.Records.SignEvidence, State: evidenceState(c.portal, p), Dir: h.Spool, Limit: h.SpoolLimit, Program: "sallyport " + c.portal.Version,
	}
	pack, err := src.Gather(c.Context(), f, p, time.Now(), nil)
	if errors.Is(err, compliance.ErrTooLarge) {
		return badRequest("%v", compliance.ErrTooLarge)
	}
	if err != nil {
		return err
	}
	defer pack.Close()
	if err := c.again(); err != nil { // it may have taken long
		return err
	}
	if err := record("finish", about+": manifest sha256:"+pack.Digest); err != nil {
		return err
	}
	out := h.stream(c, "application/zip", fmt.Sprintf("evidence-%s-%s.zip", f.ID, p.From.Format(time.DateOnly)))
	if err := pack.Write(out); err != nil {
		if c.Context().Err() == nil {
			h.log().Warn("control: a pack of evidence could not be sent to its end", "err", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// evidenceWanted reads which pack is asked for.
func evidenceWanted(c *call) (f *compliance.Framework, p report.Period, err error) {
	q := c.URL.Query()
	if f, err = compliance.Find(q.Get("framework")); err != nil {
		return nil, p, badRequest("%v", err)
	}
	if p.From, err = moment(q, "since"); err == nil {
		p.To, err = moment(q, "until")
	}
	if err != nil {
		return nil, p, err
	}
	p.From, p.To = p.From.UTC(), p.To.UTC()
	if err := compliance.CheckPeriod(p); err != nil {
		return nil, p, badRequest("since, until: %v", err)
	}
	return f, p, nil
}
