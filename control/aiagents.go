package control

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/runbook"
)

// AIAgents says how AI agents come in.
type AIAgents struct {
	// URL is where the MCP server is: the audience of agents' tokens.
	URL string
	// Rows and Bytes bound what an agent is given of a result.
	Rows, Bytes int
	// Link is where a person finds a request; empty: nowhere. Nil: nowhere.
	Link func(request string) string
}

var errNoAgents = NotFound("this gateway serves no AI agents")

// notAnAgent is the answer to who shows anything but an agent's token.
const notAnAgent = "only the token of an AI agent counts here, which its human makes for this address"

// AIAgent is an AI agent that makes a request.
type AIAgent struct {
	Identity *proxy.Identity
	Portal   *Portal
	Remote   string

	handler *Handler
	secret  proxy.Secret
}

// AIAgents returns how AI agents come in now; nil: they do not.
func (h *Handler) AIAgents() *AIAgents { return h.portal().AIAgents }

// AIAgent finds out which agent makes a request. The error is an *Error, which was recorded and counted as a failed
// login is. A person's login, an access token and a certificate prove no agent.
func (h *Handler) AIAgent(w http.ResponseWriter, r *http.Request) (*AIAgent, error) {
	h.once.Do(h.route)
	p := h.portal()
	if p.AIAgents == nil {
		return nil, errNoAgents
	}
	if err := outdated(r, p.MinClient); err != nil {
		return nil, err
	}
	secret, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a := &AIAgent{Portal: p, Remote: r.RemoteAddr, handler: h, secret: proxy.NewSecret(secret)}
	err := proxy.ErrUnauthenticated
	if bearer && r.TLS != nil {
		a.Identity, err = p.agent(r.Context(), a.secret)
	}
	switch {
	case err == nil:
	case errors.Is(err, proxy.ErrUnauthenticated) && !errors.Is(err, proxy.ErrUnavailable):
		if d := h.limits.failed.take(r.RemoteAddr, time.Now()); d > 0 {
			return nil, wait(w, d)
		}
		h.event(proxy.EventLoginFailed, r, "", nil, err)
		return nil, &Error{http.StatusUnauthorized, CodeUnauthenticated, notAnAgent}
	default:
		h.log().Error("control: it could not be checked which agent asks", "err", err)
		return nil, errUnchecked
	}
	Proven(r)
	// All agents of one human have one rate.
	if d := h.limits.identity.take("agents of "+a.Identity.Person(), time.Now()); d > 0 {
		return nil, wait(w, d)
	}
	return a, nil
}

// agent is who a secret proves to the MCP server.
func (p *Portal) agent(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	if p.Tokens == nil || p.Identities == nil {
		return nil, proxy.ErrUnauthenticated
	}
	id, err := p.Tokens.FindAgent(ctx, p.AIAgents.URL, secret)
	if err != nil {
		return nil, err
	}
	return p.now(ctx, id)
}

// Ask makes a request for access of the agent. What is granted is never more than its token's scopes let it do.
func (a *AIAgent) Ask(ctx context.Context, req AccessRequest) (*review.Request, error) {
	h, access := a.handler, a.Portal.Access
	if access == nil || h.Requests == nil {
		return nil, errNoAccess
	}
	if req.BreakGlass || req.Extends != "" || req.Seconds < 0 || req.Seconds > maxAccess {
		return nil, badRequest("an agent asks for access to a resource, for at most a year")
	}
	ask, err := access.ask(ctx, a.Identity, a.Remote, &req)
	if err != nil {
		return nil, err
	}
	r, err := h.Requests.Ask(ctx, a.Identity, *ask)
	if err != nil {
		return nil, h.requestError(err)
	}
	return r, nil
}

// StartRun begins a run of a runbook, as the agent.
func (a *AIAgent) StartRun(ctx context.Context, q RunRequest) (*runbook.Run, error) {
	if err := a.handler.record(audit.Action{Type: audit.AdminRun, Action: "start", By: a.Identity, Reason: shortReason(q.Source + "/" + q.Name), Remote: a.Remote}); err != nil {
		return nil, err
	}
	return a.Portal.Runbooks.Start(ctx, a.Identity, q)
}
