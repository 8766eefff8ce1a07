package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/identity/ca"
)

func agentCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{
			Use: "agent", GroupID: operatorGroup, Short: "Reach resources of private networks by agents that dial out",
			Long:    "An agent runs in the network of resources and opens connections to the gateway,\nwhich opens none to it. \"token\", \"ls\" and \"revoke\" are for the gateway's host,\n\"enrol\" and \"run\" for the agent's.",
			Example: example("sallyport agent token berlin > token", "sallyport agent enrol --gateway gw.example.com:8444 --token-file token", "sallyport agent run --allow 10.0.0.0/8:5432"),
		},
		agentTokenCommand(c), agentListCommand(c), agentRevokeCommand(c), agentEnrolCommand(c), agentRunCommand(c),
	)
}

// withAgents calls f with the agents of the gateway of a config file, whether it runs or not.
func withAgents(ctx context.Context, c *cli, file string, f func(*ca.Agents) error) error {
	cfg, err := load(c, file)
	if err != nil {
		return err
	}
	if cfg.Tunnel.Listen == "" {
		return fail(exitError, "%s has no tunnel.listen: no agent can connect to this gateway", file)
	}
	registry, closing, err := gateway.OpenAgents(ctx, cfg, gateway.Options{})
	if err != nil {
		return err
	}
	return errors.Join(f(registry), closing())
}

func agentTokenCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token NAME", Short: "Make a token by which one agent enrols, once",
		Long:    "Resources name the agent by \"via: NAME\". An agent that enrols takes the place\nof the one of its name.",
		Example: example("sallyport agent token berlin --for 15m > token"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	file := configFlag(f)
	life := f.Duration("for", time.Hour, "how long it is valid, at most a week")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "agent token needs the name that the agent gets")
		}
		if *life <= 0 || *life > ca.MaxTokenLife {
			return fail(exitUsage, "agent token: --for is up to %s, got %s", ca.MaxTokenLife, *life)
		}
		if err := ca.ValidAgent(args[0]); err != nil {
			return fail(exitUsage, "agent token: %v", err)
		}
		var t ca.AgentToken
		err := withAgents(ctx, c, *file, func(registry *ca.Agents) (err error) {
			t, err = registry.Token(ctx, ca.TokenRequest{Agent: args[0], By: control.Self(), For: *life})
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.err, "agent %s may enrol by this token until %s, once; it is not shown again:\n", t.Agent, localTime(t.Expires))
		fmt.Fprintln(c.out, t.Text)
		return nil
	})
	return cmd
}

// agentEntry is an agent as ls shows it.
type agentEntry struct {
	Name     string    `json:"name"`
	Enrolled time.Time `json:"enrolled"`
	By       string    `json:"by"`
	From     string    `json:"from"`
	Expires  time.Time `json:"expires"`
	Revoked  time.Time `json:"revoked,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

func agentListCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the agents that have enrolled",
		Example: example("sallyport agent ls", "sallyport agent ls --output wide"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file := configFlag(f)
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		var all []ca.AgentStatus
		err := withAgents(ctx, c, *file, func(registry *ca.Agents) (err error) {
			all, err = registry.List(ctx)
			return err
		})
		if err != nil {
			return err
		}
		var list []agentEntry
		for _, a := range all {
			list = append(list, agentEntry{a.Name, a.Enrolled, a.By, a.From, a.Expires, a.Revoked, a.Reason})
		}
		return printList(
			c.out, output, "Agent", list,
			column[agentEntry]{"AGENT", false, func(a agentEntry) string { return a.Name }},
			column[agentEntry]{"ENROLLED", false, func(a agentEntry) string { return localTime(a.Enrolled) }},
			column[agentEntry]{"FROM", true, func(a agentEntry) string { return visible(a.From) }},
			column[agentEntry]{"BY", true, func(a agentEntry) string { return visible(a.By) }},
			column[agentEntry]{"CERTIFICATE UNTIL", false, func(a agentEntry) string { return localTime(a.Expires) }},
			column[agentEntry]{"REVOKED", false, func(a agentEntry) string { return localTime(a.Revoked) }},
			column[agentEntry]{"REASON", true, func(a agentEntry) string { return visible(a.Reason) }},
		)
	})
	return cmd
}

func agentRevokeCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "End an agent's connections, and have its certificate count no more",
		Long:    "Running gateways end what is open within a second. The agent can enrol again by\nanother token.",
		Example: example("sallyport agent revoke berlin --reason \"its machine was replaced\""),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	file := configFlag(f)
	reason := f.String("reason", "", "why, in a few `words`")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "agent revoke needs an agent; \"sallyport agent ls\" lists them")
		}
		err := withAgents(ctx, c, *file, func(registry *ca.Agents) error {
			err := registry.Revoke(ctx, ca.Revocation{Agent: args[0], By: control.Self(), Reason: *reason})
			if errors.Is(err, ca.ErrNoAgent) {
				return fail(exitNotFound, "%v; \"sallyport agent ls\" lists those that have", err)
			}
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "agent %s is revoked\n", visible(args[0]))
		return nil
	})
	return cmd
}
