package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
)

// Token is an access token as the API shows it, without its secret.
type Token struct {
	ID       string         `json:"id"`
	Label    string         `json:"label"`
	Subject  string         `json:"subject"`
	User     string         `json:"user"`               // the login that it is the password of is USER~ID
	Agent    string         `json:"agent,omitempty"`    // the AI agent that it proves; it is nobody's password
	Audience string         `json:"audience,omitempty"` // the only address that takes an agent's
	Scopes   []tokens.Scope `json:"scopes,omitempty"`
	Created  time.Time      `json:"created"`
	Expires  time.Time      `json:"expires"`
	LastUsed time.Time      `json:"last_used,omitzero"`
}

// TokenList is the answer to GET /v1/tokens.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// TokenRequest is the body of POST /v1/tokens.
type TokenRequest struct {
	Label   string         `json:"label"`
	Scopes  []tokens.Scope `json:"scopes,omitempty"` // empty: all that the caller may
	Seconds int64          `json:"seconds"`          // how long it is valid
	// Agent names an AI agent that acts for the caller, with her rights within the scopes. Its token is for the MCP server, and for nothing
	// else.
	Agent string `json:"agent,omitempty"`
}

// NewToken is the answer to POST /v1/tokens.
type NewToken struct {
	Token
	Secret string `json:"secret"` // it is kept nowhere, and not shown again
}

func shownToken(t *tokens.Token) Token {
	return Token{t.ID, t.Label, t.Subject, t.User, t.Agent, t.Audience, t.Scopes, t.Created, t.Expires, t.LastUsed}
}

var errNoTokens = NotFound("this gateway has no access tokens")

func (h *Handler) listTokens(c *call) error {
	if c.portal.Tokens == nil {
		return errNoTokens
	}
	subject := c.who.Subject
	if c.URL.Query().Get("all") == "true" {
		if !c.permitted {
			return &Error{http.StatusForbidden, CodeForbidden, "everybody's tokens are shown to those with the permission " + string(Users)}
		}
		subject = ""
	}
	all, err := c.portal.Tokens.List(c.Context(), subject)
	if err != nil {
		return err
	}
	list := TokenList{Tokens: []Token{}}
	for i := range all {
		list.Tokens = append(list.Tokens, shownToken(&all[i]))
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

func (h *Handler) createToken(c *call) error {
	if c.portal.Tokens == nil {
		return errNoTokens
	}
	var req TokenRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if req.Seconds <= 0 || req.Seconds > int64(tokens.MaxLife/time.Second) {
		return badRequest("seconds: want 1 to %d, got %d", int64(tokens.MaxLife/time.Second), req.Seconds)
	}
	audience := ""
	if req.Agent != "" {
		if c.portal.AIAgents == nil {
			return errNoAgents
		}
		audience = c.portal.AIAgents.URL
	}
	if err := h.record(audit.Action{Type: audit.AdminToken, Action: "create", By: c.who, Reason: req.Label, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	t, secret, err := c.portal.Tokens.Create(c.Context(), tokens.Token{
		Label: req.Label, Subject: c.who.Subject, User: LoginName(c.who), Scopes: req.Scopes, Creator: c.who.Subject, Agent: req.Agent, Audience: audience,
		Expires: c.portal.Tokens.In(time.Duration(req.Seconds) * time.Second),
	})
	if err != nil {
		return badRequest("%v", err)
	}
	if err := c.again(); err != nil { // the login has ended meanwhile
		return errors.Join(err, c.portal.Tokens.Revoke(context.WithoutCancel(c.Context()), t.ID))
	}
	h.answer(c.w, http.StatusCreated, NewToken{shownToken(&t), secret.Reveal()})
	return nil
}

func (h *Handler) revokeToken(c *call) error {
	if c.portal.Tokens == nil {
		return errNoTokens
	}
	t, err := c.portal.Tokens.Get(c.Context(), c.PathValue("id"))
	if errors.Is(err, identity.ErrNoDocument) || err == nil && !c.permitted && t.Subject != c.who.Subject {
		return NotFound("you have no access token with this identifier")
	}
	if err != nil {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminToken, Action: "revoke", By: c.who, Reason: t.ID + " of " + t.Subject, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	if err := c.portal.Tokens.Revoke(c.Context(), t.ID); err != nil && !errors.Is(err, identity.ErrNoDocument) {
		return err
	}
	h.answer(c.w, http.StatusOK, Done{})
	return nil
}
