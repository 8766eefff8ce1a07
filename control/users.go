package control

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
)

// Users is the permission to see who there is, to assign groups, to disable people, and to
// end what others have been given. Nobody does any of it to herself.
const Users Permission = "users"

// User is somebody as administrators see her.
type User struct {
	Subject  string    `json:"subject"`
	Name     string    `json:"name,omitempty"`
	Given    []string  `json:"given,omitempty"`  // groups that the last login came with
	Groups   []string  `json:"groups,omitempty"` // those that were assigned
	Disabled bool      `json:"disabled,omitempty"`
	Seen     time.Time `json:"seen,omitzero"` // logged in last
}

// UserList is the answer to GET /v1/users.
type UserList struct {
	Users []User `json:"users"`
}

// Group is a group that somebody is in.
type Group struct {
	Name    string   `json:"name"`
	Members []string `json:"members"` // subjects
}

// GroupList is the answer to GET /v1/groups.
type GroupList struct {
	Groups []Group `json:"groups"`
}

// UserRequest names the user that it is about, and says why.
type UserRequest struct {
	Subject string `json:"subject"`
	Reason  string `json:"reason"` // recorded; must not be empty
}

// GroupsRequest is the body of POST /v1/user/groups.
type GroupsRequest struct {
	UserRequest
	Groups []string `json:"groups"`
}

var errNoUsers = NotFound("this gateway keeps no users")

func shownUser(m *identity.Member) User {
	return User{m.Subject, m.Name, m.Given, m.Groups, m.Disabled, m.Seen}
}

// members are those that the caller looks at, which is on record.
func (h *Handler) members(c *call, about string) ([]identity.Member, error) {
	if c.portal.Members == nil {
		return nil, errNoUsers
	}
	if err := h.record(audit.Action{Type: audit.AdminUsers, By: c.who, Reason: about, Remote: c.RemoteAddr}); err != nil {
		return nil, err
	}
	return c.portal.Members.List(c.Context())
}

func (h *Handler) listUsers(c *call) error {
	all, err := h.members(c, "")
	if err != nil {
		return err
	}
	list := UserList{Users: []User{}}
	for i := range all {
		list.Users = append(list.Users, shownUser(&all[i]))
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

func (h *Handler) showUser(c *call) error {
	subject := c.URL.Query().Get("subject")
	all, err := h.members(c, subject)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Subject == subject {
			h.answer(c.w, http.StatusOK, shownUser(&all[i]))
			return nil
		}
	}
	return NotFound("nobody of this subject has logged in, or was written down")
}

func (h *Handler) listGroups(c *call) error {
	all, err := h.members(c, "groups")
	if err != nil {
		return err
	}
	by := make(map[string][]string)
	for _, m := range all {
		for _, g := range slices.Concat(m.Given, m.Groups) {
			by[g] = append(by[g], m.Subject)
		}
	}
	list := GroupList{Groups: []Group{}}
	for _, g := range slices.Sorted(maps.Keys(by)) {
		list.Groups = append(list.Groups, Group{g, by[g]})
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

// onUser does something to somebody else, once it is on record.
func (h *Handler) onUser(c *call, req *UserRequest, what string, do func() error) error {
	if c.portal.Members == nil {
		return errNoUsers
	}
	req.Reason = strings.TrimSpace(req.Reason)
	if req.Reason == "" || len(req.Reason) > maxReason {
		return badRequest("a reason is needed, of at most %d bytes", maxReason)
	}
	if req.Subject == "" || len(req.Subject) > 400 {
		return badRequest("subject: want that of the user, of at most 400 bytes")
	}
	if req.Subject == c.who.Subject && c.means != byPeer {
		return &Error{http.StatusForbidden, CodeForbidden, "nobody changes what she may do herself: ask another administrator"}
	}
	if err := h.record(audit.Action{Type: audit.AdminUser, Action: what, By: c.who, Reason: req.Subject + ": " + req.Reason, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	return do()
}

func (h *Handler) assignGroups(c *call) error {
	var req GroupsRequest
	if err := c.body(&req); err != nil {
		return err
	}
	for _, g := range req.Groups {
		if err := identity.ValidGroup(g); err != nil {
			return badRequest("%v", err)
		}
	}
	if len(req.Groups) > identity.MaxMemberGroups {
		return badRequest("groups: want at most %d, got %d", identity.MaxMemberGroups, len(req.Groups))
	}
	return h.onUser(c, &req.UserRequest, "groups "+strings.Join(req.Groups, " "), func() error {
		m, err := c.portal.Members.Assign(c.Context(), req.Subject, req.Groups)
		return h.changed(c, m, err)
	})
}

func (h *Handler) disableUser(c *call) error {
	return h.toUser(c, "disable", func(ctx context.Context, subject string) (identity.Member, error) {
		m, err := c.portal.Members.Disable(ctx, subject)
		if err == nil {
			_, err = h.endLogins(ctx, subject, identity.ErrDisabled.Error())
		}
		return m, err
	})
}

func (h *Handler) enableUser(c *call) error {
	return h.toUser(c, "enable", func(ctx context.Context, subject string) (identity.Member, error) {
		return c.portal.Members.Enable(ctx, subject)
	})
}

func (h *Handler) toUser(c *call, what string, do func(ctx context.Context, subject string) (identity.Member, error)) error {
	var req UserRequest
	if err := c.body(&req); err != nil {
		return err
	}
	return h.onUser(c, &req, what, func() error {
		m, err := do(c.Context(), req.Subject)
		return h.changed(c, m, err)
	})
}

func (h *Handler) changed(c *call, m identity.Member, err error) error {
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, shownUser(&m))
	return nil
}

// LoggedOut is the answer to POST /v1/user/logout: how much has ended.
type LoggedOut struct {
	Logins   int `json:"logins"` // at providers, with their refresh tokens
	Sessions int `json:"sessions"`
	Tokens   int `json:"tokens"` // access tokens that were revoked
}

// endLogins ends all logins of somebody, and the certificates that these were given. The
// logins at providers come first: no session begins of one any more.
func (h *Handler) endLogins(ctx context.Context, subject, reason string) (out LoggedOut, err error) {
	var errs [3]error
	p := h.portal()
	if p.EndLogins != nil {
		out.Logins, errs[0] = p.EndLogins(ctx, subject, reason)
	}
	if p.Sessions != nil {
		out.Sessions, errs[1] = p.Sessions.EndAll(ctx, subject)
	}
	if p.Certificates != nil {
		errs[2] = p.Certificates.RevokeAll(ctx, subject, reason)
	}
	return out, errors.Join(errs[:]...)
}

// revokeTokens revokes all access tokens of somebody, and returns how many these are.
func (h *Handler) revokeTokens(ctx context.Context, subject string) (n int, err error) {
	p := h.portal()
	if p.Tokens == nil {
		return 0, nil
	}
	list, err := p.Tokens.List(ctx, subject)
	for _, t := range list {
		switch bad := p.Tokens.Revoke(ctx, t.ID); {
		case bad == nil:
			n++
		case !errors.Is(bad, identity.ErrNoDocument): // otherwise it was revoked just now
			err = errors.Join(err, bad)
		}
	}
	return n, err
}

func (h *Handler) logoutUser(c *call) error {
	var req UserRequest
	if err := c.body(&req); err != nil {
		return err
	}
	return h.onUser(c, &req, "logout", func() error {
		out, err := h.endLogins(c.Context(), req.Subject, "an administrator has ended your logins")
		// Tokens come after the logins, which could make others.
		var bad error
		if out.Tokens, bad = h.revokeTokens(c.Context(), req.Subject); err != nil || bad != nil {
			return errors.Join(err, bad)
		}
		h.answer(c.w, http.StatusOK, out)
		return nil
	})
}
