package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control/mcp"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// aiAgentVariable is the environment variable that may hold the token of an AI agent.
const aiAgentVariable = "SALLYPORT_AGENT"

// mcpOptions are the flags of mcp.
type mcpOptions struct{ profile, gateway, ca, token *string }

func mcpCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "mcp", GroupID: everydayGroup, Short: "Serve an AI agent's program by standard input and output",
		Long:    "Programs of AI agents run it where they cannot reach the gateway's MCP server by HTTP, or do not know its authority. It shows the gateway the agent's own token, of \"sallyport login --agent NAME\", and never your login. It takes the token from $" + aiAgentVariable + " or a file.",
		Example: example("sallyport mcp", "sallyport mcp --token-file ~/.config/coder.token", "sallyport mcp --gateway https://gw.example.com:8443 --ca ca.pem"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	o := &mcpOptions{
		profile: profileFlag(f),
		gateway: f.String("gateway", "", "the gateway's `URL`; without it, that of the profile"),
		ca:      f.String("ca", "", "with --gateway: `file` of the authority by which it is known; without it, the system's"),
		token:   f.String("token-file", "", "`file` with the agent's token, which nobody else may read; without it $"+aiAgentVariable),
	}
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		b, err := o.bridge()
		if err != nil {
			return err
		}
		b.Failed = func(err error) { fmt.Fprintln(c.err, "mcp:", visible(err.Error())) }
		return b.Run(ctx, c.in, c.out)
	})
	return cmd
}

// bridge makes what hands messages over.
func (o *mcpOptions) bridge() (*mcp.Bridge, error) {
	secret, err := o.secret()
	if err != nil {
		return nil, err
	}
	at, pem, err := o.server()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fail(exitUsage, "mcp: the gateway's address is %q, want https://HOST:PORT", at)
	}
	own := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem != "" {
		own.RootCAs = x509.NewCertPool()
		if !own.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, fail(exitUsage, "mcp: the authority's file holds no certificate")
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = own
	return &mcp.Bridge{
		URL: strings.TrimSuffix(at, "/") + mcp.Path, Token: secret,
		HTTP: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it leads elsewhere, where the token does not go")
		}},
	}, nil
}

// server is where the gateway is, and by which authority it is known; empty: the system's.
func (o *mcpOptions) server() (at, pem string, err error) {
	if *o.gateway == "" {
		if *o.ca != "" {
			return "", "", fail(exitUsage, "mcp: --ca goes with --gateway")
		}
		p, err := openProfile(*o.profile)
		if err != nil {
			return "", "", err
		}
		pem, err = p.authorities()
		return p.URL, pem, err
	}
	if *o.ca == "" {
		return *o.gateway, "", nil
	}
	b, err := os.ReadFile(*o.ca)
	return *o.gateway, string(b), err
}

// maxTokenFile bounds the file of a token, in bytes.
const maxTokenFile = 4 << 10

// secret is the agent's token. A person's own secrets are refused before anything is sent.
func (o *mcpOptions) secret() (proxy.Secret, error) {
	text := os.Getenv(aiAgentVariable)
	if *o.token != "" {
		f, err := os.Open(*o.token)
		if err != nil {
			return proxy.Secret{}, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return proxy.Secret{}, err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
			return proxy.Secret{}, fail(exitUsage, "mcp: others may use %s, whose mode is %04o: want 0600", *o.token, mode)
		}
		b, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
		if err != nil {
			return proxy.Secret{}, err
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return proxy.Secret{}, fail(exitUsage, "mcp needs the token of an AI agent in $%s or in --token-file; \"sallyport login --agent NAME\" prints one", aiAgentVariable)
	case !tokens.IsSecret(tokens.AgentPrefix, text):
		return proxy.Secret{}, fail(exitUsage, "mcp: what is given is not the token of an AI agent, which begins with %s; \"sallyport login --agent NAME\" prints one", tokens.AgentPrefix)
	}
	return proxy.NewSecret(text), nil
}
