package mcp

import (
	"context"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/protocol"
)

type execInput struct {
	Resource string `json:"resource"`
	Account  string `json:"account"`
	Command  string `json:"command"`
}

// errMuch ends a command that prints more than is read of it.
var errMuch = errors.New("the command prints more than 64 MiB: it was ended")

// execute runs a command line at a host.
func execute(ctx context.Context, a *control.AIAgent, in execInput) (*answer, error) {
	if in.Resource == "" || strings.TrimSpace(in.Command) == "" {
		return nil, errors.New("exec: resource and command are needed")
	}
	v := &visit{agent: a, resource: in.Resource}
	if a.Portal.Clients == nil || !control.ValidTarget(in.Resource, in.Account) {
		return v.over(errNoResource), nil
	}
	room, passed, cut := a.Portal.AIAgents.Bytes, 0, false
	var out, bad strings.Builder
	status, err := a.Portal.Clients.Command(ctx, v.client(), v.target(in.Account), protocol.CommandRequest{Line: in.Command, Output: func(b []byte, stderr bool) error {
		if passed += len(b); passed > maxPassedBytes {
			return errMuch
		}
		keep := b[:min(len(b), room)]
		room -= len(keep)
		cut = cut || len(keep) < len(b)
		if stderr {
			bad.Write(keep)
		} else {
			out.Write(keep)
		}
		return nil
	}})
	if a := v.decided(); a != nil {
		return a, nil
	}
	if err != nil {
		return v.over(err), nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return &answer{Status: statusOK, Untrusted: true, Session: v.session, Exit: &status, Output: shown(out.String()), Errors: shown(bad.String()), Cut: cut, Masked: v.masked}, nil
}
