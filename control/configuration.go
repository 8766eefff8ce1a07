package control

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/revision"
)

// Configuration changes the objects of the configuration that are kept in the store.
type Configuration struct {
	Keeper *revision.Keeper
	// Kinds are those of objects, in the order of documents.
	Kinds []string
	// Read reads objects in YAML; file is for messages.
	Read func(ctx context.Context, file, text string) (revision.Proposal, error)
	// Conceal returns the texts of an object of a kind before and after a change without what is not to be
	// shown; whether that changes is shown.
	Conceal func(kind, before, after string) (shownBefore, shownAfter string)
	// File returns the objects of the config file, and those of the store that are not used because the
	// file has them.
	File func() (own []revision.Object, hidden []revision.Key)
	// Rebinds says which secrets would go to another place by changes than they go to now.
	Rebinds func(changes []revision.Change) []string
	// Use has the gateway use what the store has now.
	Use func(ctx context.Context) error
}

// Homes of objects.
const (
	HomeFile  = "file"  // the config file
	HomeStore = "store" // the gateway's store
)

// Object is an object of the configuration.
type Object struct {
	revision.Object
	Home string `json:"home"` // "file" or "store"
	// Hidden says that an object of the store is not used, because the config file has one of the same
	// name, or does not use objects of its kind.
	Hidden bool `json:"hidden,omitempty"`
}

// ObjectList is the answer to GET /v1/objects.
type ObjectList struct {
	// Revision is the one that was applied last; 0: none.
	Revision int64    `json:"revision"`
	Objects  []Object `json:"objects"`
}

// ApplyRequest is the body of POST /v1/objects.
type ApplyRequest struct {
	// Objects are in YAML, as the config file has them; they are made, or take the place of those of the same
	// kind and name. Empty: none.
	Objects string `json:"objects,omitempty"`
	// File is what messages call Objects. May be empty.
	File string `json:"file,omitempty"`
	// Delete names objects that are deleted.
	Delete []revision.Key `json:"delete,omitempty"`
	Reason string         `json:"reason,omitempty"` // recorded
	// Bind confirms that secrets go to another address or account than they do now.
	Bind bool `json:"bind,omitempty"`
	// Plan asks what would be done. Nothing is.
	Plan bool `json:"plan,omitempty"`
}

// RevisionRequest is the body of what is done with a revision.
type RevisionRequest struct {
	Reason string `json:"reason,omitempty"` // recorded
	Bind   bool   `json:"bind,omitempty"`   // as in ApplyRequest; for what is approved or taken back
}

// Revision is a revision as the API shows it.
type Revision struct {
	revision.Revision
	// Unused says why the gateway that answers does not use the revision, although it is applied.
	Unused string `json:"unused,omitempty"`
}

// RevisionList is the answer to GET /v1/revisions, the newest first.
type RevisionList struct {
	Revisions []Revision `json:"revisions"`
}

// maxObjects bounds the body of an ApplyRequest, in bytes.
const maxObjects = 2 * revision.MaxSize

var errNoConfiguration = NotFound("this gateway keeps no objects of the configuration in a store")

// configuration returns what changes objects at this gateway, or an error where nothing does.
func (c *call) configuration() (*Configuration, error) {
	if c.portal.Configuration == nil {
		return nil, errNoConfiguration
	}
	return c.portal.Configuration, nil
}

// told is err as callers are told it.
func told(err error) error {
	for _, is := range []struct {
		err    error
		status int
		code   string
	}{
		{revision.ErrNotFound, http.StatusNotFound, CodeNotFound},
		{revision.ErrConflict, http.StatusConflict, CodeConflict},
		{revision.ErrDecided, http.StatusConflict, CodeConflict},
		{revision.ErrOwn, http.StatusForbidden, CodeForbidden},
		{revision.ErrUncertain, http.StatusServiceUnavailable, CodeUnavailable},
		{revision.ErrInvalid, http.StatusBadRequest, CodeBadRequest},
	} {
		if errors.Is(err, is.err) {
			return &Error{is.status, is.code, err.Error()}
		}
	}
	return err
}

// shown is a revision without what is not to be shown.
func (cf *Configuration) shown(r *revision.Revision) Revision {
	out := *r
	out.Changes = slices.Clone(r.Changes)
	for i := range out.Changes {
		ch := &out.Changes[i]
		ch.Before, ch.After = cf.Conceal(ch.Kind, ch.Before, ch.After)
	}
	return Revision{Revision: out}
}

func (h *Handler) listObjects(c *call) error {
	cf, err := c.configuration()
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	set, err := cf.Keeper.Load(c.Context())
	if err != nil {
		return err
	}
	own, hidden := cf.File()
	list := ObjectList{Revision: set.Current, Objects: []Object{}}
	add := func(o revision.Object, home string, hidden bool) {
		_, o.Text = cf.Conceal(o.Kind, o.Text, o.Text)
		list.Objects = append(list.Objects, Object{o, home, hidden})
	}
	for _, o := range own {
		add(o, HomeFile, false)
	}
	for _, o := range set.Objects {
		add(o, HomeStore, slices.Contains(hidden, o.Key))
	}
	slices.SortStableFunc(list.Objects, func(a, b Object) int {
		return cmp.Or(slices.Index(cf.Kinds, a.Kind)-slices.Index(cf.Kinds, b.Kind), strings.Compare(a.Name, b.Name))
	})
	h.answer(c.w, http.StatusOK, list)
	return nil
}

func (h *Handler) applyObjects(c *call) error {
	cf, err := c.configuration()
	if err != nil {
		return err
	}
	var req ApplyRequest
	if err := c.bodyWithin(&req, maxObjects); err != nil {
		return err
	}
	var p revision.Proposal
	if req.Objects != "" {
		if p, err = cf.Read(c.Context(), cmp.Or(req.File, "objects"), req.Objects); err != nil {
			return told(err)
		}
	}
	p.Delete, p.Reason = req.Delete, strings.TrimSpace(req.Reason)
	if req.Plan {
		if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "plan", Remote: c.RemoteAddr}); err != nil {
			return err
		}
		r, err := cf.Keeper.Plan(c.Context(), p)
		if err != nil {
			return told(err)
		}
		h.answer(c.w, http.StatusOK, cf.shown(r))
		return nil
	}
	return h.propose(c, cf, p, "apply", req.Bind)
}

// propose makes a revision of a proposal. bind lets secrets go elsewhere.
func (h *Handler) propose(c *call, cf *Configuration, p revision.Proposal, action string, bind bool) error {
	p.Author = person(c)
	r, err := cf.Keeper.Propose(c.Context(), p, func(r *revision.Revision) error {
		if err := cf.bound(r, bind); err != nil {
			return err
		}
		if r.State == revision.Waiting {
			if err := c.present(); err != nil {
				return err
			}
		}
		return h.recordRevision(c, action, r, p.Reason)
	})
	if err != nil {
		return told(err)
	}
	return h.answerRevision(c, cf, r)
}

// bound fails when a revision has secrets go elsewhere, which bind confirms.
func (cf *Configuration) bound(r *revision.Revision, bind bool) error {
	moved := cf.Rebinds(r.Changes)
	if len(moved) == 0 || bind {
		return nil
	}
	return &Error{http.StatusConflict, CodeUnbound, strings.Join(moved, "\n") + "\nthe secret is bound to where it is used now: confirm that it goes there, too (--bind)"}
}

// present fails unless a person has logged in: one who is known by the local socket alone could be her own second
// person.
func (c *call) present() error {
	if c.personal() {
		return nil
	}
	return &Error{http.StatusForbidden, CodeForbidden, "this change needs a second person, and both of them log in: use a login in place of the local socket"}
}

func person(c *call) revision.Person {
	return revision.Person{Subject: c.who.Subject, Name: c.who.Name}
}

// recordRevision records what is about to be done with a revision.
func (h *Handler) recordRevision(c *call, action string, r *revision.Revision, reason string) error {
	var names []string
	for _, ch := range r.Changes {
		names = append(names, ch.String())
	}
	text := "revision " + strconv.FormatInt(r.Number, 10) + " (" + string(r.State) + "): " + strings.Join(names, " ")
	if reason != "" {
		text += ": " + reason
	}
	return h.record(audit.Action{Type: audit.AdminConfigure, Action: action, By: c.who, Reason: text, Remote: c.RemoteAddr})
}

// answerRevision answers with a revision, once the gateway uses it when it is applied.
func (h *Handler) answerRevision(c *call, cf *Configuration, r *revision.Revision) error {
	out := cf.shown(r)
	if r.State == revision.Applied && len(r.Changes) > 0 {
		// It is the store's now, whether or not the caller waits.
		if err := cf.Use(context.WithoutCancel(c.Context())); err != nil {
			out.Unused = err.Error()
		}
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

func (h *Handler) listRevisions(c *call) error {
	cf, err := c.configuration()
	if err != nil {
		return err
	}
	number := func(key string) (n int64, err error) {
		text := c.URL.Query().Get(key)
		if text == "" {
			return 0, nil
		}
		if n, err = strconv.ParseInt(text, 10, 64); err != nil || n < 0 {
			return 0, badRequest("%s: got %q, want a number", key, text)
		}
		return n, nil
	}
	before, err := number("before")
	if err != nil {
		return err
	}
	limit, err := number("limit")
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "revisions", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	all, err := cf.Keeper.List(c.Context(), before, int(min(limit, revision.MaxPage)))
	if err != nil {
		return err
	}
	list := RevisionList{Revisions: []Revision{}}
	for i := range all {
		list.Revisions = append(list.Revisions, cf.shown(&all[i]))
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

// numbered is the revision that the path names, and the configuration that it is of.
func (c *call) numbered() (*Configuration, int64, error) {
	cf, err := c.configuration()
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.ParseInt(c.PathValue("number"), 10, 64)
	if err != nil {
		return nil, 0, NotFound("no revision is called so: want its number")
	}
	return cf, n, nil
}

func (h *Handler) showRevision(c *call) error {
	cf, n, err := c.numbered()
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "revision " + strconv.FormatInt(n, 10), Remote: c.RemoteAddr}); err != nil {
		return err
	}
	r, err := cf.Keeper.Get(c.Context(), n)
	if err != nil {
		return told(err)
	}
	h.answer(c.w, http.StatusOK, cf.shown(r))
	return nil
}

func (h *Handler) approveRevision(c *call) error { return h.decideRevision(c, "approve", true) }
func (h *Handler) rejectRevision(c *call) error  { return h.decideRevision(c, "reject", false) }

func (h *Handler) decideRevision(c *call, action string, approve bool) error {
	return h.onRevision(c, func(cf *Configuration, n int64, reason string, bind bool) error {
		if err := c.present(); err != nil {
			return h.barred(c, n, err)
		}
		r, err := cf.Keeper.Decide(c.Context(), n, approve, person(c), reason, func(r *revision.Revision) error {
			if approve {
				if err := cf.bound(r, bind); err != nil {
					return err
				}
			}
			return h.recordRevision(c, action, r, reason)
		})
		if errors.Is(err, revision.ErrOwn) {
			return h.barred(c, n, told(err))
		}
		if err != nil {
			return told(err)
		}
		return h.answerRevision(c, cf, r)
	})
}

// barred records that somebody was kept from deciding about a revision, and returns why she was.
func (h *Handler) barred(c *call, number int64, why error) error {
	a := audit.Action{Type: audit.AdminRefused, Action: audit.AdminConfigure, By: c.who, Reason: "revision " + strconv.FormatInt(number, 10) + ": " + why.Error(), Remote: c.RemoteAddr}
	return cmp.Or(h.record(a), why)
}

func (h *Handler) revertRevision(c *call) error {
	return h.onRevision(c, func(cf *Configuration, n int64, reason string, bind bool) error {
		p, err := cf.Keeper.Reversal(c.Context(), n)
		if err != nil {
			return told(err)
		}
		p.Reason = reason
		return h.propose(c, cf, p, "revert", bind)
	})
}

// onRevision does something with the revision that the path names.
func (h *Handler) onRevision(c *call, do func(cf *Configuration, number int64, reason string, bind bool) error) error {
	cf, n, err := c.numbered()
	if err != nil {
		return err
	}
	var req RevisionRequest
	if err := c.body(&req); err != nil {
		return err
	}
	return do(cf, n, strings.TrimSpace(req.Reason), req.Bind)
}
