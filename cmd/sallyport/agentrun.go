package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/internal/systemd"
	"github.com/sallyport/sallyport/proxy/tunnel"
	"github.com/sallyport/sallyport/proxy/tunnel/websocket"
)

// agentFlags are those of commands on the agent's host.
type agentFlags struct {
	file, proxy, websocket, token *string
	gateways                      *[]string
}

func newAgentFlags(f *pflag.FlagSet) *agentFlags {
	return &agentFlags{
		file:      envFlag(f, "file", "", "SALLYPORT_AGENT_FILE", "agent.json", "`file` with the agent's certificate and key; $SALLYPORT_AGENT_FILE"),
		proxy:     envFlag(f, "proxy", "", "SALLYPORT_AGENT_PROXY", "", "`URL` of a proxy on the way to gateways: http, https (CONNECT) or socks5; $SALLYPORT_AGENT_PROXY, which others cannot see when it holds a password"),
		websocket: f.String("websocket", "", "`URL` of a WebSocket that carries the connections where only HTTP passes, such as wss://gw.example.com"),
		token:     f.String("token-file", "", "`file` with the token; without it $SALLYPORT_AGENT_TOKEN, or the standard input"),
		gateways:  f.StringArray("gateway", nil, "`address` of a gateway's listener for agents; several by repeating it"),
	}
}

// dial is how gateways are connected to.
func (a *agentFlags) dial() (dial tunnel.DialFunc, err error) {
	if *a.proxy != "" {
		u, err := url.Parse(*a.proxy)
		if err != nil {
			return nil, fail(exitUsage, "--proxy is not a URL") // it may hold a password
		}
		if dial, err = tunnel.Through(u, nil); err != nil {
			return nil, fail(exitUsage, "--proxy: %v", err)
		}
	}
	if *a.websocket == "" {
		return dial, nil
	}
	u, err := url.Parse(*a.websocket)
	if err != nil {
		return nil, fail(exitUsage, "--websocket: %v", err)
	}
	if dial, err = (websocket.Dialer{Dial: dial}).DialFunc(u); err != nil {
		return nil, fail(exitUsage, "--websocket: %v", err)
	}
	return dial, nil
}

// enrol uses up a token, and keeps what it gives. text is empty where the token is asked for.
func (a *agentFlags) enrol(ctx context.Context, c *cli, text string) (*tunnel.Identity, error) {
	if len(*a.gateways) != 1 {
		return nil, fail(exitUsage, "an agent enrols at one gateway: give --gateway HOST:PORT once")
	}
	if _, err := os.Lstat(*a.file); err == nil {
		return nil, fail(exitError, "%s is there already: this machine has enrolled. Remove the file to enrol it anew", *a.file)
	}
	dial, err := a.dial()
	if err != nil {
		return nil, err
	}
	if text == "" || *a.token != "" {
		if text, err = c.prompter().secret(*a.token, "token: "); err != nil {
			return nil, err
		}
	}
	token, err := tunnel.ParseToken(text)
	if err != nil {
		return nil, fail(exitUsage, "%v", err)
	}
	id, err := tunnel.Enrolment{Gateway: (*a.gateways)[0], Token: token, Program: versionText(), Dial: dial}.Enrol(ctx)
	if err != nil {
		return nil, err
	}
	if len(id.Gateways) == 0 {
		id.Gateways = *a.gateways
	}
	return id, tunnel.File(*a.file).Save(id)
}

// tokenVariable is the environment variable that may hold a token.
const tokenVariable = "SALLYPORT_AGENT_TOKEN"

func agentEnrolCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "enrol", Short: "Make this machine an agent, by a token",
		Long:    "The gateway is known by the token: what it shows has to be of the authority\nthat the token was made at. The key is made here, and stays here.",
		Example: example("sallyport agent enrol --gateway gw.example.com:8444 --token-file token"),
		Args:    atMost(0),
	}
	flags := newAgentFlags(cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		id, err := flags.enrol(ctx, c, os.Getenv(tokenVariable))
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "this machine is agent %s; its certificate is valid until %s and is renewed by \"sallyport agent run\"\n", visible(id.Agent), localTime(id.Certificate.Leaf.NotAfter))
		return nil
	})
	return cmd
}

func agentRunCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Connect to resources of this network for the gateways",
		Long: "Connects to what --allow names, and to nothing else: networks with or without\nports. Names of resources are resolved first. Addresses of this machine and of\nits link need a rule of their own. When no file is there and a token is, it\nenrols first.",
		Example: example("sallyport agent run --file agent.json --allow 10.0.0.0/8:5432,3306",
			"sallyport agent run --allow 10.0.0.0/8 --proxy http://proxy.internal:3128"),
		Args: atMost(0),
	}
	f := cmd.Flags()
	flags := newAgentFlags(f)
	rules := f.StringArray("allow", nil, "`network` that it may connect to, such as 10.0.0.0/8:5432,3306 or [2001:db8::]/32:22; several by repeating it")
	drain := f.Duration("drain", 10*time.Second, "how long open sessions may go on when it is told to stop")
	most := f.Int("max-sessions", 4096, "how many connections to resources it has at one time")
	verbose := f.BoolP("verbose", "v", false, "log more")
	format := f.String("log-format", "text", "`format` of the log: text or json")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		log, err := logger(c, *format, *verbose)
		if err != nil {
			return err
		}
		if len(*rules) == 0 {
			return fail(exitUsage, "agent run needs --allow: without it the agent connects to nothing")
		}
		if *drain < 0 || *most < 1 {
			return fail(exitUsage, "agent run: want a --drain of 0s or more and --max-sessions of 1 or more, got %s and %d", *drain, *most)
		}
		allow, err := tunnel.ParseAllow(*rules...)
		if err != nil {
			return fail(exitUsage, "agent run: %v", err)
		}
		dial, err := flags.dial()
		if err != nil {
			return err
		}
		if err := hideMemory(); err != nil {
			return err
		}
		token := os.Getenv(tokenVariable)
		if _, err := os.Lstat(*flags.file); errors.Is(err, fs.ErrNotExist) && (token != "" || *flags.token != "") {
			id, err := flags.enrol(ctx, c, token)
			if err != nil {
				return err
			}
			log.Info("this machine has enrolled", "agent", id.Agent, "file", *flags.file)
		}
		host, err := os.Hostname()
		if err != nil {
			log.Debug("the machine's name is not known", "err", err)
		}
		a := &tunnel.Agent{
			Keeper: tunnel.File(*flags.file), Gateways: *flags.gateways, Allow: allow, Dial: dial, Program: versionText(), Host: host, Log: log,
			MaxSessions: *most, DrainTimeout: max(*drain, time.Millisecond),
		}
		systemd.Started(log)
		stop := context.AfterFunc(ctx, func() { systemd.Stopping(log) })
		defer stop()
		err = a.Run(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return fail(exitNotFound, "%v; enrol this machine first: sallyport agent enrol", err)
		}
		return err
	})
	return cmd
}
