package control

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Hosts are resources that are known by the key that they showed when they were first reached. What they refuse they tell by an
// [Error].
type Hosts interface {
	List(ctx context.Context) ([]Host, error)
	// Forget has all gateways forget the keys by which a resource is known, once record returns nil for their fingerprints.
	Forget(ctx context.Context, resource, by, reason string, record func(keys []string) error) (*Host, error)
}

// Host is a resource that is known by the key that it showed when it was first reached. Keys are told by their fingerprints.
type Host struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	// Key is the one that counts for all gateways. Empty: the next that the resource shows is trusted.
	Key     string    `json:"key,omitempty"`
	Trusted time.Time `json:"trusted,omitzero"` // since when
	// Here is the key that this gateway knows, where that is another: then it does not connect.
	Here      string         `json:"here,omitempty"`
	Forgotten []ForgottenKey `json:"forgotten,omitempty"` // the latest last
	Error     string         `json:"error,omitempty"`     // why it is not known which key counts
}

// ForgottenKey is a key by which a resource is not known any more.
type ForgottenKey struct {
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// HostList is the answer to GET /v1/hosts.
type HostList struct {
	Hosts []Host `json:"hosts"`
}

var errNoHosts = NotFound("this gateway keeps no keys of hosts")

func (h *Handler) listHosts(c *call) error {
	if h.Hosts == nil {
		return errNoHosts
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "hosts", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list, err := h.Hosts.List(c.Context())
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, HostList{append([]Host{}, list...)})
	return nil
}

func (h *Handler) forgetHost(c *call) error {
	var req ReasonRequest
	if err := c.body(&req); err != nil {
		return err
	}
	reason, err := line("reason", req.Reason)
	if err != nil {
		return err
	}
	if h.Hosts == nil {
		return errNoHosts
	}
	name := c.PathValue("name")
	host, err := h.Hosts.Forget(c.Context(), name, c.who.Subject, reason, func(keys []string) error {
		what := strings.Join(append([]string{"host " + name}, keys...), " ") + ": " + reason
		return h.record(audit.Action{Type: audit.AdminConfigure, Action: "forget", By: c.who, Reason: what, Remote: c.RemoteAddr})
	})
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, host)
	return nil
}
