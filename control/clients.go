package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// Clients opens what somebody works with in a browser: as a client of the gateway's own, who
// comes in by the protocol's handler and the whole chain. It is safe for concurrent use.
type Clients interface {
	// Terminal opens a terminal. The error wraps proxy.ErrNotFound where there is no such resource, or
	// it has no terminals. ctx bounds the opening, and the terminal goes on until it is closed.
	Terminal(ctx context.Context, client *proxy.Client, t ClientTarget, q protocol.TerminalRequest) (protocol.Terminal, error)
	// Files begins a session that moves files, in the same way.
	Files(ctx context.Context, client *proxy.Client, t ClientTarget, q protocol.FilesRequest) (protocol.Files, error)
	// Database begins a session at a database, in the same way.
	Database(ctx context.Context, client *proxy.Client, t ClientTarget, q protocol.DatabaseRequest) (protocol.Database, error)
	// Command runs a command line, and returns its exit status. The end of ctx ends it.
	Command(ctx context.Context, client *proxy.Client, t ClientTarget, q protocol.CommandRequest) (int, error)
	// UndoText is the statement that undoes, at a resource, what i is of, for a client that does that.
	UndoText(resource string, i *proxy.Image) (string, error)
}

// ClientTarget is where a client of the gateway's own goes. The user of its requests is filled in.
type ClientTarget struct {
	Resource, Account string
	Remote            net.Addr // of the browser
}

// via is how clients of the API came, in records.
const via = "console"

var errNoClient = NotFound("there is no resource of this name that you may connect to in the browser")

// Frames that the server sends for terminals and databases.

// socketSession says which session a client has.
type socketSession struct {
	Type     string    `json:"type"` // session
	Session  string    `json:"session"`
	Resource string    `json:"resource"`
	Account  string    `json:"account,omitempty"`
	Database string    `json:"database,omitempty"`
	Start    time.Time `json:"start"`
	Deadline time.Time `json:"deadline,omitzero"`
}

func sessionFrame(s *proxy.Session) socketSession {
	v := describe(s)
	out := socketSession{Type: "session", Session: v.ID, Resource: v.Resource, Account: v.Account, Database: v.Database, Start: v.Start}
	if v.Deadline != nil {
		out.Deadline = *v.Deadline
	}
	return out
}

// socketHeld says that an operation waits for an approval.
type socketHeld struct {
	Type     string    `json:"type"` // held
	Request  string    `json:"request,omitempty"`
	Message  string    `json:"message,omitempty"`
	Link     string    `json:"link,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
}

func heldFrame(p *proxy.Pending) socketHeld {
	return socketHeld{"held", p.ID, p.Message, p.Link, p.Deadline}
}

// socketEnded says why there is nothing more.
type socketEnded struct {
	Type   string `json:"type"` // ended
	Reason string `json:"reason,omitempty"`
	Status *int   `json:"status,omitempty"`
}

// endReason is why a session has ended, for its user; empty is an ordinary end.
func endReason(s *proxy.Session) string {
	if s == nil {
		return ""
	}
	err := context.Cause(s.Context())
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, proxy.ErrClientLeft) {
		return ""
	}
	return err.Error()
}

// clientsOf returns what opens clients, for who may have one.
func (c *call) clients() (Clients, error) {
	if c.portal.Clients == nil {
		return nil, errNoClient
	}
	if !validName(c.PathValue("name")) {
		return nil, errNoClient
	}
	return c.portal.Clients, nil
}

// ValidTarget reports whether names of a resource, and of an account of it or "", can be parts of a login.
func ValidTarget(resource, account string) bool {
	return validName(resource) && (account == "" || validName(account))
}

// validName reports whether a name can be a part of a login.
func validName(name string) bool {
	l, err := proxy.ParseLogin("user+" + name)
	return err == nil && l.Resource == name && l.Account == ""
}

// openError is why a client could not be opened, as the API tells it.
func (h *Handler) openError(err error) *Error {
	var told *Error
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, proxy.ErrNotFound):
		return errNoClient
	}
	return &Error{http.StatusServiceUnavailable, CodeUnavailable, err.Error()}
}
