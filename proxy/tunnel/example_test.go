package tunnel_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/proxy/tunnel"
)

// A resource is reached by an agent in its network.
func Example() {
	if err := reach(); err != nil {
		fmt.Println(err)
	}
	// Output: hello
}

func reach() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)

	// The gateway: what it keeps of agents, and where these come in.
	docs := &identity.Memory{}
	sealer, err := identity.NewSealer(nil)
	if err != nil {
		return err
	}
	authority, err := ca.OpenAuthority(ctx, ca.ForAgents, ca.Options{Documents: docs, Sealer: sealer})
	if err != nil {
		return err
	}
	agents := &ca.Agents{Authority: authority, Documents: docs}
	cert, err := agents.Gateway(tunnel.ServerName)
	if err != nil {
		return err
	}
	gateway := &tunnel.Server{Registry: agents, Certificate: func() (*tls.Certificate, error) { return &cert, nil }, Roots: authority.Pool, Log: quiet}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go gateway.Serve(ctx, ln)
	defer gateway.Close()
	token, err := agents.Token(ctx, ca.TokenRequest{Agent: "berlin", By: "alice"})
	if err != nil {
		return err
	}

	// The agent: it enrols once, and then runs.
	read, err := tunnel.ParseToken(token.Text)
	if err != nil {
		return err
	}
	id, err := tunnel.Enrolment{Gateway: ln.Addr().String(), Token: read}.Enrol(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := tunnel.File(filepath.Join(dir, "agent.json"))
	if err := file.Save(id); err != nil {
		return err
	}
	allow, err := tunnel.ParseAllow("127.0.0.1")
	if err != nil {
		return err
	}
	agent := &tunnel.Agent{Keeper: file, Gateways: []string{ln.Addr().String()}, Allow: allow, Log: quiet}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(running) }()
	defer func() {
		stop()
		<-ended
	}()
	for agent.Connected() == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}

	// A resource that the agent reaches.
	resource, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer resource.Close()
	go func() {
		c, err := resource.Accept()
		if err == nil {
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	c, err := gateway.Dialer("berlin").DialContext(ctx, "tcp", resource.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Println(string(text))
	return err
}
