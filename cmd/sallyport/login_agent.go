package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity/tokens"
)

// delegation says which AI agent is given a token of its own, and for what.
type delegation struct {
	name               string
	life               time.Duration
	actions, resources []string
}

// defaultDelegation is how long an agent's token is valid where nobody says otherwise: a working day.
const defaultDelegation = 8 * time.Hour

func addDelegation(f *pflag.FlagSet) *delegation {
	a := &delegation{}
	f.StringVar(&a.name, "agent", "", "print a token for the AI agent of this `name`, which acts for you by MCP and counts nowhere else; it has nothing to do with sallyport agent")
	f.DurationVar(&a.life, "for", defaultDelegation, "with --agent: how long it is valid, at most 30 days")
	f.StringSliceVar(&a.actions, "action", nil, "with --agent: only this `action` of access rules, such as read; several by commas")
	f.StringSliceVar(&a.resources, "resource", nil, "with --agent: only at this `resource`; several by commas")
	return a
}

// check returns why the flags do not go together.
func (a *delegation) check() error {
	switch {
	case a.name == "" && (len(a.actions)+len(a.resources) > 0 || a.life != defaultDelegation):
		return fail(exitUsage, "login: --for, --action and --resource are about the token of an agent: give --agent NAME")
	case len(a.resources) > 0 && len(a.actions) == 0:
		return fail(exitUsage, "login: --resource needs --action, which says what the agent may do there")
	}
	return nil
}

// delegate gives an agent a token, by the login that there is.
func (o *loginOptions) delegate(ctx context.Context, c *cli, args []string) error {
	if len(args) > 0 || o.device || o.workload != "" || o.user != "" || o.again {
		return fail(exitUsage, "login --agent is by the login of a profile: give --profile, and no URL, --user, --device, --workload or --step-up")
	}
	api, err := openAPI(o.profile)
	if err != nil {
		return err
	}
	req := control.TokenRequest{Label: "agent " + o.agent.name, Agent: o.agent.name, Seconds: int64(o.agent.life / time.Second)}
	if len(o.agent.actions) > 0 {
		req.Scopes = []tokens.Scope{{Resources: o.agent.resources, Actions: o.agent.actions}}
	}
	t, err := api.CreateToken(ctx, req)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.err, "the agent %s acts for %s at %s until %s; \"sallyport token revoke %s\" ends that. Its token is not shown again:\n",
		visible(t.Agent), visible(t.User), visible(t.Audience), t.Expires.Local().Format(time.DateTime), t.ID)
	fmt.Fprintln(c.out, t.Secret)
	return nil
}
