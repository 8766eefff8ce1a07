package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

func policyCommand(c *cli) *cobra.Command {
	return family(&cobra.Command{
		Use: "policy", GroupID: operatorGroup, Short: "Explain what a statement would do and which rule answers; test rules; replay recorded operations",
		Example: example("sallyport policy explain -- 'DELETE FROM orders'", "sallyport policy test cases.yaml"),
	}, policyExplainCommand(c), policyTestCommand(c), policyReplayCommand(c))
}

// asked is what the flags of a command say: the rules, who, where, when.
type asked struct {
	*judge
	config                            *config.File
	user, resource, account, database string
	login                             login
	words                             []string
}

// login is how a user is taken to have logged in.
type login struct {
	Method string        `yaml:"method"` // empty is not known
	Age    time.Duration `yaml:"login_age"`
	From   string        `yaml:"from"` // an address; empty is not known
}

// or is l, with what it does not say from def.
func (l login) or(def login) login {
	return login{cmp.Or(l.Method, def.Method), cmp.Or(l.Age, def.Age), cmp.Or(l.From, def.From)}
}

// who is a user of the file who has logged in so, at the time that is asked about, and from where.
func (a *asked) who(name string, l login) (*proxy.Identity, net.Addr, error) {
	id, err := a.User(name)
	if err != nil {
		return nil, nil, found(err)
	}
	known := l.Method == ""
	if !known {
		id.Method, known = proxy.ParseMethod(l.Method)
	}
	if !known {
		return nil, nil, fail(exitUsage, "unknown method of login %q: want one of %s", l.Method, strings.Join(proxy.MethodNames(), ", "))
	}
	now := a.at
	if now.IsZero() {
		now = time.Now()
	}
	id.AuthTime = now.Add(-l.Age)
	if l.From == "" {
		return id, nil, nil
	}
	from, err := netip.ParseAddr(l.From)
	if err != nil {
		return nil, nil, fail(exitUsage, "%q is not an address: write it as 10.1.2.3", l.From)
	}
	return id, net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), nil
}

// policyFlags adds the flags that name the rules, who, where and when, and returns what
// opens a judge by them.
func policyFlags(c *cli, f *pflag.FlagSet) func(words []string) (*asked, error) {
	file := configFlag(f)
	a := &asked{}
	f.StringVarP(&a.user, "user", "u", "", "as this `user`; empty is the first")
	f.StringVarP(&a.resource, "resource", "r", "", "at this `resource`; empty is the first")
	f.StringVarP(&a.account, "account", "a", "", "as this `account` of the resource; empty is its first")
	f.StringVarP(&a.database, "database", "d", "", "in this `database`; empty is the resource's")
	dialect := f.String("dialect", "postgres", "read statements as `postgres` or mysql do")
	at := f.String("at", "", "at this `time`, such as 2026-05-04T22:30:00Z; empty is now")
	f.StringVar(&a.login.Method, "method", "", "the user has logged in by this `method`, such as certificate; empty is not known")
	f.DurationVar(&a.login.Age, "login-age", 0, "and so long ago, a `time` such as 2h")
	f.StringVar(&a.login.From, "from", "", "the client is at this `address`; empty is not known")
	rows, cost := f.String("rows", "", "the server would expect this `number` of rows"), f.String("cost", "", "the server would expect this `cost`")
	return func(words []string) (*asked, error) {
		cfg, err := load(c, *file)
		if err != nil {
			return nil, err
		}
		a.config = cfg
		if a.judge, err = newJudge(c, cfg); err != nil {
			return nil, err
		}
		if err := a.speak(*dialect); err != nil {
			return nil, err
		}
		if a.user == "" && len(cfg.Identity.Users) > 0 {
			a.user = cfg.Identity.Users[0].Name
		}
		if a.resource == "" && len(cfg.Resources) > 0 {
			a.resource = cfg.Resources[0].Name
		}
		if *at != "" {
			if a.at, err = time.Parse(time.RFC3339, *at); err != nil {
				return nil, fail(exitUsage, "--at: %q is not a time: write it as 2026-05-04T22:30:00Z", *at)
			}
		}
		if a.given.rows, err = number(*rows); err != nil {
			return nil, err
		}
		if a.given.cost, err = number(*cost); err != nil {
			return nil, err
		}
		a.words = words
		return a, nil
	}
}

func policyExplainCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain -- TEXT", Short: "Say what a statement or a command would do, and which rule answers",
		Example: example("sallyport policy explain --user alice -- 'DELETE FROM orders'", "sallyport policy explain --resource vm1 -- rm -rf /srv"),
	}
	verbatim(cmd)
	open := policyFlags(c, cmd.Flags())
	trace := cmd.Flags().Bool("trace", false, "print the steps by which a policy in Rego comes to its answer; they show values")
	cmd.RunE = does(func(ctx context.Context, words []string) error {
		a, err := open(words)
		if err != nil {
			return err
		}
		a.trace = *trace
		text := strings.Join(a.words, " ")
		if text == "" {
			return fail(exitUsage, "policy explain needs a statement, or a command for an ssh resource: sallyport policy explain -- 'SELECT 1'")
		}
		defer a.Close()
		target, err := a.Target(a.resource, a.account, a.database)
		if err != nil {
			return found(err)
		}
		id, from, err := a.who(a.user, a.login)
		if err != nil {
			return err
		}
		v, err := a.ask(ctx, gateway.Question{Identity: id, From: from, Target: target, Text: text})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s at %s\n", a.user, a.resource)
		if v.Facts != nil {
			explainFacts(c.out, v.Facts)
		}
		for _, n := range v.Notes {
			switch n.Kind {
			case proxy.NoteAnswered, proxy.NoteObserved:
				fmt.Fprintf(c.out, "%-12s %s %s\n", n.By, n.Rule, n.Text)
			case proxy.NoteColumn:
				fmt.Fprintf(c.out, "%-12s %s\n", n.By, visible(n.Text))
			}
		}
		if asks := v.Asks.String(); asks != "" {
			fmt.Fprintf(c.out, "in return    %s\n", visible(asks))
		}
		for line := range strings.Lines(v.Trace) {
			fmt.Fprintf(c.out, "trace        %s\n", visible(strings.TrimSuffix(line, "\n")))
		}
		if v.TraceErr != nil {
			fmt.Fprintf(c.out, "trace        %s\n", visible(v.TraceErr.Error()))
		}
		fmt.Fprintf(c.out, "answer       %s\n", describe(v))
		if code := exit(v); code != exitOK {
			return fail(code, "")
		}
		return nil
	})
	return cmd
}

func describe(v *gateway.Answer) string {
	switch v.Outcome() {
	case gateway.Hold:
		return "held for an approval: " + v.Reason + " (rule " + v.Rule + ")"
	case gateway.Deny:
		text := "refused by " + cmp.Or(v.By, "the gateway") + ": " + v.Message()
		if v.Remedy != "" {
			text += "\n             " + v.Remedy
		}
		return text
	case gateway.Rewrite:
		return "allowed as: " + visible(v.Rewritten) + "\n             " + v.Warn
	case gateway.Warn:
		return "allowed, with the warning: " + v.Warn
	}
	return "allowed"
}

func explainFacts(w io.Writer, f *proxy.Facts) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, visible(value))
		}
	}
	line("effects", f.Effects.String())
	line("unknown", f.Unknown)
	if f.Statements != 1 {
		line("statements", fmt.Sprint(f.Statements))
	}
	for _, r := range f.Relations {
		name := r.Name
		if r.Schema != "" {
			name = r.Schema + "." + name
		}
		line("relation", name+": "+r.Effects.String())
	}
	for _, fn := range f.Functions {
		class := map[proxy.FunctionClass]string{
			proxy.FunctionUnknown: "not known", proxy.FunctionHarmless: "harmless", proxy.FunctionReads: "reads", proxy.FunctionWrites: "writes",
			proxy.FunctionOutside: "reaches outside", proxy.FunctionSettings: "changes settings", proxy.FunctionAdmin: "administers the server",
		}[fn.Class]
		line("function", strings.TrimPrefix(fn.Schema+"."+fn.Name, ".")+": "+class)
	}
	for _, s := range f.Settings {
		line("setting", s.Name+" = "+s.Value)
	}
	if f.Unfiltered != 0 {
		line("every row", f.Unfiltered.String())
	}
	line("normalised", f.Normalised)
}
