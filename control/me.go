package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
)

// Factors is the answer to GET /v1/me/factors: how a local user proves herself.
type Factors struct {
	// Password is when she chose the one that counts; zero: the configuration gives it.
	Password time.Time `json:"password,omitzero"`
	TOTP     *TOTP     `json:"totp,omitempty"` // missing: it is not set up
}

// TOTP is a second factor by an app's codes.
type TOTP struct {
	Since time.Time `json:"since"`
	Used  time.Time `json:"used,omitzero"`
	// RecoveryCodes are how many are left.
	RecoveryCodes int `json:"recovery_codes"`
}

// Again is what somebody who has logged in proves herself with again.
type Again struct {
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"` // of the second factor, or a recovery code
}

// PasswordRequest is the body of POST /v1/me/password.
type PasswordRequest struct {
	Again
	New string `json:"new"`
}

// Ended is how much has ended with a change of how somebody proves herself.
type Ended struct {
	Logins int `json:"logins"` // her others; the caller's goes on
	Tokens int `json:"tokens"` // her access tokens, which go on
}

// NewFactor is the answer to POST /v1/me/totp.
type NewFactor struct {
	// URL is what an app reads, as a picture or typed: otpauth://… It is not shown again.
	URL string `json:"url"`
}

// CodeRequest is the body of POST /v1/me/totp/confirm.
type CodeRequest struct {
	Code string `json:"code"`
}

// Enrolled is the answer to POST /v1/me/totp/confirm.
type Enrolled struct {
	RecoveryCodes
	Ended
}

// RecoveryCodes count once each, in the place of an app's code. They are not shown again.
type RecoveryCodes struct {
	Codes []string `json:"recovery_codes"`
}

// ProvenAgain is the answer to POST /v1/me/prove.
type ProvenAgain struct {
	At      time.Time `json:"at"`
	Methods string    `json:"methods,omitempty"` // as the claim amr has them
}

// FactorsReset is the answer to POST /v1/user/factors.
type FactorsReset struct {
	Factors int `json:"factors"` // that were taken away
	LoggedOut
}

var errNotLocal = NotFound("only local users of this gateway prove themselves here: others do at their provider")

var errNoFactor = NotFound("you have no second factor")

// self is the caller's definition, who is a local user.
func (c *call) self() (identity.User, error) {
	p := c.portal
	if p.Users == nil || p.Credentials == nil || p.Passwords == nil || p.Sessions == nil || c.who.Claims[identity.ClaimIssuer] != "" {
		return identity.User{}, errNotLocal
	}
	user, ok := p.Users.Lookup(c.who.Subject)
	if !ok {
		return user, errNotLocal
	}
	return user, nil
}

// selfAsks reads the body of a request about how the caller proves herself, and returns her definition.
func (c *call) selfAsks(req any) (identity.User, error) {
	if err := c.body(req); err != nil {
		return identity.User{}, err
	}
	return c.self()
}

// proveAgain has the caller prove herself by her password, and by a code where she has a second
// factor, and returns who that is. A session that was stolen is not enough for what follows.
func (h *Handler) proveAgain(c *call, a Again, what string) (*proxy.Identity, error) {
	id, err := h.tryPassword(c, c.who.Subject, a.Password, a.Code)
	if err == nil && id.Subject != c.who.Subject {
		err = &Error{http.StatusUnauthorized, CodeUnauthenticated, wrongLogin}
	}
	if err != nil {
		return nil, h.unproven(c, what, err)
	}
	return id, c.again() // it took a while
}

// unproven records that a caller has not proven herself again. She stays logged in.
func (h *Handler) unproven(c *call, what string, err error) error {
	var told *Error
	if !errors.As(err, &told) || told.Code != CodeUnauthenticated {
		return err
	}
	if err := h.record(audit.Action{Type: audit.AdminRefused, Action: audit.AdminFactor, By: c.who, Reason: what, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	return &Error{http.StatusForbidden, CodeUnproven, "the password or the code is not correct, or a code of a second factor is needed"}
}

func (h *Handler) factor(c *call, what string) error {
	return h.record(audit.Action{Type: audit.AdminFactor, Action: what, By: c.who, Remote: c.RemoteAddr})
}

func (h *Handler) showFactors(c *call) error {
	user, err := c.self()
	if err != nil {
		return err
	}
	var f Factors
	if f.Password, err = c.portal.Credentials.Chosen(c.Context(), user); err != nil {
		return err
	}
	s, err := c.portal.Credentials.Codes.Status(c.Context(), user.Name)
	if err != nil {
		return err
	}
	if s.Enrolled {
		f.TOTP = &TOTP{s.Since, s.Used, s.Recovery}
	}
	h.answer(c.w, http.StatusOK, f)
	return nil
}

func (h *Handler) changePassword(c *call) error {
	var req PasswordRequest
	user, err := c.selfAsks(&req)
	if err != nil {
		return err
	}
	if user.Password == "" && user.Hash == "" {
		return &Error{http.StatusConflict, CodeConflict, local.ErrNoPassword.Error()}
	}
	if err := local.Valid(user.Name, req.New); err != nil {
		return badRequest("new: %v", err)
	}
	id, err := h.proveAgain(c, req.Again, "password")
	if err != nil {
		return err
	}
	if req.New == req.Password {
		return badRequest("new: it is the password that you have")
	}
	if err := h.factor(c, "password"); err != nil {
		return err
	}
	err = c.portal.Credentials.Choose(c.Context(), user, id.Claims[identity.ClaimPassword], proxy.NewSecret(req.New))
	if errors.Is(err, local.ErrChanged) {
		return &Error{http.StatusConflict, CodeConflict, err.Error()}
	}
	if err != nil {
		return err
	}
	ended, err := h.endOthers(c, "your password was changed")
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, ended)
	return nil
}

// endOthers ends the logins of the caller but this one, and what they were given. What has
// changed before stays so, also when the caller leaves.
func (h *Handler) endOthers(c *call, reason string) (out Ended, err error) {
	ctx, p := context.WithoutCancel(c.Context()), c.portal
	logins, err := p.Sessions.EndOthers(ctx, c.who.Subject, c.who.Claims[identity.ClaimLogin])
	if out.Logins = len(logins); p.Certificates != nil {
		for _, login := range logins {
			err = errors.Join(err, p.Certificates.RevokeLogin(ctx, c.who.Subject, login, reason))
		}
	}
	if err != nil {
		h.log().Error("control: what has changed is in force, but other logins could not be ended", "subject", c.who.Subject, "err", err)
		return out, &Error{http.StatusServiceUnavailable, CodeUnavailable, "it is changed, but your other logins could not be ended: ask an administrator to end them"}
	}
	if p.Tokens != nil {
		list, err := p.Tokens.List(ctx, c.who.Subject)
		if err != nil {
			return out, err
		}
		out.Tokens = len(list)
	}
	return out, nil
}

func (h *Handler) addTOTP(c *call) error {
	var req Again
	user, err := c.selfAsks(&req)
	if err != nil {
		return err
	}
	if _, err := h.proveAgain(c, req, "totp add"); err != nil {
		return err
	}
	if err := h.factor(c, "totp add"); err != nil {
		return err
	}
	url, err := c.portal.Credentials.Codes.Enroll(c.Context(), user.Name, user.Name)
	if errors.Is(err, totp.ErrEnrolled) || errors.Is(err, identity.ErrConflict) {
		return &Error{http.StatusConflict, CodeConflict, totp.ErrEnrolled.Error()}
	}
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusCreated, NewFactor{url.Reveal()})
	return nil
}

func (h *Handler) confirmTOTP(c *call) error {
	var req CodeRequest
	user, err := c.selfAsks(&req)
	if err != nil {
		return err
	}
	if err := h.factor(c, "totp confirm"); err != nil {
		return err
	}
	begun := time.Now()
	codes, err := c.portal.Credentials.Confirm(c.Context(), user.Name, req.Code)
	if errors.Is(err, proxy.ErrUnauthenticated) {
		even(c.Context(), begun)
		return h.unproven(c, "totp confirm", loginError(err))
	}
	if err != nil {
		return err
	}
	ended, err := h.endOthers(c, "a second factor was set up")
	if err == nil { // her password has let her begin, and here is a code
		secret, _ := c.secret()
		_, err = c.portal.Sessions.Prove(context.WithoutCancel(c.Context()), secret, identity.MethodsFactor)
	}
	if err != nil {
		h.log().Error("control: recovery codes were not shown", "subject", c.who.Subject)
		return err
	}
	h.answer(c.w, http.StatusOK, Enrolled{shownCodes(codes), ended})
	return nil
}

func shownCodes(codes []proxy.Secret) (out RecoveryCodes) {
	for _, code := range codes {
		out.Codes = append(out.Codes, code.Reveal())
	}
	return out
}

func (h *Handler) renewRecovery(c *call) error {
	return h.onFactor(c, "recovery codes", func(user string) (any, error) {
		codes, err := c.portal.Credentials.Codes.Recover(c.Context(), user)
		return shownCodes(codes), err
	})
}

func (h *Handler) removeTOTP(c *call) error {
	return h.onFactor(c, "totp remove", func(user string) (any, error) {
		return Done{}, c.portal.Credentials.Codes.Remove(c.Context(), user)
	})
}

// onFactor does something to the caller's second factor, once she has proven herself by it.
func (h *Handler) onFactor(c *call, what string, do func(user string) (any, error)) error {
	var req Again
	user, err := c.selfAsks(&req)
	if err != nil {
		return err
	}
	id, err := h.proveAgain(c, req, what)
	if err != nil {
		return err
	}
	if id.Claims[identity.ClaimMethods] != identity.MethodsFactor {
		return errNoFactor
	}
	if err := h.factor(c, what); err != nil {
		return err
	}
	out, err := do(user.Name)
	if errors.Is(err, totp.ErrNotEnrolled) || errors.Is(err, identity.ErrNoDocument) {
		return errNoFactor
	}
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// prove begins the age of the caller's login anew: she proves herself by her second factor, or
// by her password where she has none.
func (h *Handler) prove(c *call) error {
	var req Again
	user, err := c.selfAsks(&req)
	if err != nil {
		return err
	}
	factor, err := c.portal.Credentials.Codes.Enrolled(c.Context(), user.Name)
	if err != nil {
		return err
	}
	methods := ""
	if factor {
		methods, err = identity.MethodsFactor, h.proveByCode(c, user.Name, req.Code)
	} else {
		_, err = h.proveAgain(c, req, "prove")
	}
	if err != nil {
		return err
	}
	if err := h.factor(c, "prove"); err != nil {
		return err
	}
	secret, _ := c.secret()
	id, err := c.portal.Sessions.Prove(c.Context(), secret, methods)
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, ProvenAgain{id.AuthTime, id.Claims[identity.ClaimMethods]})
	return nil
}

func (h *Handler) proveByCode(c *call, user, code string) error {
	if _, err := h.try(c, proxy.Proof{User: user, Code: proxy.NewSecret(code)}, codes{c.portal.Credentials, c.who}); err != nil {
		return h.unproven(c, "prove", err)
	}
	return c.again()
}

// codes prove a caller by her second factor alone.
type codes struct {
	*local.Credentials
	who *proxy.Identity
}

// Authenticate implements [proxy.Authenticator].
func (k codes) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if err := k.Code(ctx, p.User, p.Code); err != nil {
		return nil, err
	}
	return k.who, nil
}

// resetFactors takes somebody's second factor away, such as when she has lost it, and ends her
// logins: she sets up another one.
func (h *Handler) resetFactors(c *call) error {
	var req UserRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if c.portal.Credentials == nil {
		return errNotLocal
	}
	return h.onUser(c, &req, "reset factors", func() error {
		var out FactorsReset
		err := c.portal.Credentials.Codes.Remove(c.Context(), req.Subject)
		if err == nil {
			out.Factors++
		} else if !errors.Is(err, identity.ErrNoDocument) {
			return err
		}
		if out.LoggedOut, err = h.endLogins(c.Context(), req.Subject, "an administrator has reset your second factor"); err != nil {
			return err
		}
		h.answer(c.w, http.StatusOK, out)
		return nil
	})
}
