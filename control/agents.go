package control

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Agent is an agent that dials out, as it is kept and as this gateway sees it.
type Agent struct {
	Name     string    `json:"name"`
	Enrolled time.Time `json:"enrolled"`
	By       string    `json:"by"`   // who has made its token
	From     string    `json:"from"` // the address that it has enrolled from
	Expires  time.Time `json:"expires"`
	Revoked  time.Time `json:"revoked,omitzero"`
	Reason   string    `json:"reason,omitempty"` // why it was revoked

	Connected bool      `json:"connected"`        // to this gateway
	Since     time.Time `json:"since,omitzero"`   // of that; when it ended, where it is not connected
	Heard     time.Time `json:"heard,omitzero"`   // when it last said that it is there
	Remote    string    `json:"remote,omitempty"` // where it is connected from
	Program   string    `json:"program,omitempty"`
	Host      string    `json:"host,omitempty"`
	Sessions  int       `json:"sessions"` // open connections to resources, of this gateway
}

// AgentList is the answer to GET /v1/agents.
type AgentList struct {
	Agents []Agent `json:"agents"`
}

func (h *Handler) listAgents(c *call) error {
	if h.Agents == nil {
		return NotFound("no agents can connect to this gateway: its configuration has no tunnel")
	}
	if err := h.record(audit.Action{Type: audit.AdminConfiguration, By: c.who, Reason: "agents", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	list, err := h.Agents(c.Context())
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, AgentList{append([]Agent{}, list...)})
	return nil
}
