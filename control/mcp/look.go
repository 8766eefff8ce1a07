package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/runbook"
)

// errNoResource says that there is nothing of this kind for the agent.
var errNoResource = proxy.ErrNotFound

// Bounds of lists.
const (
	maxPlaces = 500
	maxTables = 500
)

type place struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Accounts []string          `json:"accounts,omitempty"`
	Database string            `json:"database,omitempty"`
	Request  bool              `json:"request,omitempty"` // access has to be asked for first
	Labels   map[string]string `json:"labels,omitempty"`
}

type book struct {
	Source string `json:"source"`
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
}

// listResources lists what the agent may reach.
func listResources(ctx context.Context, a *control.AIAgent, _ struct{}) (*answer, error) {
	out := &answer{Status: statusOK}
	if a.Portal.Resources != nil {
		list, err := a.Portal.Resources.Resources(ctx, a.Identity)
		if err != nil {
			return nil, errInside
		}
		out.Cut = len(list) > maxPlaces
		for _, r := range list[:min(len(list), maxPlaces)] {
			out.Resource = append(out.Resource, place{r.Name, r.Type, r.Accounts, r.Database, r.Request, r.Labels})
		}
	}
	if a.Portal.Runbooks != nil {
		list, err := a.Portal.Runbooks.List(ctx, a.Identity)
		if err != nil {
			return nil, errInside
		}
		out.Cut = out.Cut || len(list) > maxPlaces
		for _, b := range list[:min(len(list), maxPlaces)] {
			if b.Problem == "" {
				out.Runbooks = append(out.Runbooks, book{b.Source, b.Name, plain(b.Title)})
			}
		}
	}
	return out, nil
}

var errInside = errors.New("something went wrong; ask the gateway's operator")

type describeInput struct {
	Resource string `json:"resource"`
	Account  string `json:"account"`
	Database string `json:"database"`
	Schema   string `json:"schema"`
	Table    string `json:"table"`
}

type table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

// describe lists relations, or the columns of one.
func describe(ctx context.Context, a *control.AIAgent, in describeInput) (*answer, error) {
	if in.Resource == "" {
		return nil, errors.New("describe: resource is needed")
	}
	v := &visit{agent: a, resource: in.Resource}
	w, err := v.database(ctx, in.Account, in.Database)
	if err != nil {
		return v.over(err), nil
	}
	defer w.Close()
	out := &answer{Status: statusOK, Untrusted: true, Session: v.session}
	if in.Table == "" {
		var list []protocol.Relation
		list, err = w.Relations(ctx, maxTables+1)
		out.Cut = len(list) > maxTables
		for _, r := range list[:min(len(list), maxTables)] {
			out.Tables = append(out.Tables, table{plain(r.Schema), plain(r.Name), r.Kind})
		}
	} else {
		var list []protocol.RelationColumn
		list, err = w.Columns(ctx, cmp.Or(in.Schema, "public"), in.Table)
		out.Cut = len(list) > maxColumns
		for _, c := range list[:min(len(list), maxColumns)] {
			out.Columns = append(out.Columns, column{plain(c.Name), c.Type, c.NotNull, c.Key})
		}
	}
	if err != nil {
		return v.over(err), nil
	}
	return out, nil
}

type accessInput struct {
	Resource string   `json:"resource"`
	Account  string   `json:"account"`
	Reason   string   `json:"reason"`
	Actions  []string `json:"actions"`
	Seconds  int64    `json:"seconds"`
}

// requestAccess asks a person for access.
func requestAccess(ctx context.Context, a *control.AIAgent, in accessInput) (*answer, error) {
	r, err := a.Ask(ctx, control.AccessRequest{Resource: in.Resource, Account: in.Account, Reason: in.Reason, Actions: in.Actions, Seconds: in.Seconds})
	if err != nil {
		return nil, err
	}
	return asked(a, r), nil
}

type runbookInput struct {
	Source  string                     `json:"source"`
	Name    string                     `json:"name"`
	Params  map[string]json.RawMessage `json:"params"`
	Targets map[string][]string        `json:"targets"`
	Plan    string                     `json:"plan"`
	Run     string                     `json:"run"`
}

// runRunbook runs a runbook, or says how a run is doing.
func runRunbook(ctx context.Context, a *control.AIAgent, in runbookInput) (*answer, error) {
	books := a.Portal.Runbooks
	if books == nil {
		return nil, control.NotFound("the gateway has no runbooks")
	}
	if in.Run != "" {
		r, err := books.Run(ctx, in.Run)
		if err == nil && (r.Requester != a.Identity.Subject || r.For != a.Identity.OnBehalfOf) {
			err = runbook.ErrNoRun
		}
		if err != nil {
			return nil, control.RunbookError(err)
		}
		return &answer{Status: statusOK, Untrusted: true, Run: r}, nil
	}
	q := control.RunRequest{Source: in.Source, Name: in.Name, Params: in.Params, Targets: in.Targets, Plan: in.Plan}
	if in.Plan == "" {
		p, err := books.Plan(ctx, a.Identity, q)
		if err != nil {
			return nil, control.RunbookError(err)
		}
		if p.Writes {
			return &answer{Status: statusPlan, Untrusted: true, Plan: p.Plan.Digest, Text: shown(p.Text), Next: "Call again with this plan to run it."}, nil
		}
	}
	r, err := a.StartRun(ctx, q)
	if err != nil {
		return nil, control.RunbookError(err)
	}
	return &answer{Status: statusOK, Untrusted: true, Run: r, Next: "Call again with run set to its id, to see how it is doing."}, nil
}
