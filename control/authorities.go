package control

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
)

// AuthorityKey is a key of an authority that is trusted.
type AuthorityKey struct {
	ID          string    `json:"id"`
	Fingerprint string    `json:"fingerprint"`          // of its certificate: SHA-256, in hexadecimal; of an authority for SSH, of its key, as ssh-keygen has it
	PublicKey   string    `json:"public_key,omitempty"` // of an authority for SSH: a line of TrustedUserCAKeys
	From        time.Time `json:"from"`                 // when it begins to sign
	Until       time.Time `json:"until,omitzero"`
	Signs       bool      `json:"signs"` // now
}

// Authority is what signs certificates for one purpose: users, servers, agents, ssh-hosts or ssh-resources.
type Authority struct {
	Purpose string         `json:"purpose"`
	Keys    []AuthorityKey `json:"keys"` // the oldest first
}

// AuthorityList is the answer to GET /v1/authorities.
type AuthorityList struct {
	Authorities []Authority `json:"authorities"`
}

// RotateRequest is the body of POST /v1/authorities/{purpose}/rotate.
type RotateRequest struct {
	Announce int64  `json:"announce,omitempty"` // seconds until the new key signs; 0: as long as those who trust the authority take to learn of it
	Overlap  int64  `json:"overlap,omitempty"`  // seconds for which the key before is trusted after that; 0: the life of a certificate
	Now      bool   `json:"now,omitempty"`      // it signs at once: who has not heard of it is refused
	Reason   string `json:"reason"`
}

// maxRotation bounds both times of a rotation.
const maxRotation = 365 * 24 * time.Hour

func shownAuthority(a *ca.Authority) Authority {
	out := Authority{Purpose: string(a.Purpose()), Keys: []AuthorityKey{}}
	for _, k := range a.Keys() {
		out.Keys = append(out.Keys, AuthorityKey{k.ID, k.Fingerprint, k.PublicKey, k.From, k.End, k.Signs})
	}
	return out
}

var errNoAuthorities = NotFound("this gateway has no authorities of its own")

func (h *Handler) listAuthorities(c *call) error {
	if h.Authorities == nil {
		return errNoAuthorities
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "authorities", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list := AuthorityList{Authorities: []Authority{}}
	for _, a := range h.Authorities() {
		list.Authorities = append(list.Authorities, shownAuthority(a))
	}
	h.answer(c.w, http.StatusOK, list)
	return nil
}

func (h *Handler) rotateAuthority(c *call) error {
	var req RotateRequest
	if err := c.body(&req); err != nil {
		return err
	}
	if h.Authorities == nil {
		return errNoAuthorities
	}
	purpose, err := ca.ParsePurpose(c.PathValue("purpose"))
	if err != nil {
		return NotFound(err.Error())
	}
	announce, overlap, err := req.times(purpose)
	if err != nil {
		return err
	}
	var a *ca.Authority
	for _, one := range h.Authorities() {
		if one.Purpose() == purpose {
			a = one
		}
	}
	if a == nil {
		return NotFound("this gateway has no authority for " + string(purpose))
	}
	keys := a.Keys()
	if last := keys[len(keys)-1]; !last.Signs {
		return &Error{http.StatusConflict, CodeConflict, "another key is announced already: it signs from " + last.From.UTC().Format(time.RFC3339) + " on; replace it after that"}
	}
	what := "authority " + string(purpose) + ": announce " + announce.String() + ", overlap " + overlap.String() + ": " + req.Reason
	if err := h.record(audit.Action{Type: audit.AdminConfigure, Action: "rotate", By: c.who, Reason: what, Remote: c.RemoteAddr}); err != nil {
		return err
	}
	switch err := a.Rotate(c.Context(), announce, overlap); {
	case errors.Is(err, identity.ErrConflict):
		return &Error{http.StatusConflict, CodeConflict, "somebody else has just replaced the key: look at the authorities again"}
	case err != nil:
		return err
	}
	h.answer(c.w, http.StatusOK, shownAuthority(a))
	return nil
}

// times are those of the rotation.
func (r *RotateRequest) times(p ca.Purpose) (announce, overlap time.Duration, err error) {
	r.Reason = strings.TrimSpace(r.Reason)
	if r.Reason == "" || len(r.Reason) > maxReason {
		return 0, 0, badRequest("a reason is needed, of at most %d bytes", maxReason)
	}
	most := int64(maxRotation / time.Second)
	for name, n := range map[string]int64{"announce": r.Announce, "overlap": r.Overlap} {
		if n < 0 || n > most {
			return 0, 0, badRequest("%s: got %d seconds, want at most %d", name, n, most)
		}
	}
	announce, overlap = p.Announce(), p.Life()
	if r.Announce > 0 {
		announce = time.Duration(r.Announce) * time.Second
	}
	if r.Overlap > 0 {
		overlap = time.Duration(r.Overlap) * time.Second
	}
	if r.Now {
		if r.Announce > 0 {
			return 0, 0, badRequest("announce and now are both there, want one of them")
		}
		announce = 0
	}
	return announce, overlap, nil
}
