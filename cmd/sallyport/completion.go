package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
)

// completionCommand is "sallyport completion".
func completionCommand(c *cli) *cobra.Command {
	scripts := map[string]func(*cobra.Command) error{
		"bash":       func(r *cobra.Command) error { return r.GenBashCompletionV2(c.out, true) },
		"zsh":        func(r *cobra.Command) error { return r.GenZshCompletion(c.out) },
		"fish":       func(r *cobra.Command) error { return r.GenFishCompletion(c.out, true) },
		"powershell": func(r *cobra.Command) error { return r.GenPowerShellCompletionWithDesc(c.out) },
	}
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print what completes commands, flags and names in bash, zsh, fish or powershell",
		Example: example(
			"source <(sallyport completion bash)", "sallyport completion zsh > \"${fpath[1]}/_sallyport\"",
			"sallyport completion fish > ~/.config/fish/completions/sallyport.fish",
		),
		Args: atMost(1), ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || scripts[args[0]] == nil {
				return fail(exitUsage, "completion needs a shell: %s", anyOf(shells))
			}
			return scripts[args[0]](cmd.Root())
		},
	}
}

// patience is how long somebody who has pressed Tab waits.
const patience = 3 * time.Second

// offered is how many sessions are offered, the newest.
const offered = 50

// finder finds what a word may be, by the flags that the command line has so far.
type finder func(ctx context.Context, c *cli, f *pflag.FlagSet) ([]cobra.Completion, error)

// offers completes a command's first word, or each when all is set, with what find finds.
func offers(c *cli, find finder, all bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !all {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		list, err := find(ctx, c, cmd.Flags())
		if err != nil {
			fmt.Fprintln(c.err, "sallyport: "+err.Error()) // shells leave it out
			return nil, cobra.ShellCompDirectiveError
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlags has the flags of all commands that take names of things complete them.
func completeFlags(c *cli, cmd *cobra.Command) {
	finders := map[string]finder{"user": users, "resource": resources, "account": accounts, "group": groups, "profile": profileNames}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		var complete cobra.CompletionFunc
		if o, ok := f.Value.(*output); ok {
			complete = cobra.FixedCompletions(o.forms, cobra.ShellCompDirectiveNoFileComp)
		} else if find := finders[f.Name]; find != nil {
			complete = offers(c, find, true)
		} else if f.Name == "config" {
			complete = cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt)
		} else {
			return
		}
		if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
			panic(err) // a flag is completed twice
		}
	})
	for _, m := range cmd.Commands() {
		completeFlags(c, m)
	}
}

// configOf reads the config file that the command line names, and says nothing of
// problems: who completes a word does not check a file.
func configOf(f *pflag.FlagSet) (*config.File, error) {
	return gateway.Load(f.Lookup("config").Value.String(), configOptions())
}

func valueOf(f *pflag.FlagSet, name string) string {
	if flag := f.Lookup(name); flag != nil {
		return flag.Value.String()
	}
	return ""
}

// resources are those of the config file; with --user only what that user may connect to.
func resources(ctx context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	p, err := byProfile(valueOf(f, "config"), valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	if p != nil {
		list, err := p.resources(ctx)
		for _, r := range list {
			words = append(words, cobra.CompletionWithDesc(r.Name, r.Type))
		}
		return words, err
	}
	cfg, err := configOf(f)
	if err != nil {
		return nil, err
	}
	user := ""
	if flag := f.Lookup("user"); flag != nil && flag.Changed {
		user = flag.Value.String()
	}
	list, err := entries(cfg, user)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		words = append(words, cobra.CompletionWithDesc(e.Name, e.Type))
	}
	return words, nil
}

// profileNames are the logins of this machine.
func profileNames(context.Context, *cli, *pflag.FlagSet) ([]cobra.Completion, error) {
	return profiles()
}

// accessTokens are one's own.
func accessTokens(ctx context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	api, err := openAPI(valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := api.Tokens(ctx, false)
	for _, t := range list {
		words = append(words, cobra.CompletionWithDesc(t.ID, visible(t.Label)))
	}
	return words, err
}

// subjects are those of the gateway's users.
func subjects(ctx context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	api, err := openAPI(valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := api.Users(ctx)
	for _, u := range list {
		words = append(words, cobra.CompletionWithDesc(u.Subject, visible(u.Name)))
	}
	return words, err
}

// channels are those by which people are told of requests.
func channels(ctx context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	api, err := openAPI(valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := api.Channels(ctx)
	for _, s := range list {
		words = append(words, s.Name)
	}
	return words, err
}

// alertNames are the rules over events.
func alertNames(ctx context.Context, c *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	api, err := openControl(c, valueOf(f, "config"), valueOf(f, "socket"), valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := api.Alerts(ctx)
	for _, a := range list {
		words = append(words, a.Name)
	}
	return words, err
}

// hosts are the resources that are known by the key that they showed first.
func hosts(ctx context.Context, c *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	api, err := openControl(c, valueOf(f, "config"), valueOf(f, "socket"), valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := api.Hosts(ctx)
	for _, h := range list {
		words = append(words, cobra.CompletionWithDesc(h.Name, h.Key))
	}
	return words, err
}

// users are those of the config file.
func users(_ context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	cfg, err := configOf(f)
	if err != nil {
		return nil, err
	}
	for _, u := range cfg.Identity.Users {
		words = append(words, u.Name)
	}
	return words, nil
}

// groups are those of the config file's users.
func groups(_ context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	cfg, err := configOf(f)
	if err != nil {
		return nil, err
	}
	for _, u := range cfg.Identity.Users {
		words = append(words, u.Groups...)
	}
	slices.Sort(words)
	return slices.Compact(words), nil
}

// accounts are those of the resource that the command line names, or of all.
func accounts(ctx context.Context, _ *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	p, err := byProfile(valueOf(f, "config"), valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	if p != nil {
		list, err := p.resources(ctx)
		for _, r := range list {
			for _, a := range r.Accounts {
				if r.Name == f.Arg(0) {
					words = append(words, a)
				}
			}
		}
		return words, err
	}
	cfg, err := configOf(f)
	if err != nil {
		return nil, err
	}
	directory, err := cfg.Directory(ctx, nil)
	if err != nil {
		return nil, err
	}
	at := valueOf(f, "resource")
	if f.NArg() > 0 && at == "" {
		at = f.Arg(0)
	}
	for _, r := range directory {
		for _, a := range r.Accounts {
			if at == "" || r.Name == at {
				words = append(words, cobra.CompletionWithDesc(a.Name, r.Name))
			}
		}
	}
	return words, nil
}

// recordedSessions are the newest of the log.
func recordedSessions(_ context.Context, c *cli, f *pflag.FlagSet) ([]cobra.Completion, error) {
	a, err := openArchive(c, valueOf(f, "config"), valueOf(f, "audit-dir"))
	if err != nil {
		return nil, err
	}
	ids, err := a.Sessions()
	if err != nil {
		return nil, err
	}
	slices.Sort(ids) // as they began
	slices.Reverse(ids)
	return ids[:min(len(ids), offered)], nil
}

// openSessions are those of the running gateway.
func openSessions(ctx context.Context, c *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	gateway, err := openControl(c, valueOf(f, "config"), valueOf(f, "socket"), valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := gateway.Sessions(ctx)
	for _, s := range list {
		words = append(words, cobra.CompletionWithDesc(s.ID, visible(s.User+" at "+s.Resource)))
	}
	return words, err
}

// waitingRequests are those that the running gateway holds.
func waitingRequests(ctx context.Context, c *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	gateway, err := openControl(c, valueOf(f, "config"), valueOf(f, "socket"), valueOf(f, "profile"))
	if err != nil {
		return nil, err
	}
	list, err := gateway.Requests(ctx, false)
	for _, r := range list {
		words = append(words, cobra.CompletionWithDesc(r.ID, visible(r.Requester+" at "+r.Resource+": "+shortened(r.Text, 60))))
	}
	return words, err
}
