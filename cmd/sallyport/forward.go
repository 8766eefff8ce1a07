package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// forwarding leads programs of this machine to a resource that has no client of its own: they connect to a place that only this machine
// reaches.
type forwarding struct {
	c    *cli
	name string // of the resource
	dial protocol.Connector

	said sync.Mutex // what the gateway says is told by one connection at a time
	note string     // what it has said last
}

// connectorOf is how a type of resources is led to; nil: programs get there by themselves.
func connectorOf(list []protocol.Protocol, typ string) newConnector {
	i := slices.IndexFunc(list, func(p protocol.Protocol) bool { return p.Name == typ })
	if i < 0 {
		return nil
	}
	return list[i].Connector
}

type newConnector = func(e protocol.Endpoint, password proxy.Secret, waits func(message, link string)) (protocol.Connector, error)

func errNoConnector(typ string) error {
	return fail(exitUsage, "--listen is for resources of type tcp, and this one is of type %s: programs connect to the gateway's listener themselves; --print shows how", typ)
}

// lead leads programs to an endpoint, at a place of this machine. renew is called before each connection; nil: the user proves
// herself by a password, which is asked for.
func (c *cli) lead(ctx context.Context, via newConnector, at *protocol.Endpoint, listen string, renew func(context.Context) error) error {
	t := &forwarding{c: c, name: at.Resource}
	var password proxy.Secret
	if at.Proof == nil {
		typed, err := c.prompter().secret("", "Password of "+visible(at.User)+": ")
		if err != nil {
			return err
		}
		password = proxy.NewSecret(typed)
	}
	waits := func(message, link string) { t.tell("%s", strings.TrimSpace(message+" "+link)) }
	var renewing sync.Mutex
	t.dial = func(ctx context.Context) (net.Conn, string, error) {
		if renew != nil {
			renewing.Lock()
			err := renew(ctx)
			renewing.Unlock()
			if err != nil {
				return nil, "", err
			}
		}
		dial, err := via(*at, password, waits) // it reads the certificate, which may be new
		if err != nil {
			return nil, "", err
		}
		return dial(ctx)
	}
	if len(at.Args) > 0 { // Ctrl-C is the program's
		ctx = context.WithoutCancel(ctx)
	}
	return t.run(ctx, cmp.Or(listen, "127.0.0.1:0"), at.Args)
}

// maxForwarded bounds the connections that are open at once.
const maxForwarded = 256

// listenLocal listens where only this machine's programs come in: at a port of a loopback address, or at a socket that only its user opens.
func listenLocal(at string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(at, "unix:"); ok {
		// The folder keeps others out, who could open the socket between its making and a change of its mode.
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm()&0o077 != 0 {
			return nil, fail(exitUsage, "--listen %s: want a socket in a folder that only you can open; make one: mkdir -m 700 DIR", visible(at))
		}
		return net.Listen("unix", path)
	}
	host, _, err := net.SplitHostPort(at)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fail(exitUsage, "--listen %s: want a port of 127.0.0.1 or [::1], or unix:PATH: who reaches it needs no further proof", visible(at))
	}
	return net.Listen("tcp", at)
}

// run listens at a place, and runs a program with args there, or goes on until ctx ends. In args {address}, {host} and
// {port} are replaced by those of the place.
func (t *forwarding) run(ctx context.Context, at string, args []string) error {
	ln, err := listenLocal(at)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer stop()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	defer ln.Close()
	served := make(chan error, 1)
	go func() { served <- t.accept(ctx, ln, &conns) }()
	address := ln.Addr().String()
	if len(args) == 0 {
		fmt.Fprintf(t.c.err, "%s is at %s until you press Ctrl-C\n", visible(t.name), visible(address))
		return <-served
	}
	host, port, _ := net.SplitHostPort(address) // empty for a socket
	fill := strings.NewReplacer("{address}", address, "{host}", host, "{port}", port)
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = fill.Replace(a)
	}
	program, err := exec.LookPath(words[0])
	if err != nil {
		return fail(exitError, "%s is not installed", visible(words[0]))
	}
	cmd := exec.Command(program, words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.c.in, t.c.out, t.c.err
	if _, file := t.c.err.(*os.File); !file { // which the program has itself; into anything else its errors are copied meanwhile
		cmd.Stderr = t
	}
	return runClient(cmd)
}

// accept serves connections until the listener is closed.
func (t *forwarding) accept(ctx context.Context, ln net.Listener, conns *sync.WaitGroup) error {
	room := make(chan struct{}, maxForwarded)
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case room <- struct{}{}:
		default:
			c.Close()
			t.tell("%d connections are open: another one is refused", maxForwarded)
			continue
		}
		conns.Go(func() {
			defer func() { <-room }()
			t.serve(ctx, c)
		})
	}
}

// Write writes what a program says of errors, between what the forwarding tells.
func (t *forwarding) Write(b []byte) (int, error) {
	t.said.Lock()
	defer t.said.Unlock()
	return t.c.err.Write(b)
}

// tell tells the user something.
func (t *forwarding) tell(format string, args ...any) {
	t.said.Lock()
	defer t.said.Unlock()
	fmt.Fprintln(t.c.err, visible(t.name)+": "+visible(fmt.Sprintf(format, args...)))
}

// noted tells what the gateway says of connections, once.
func (t *forwarding) noted(note string) {
	t.said.Lock()
	fresh := note != "" && note != t.note
	t.note = note
	t.said.Unlock()
	if fresh {
		t.tell("%s", note)
	}
}

// serve passes on what flows over one connection.
func (t *forwarding) serve(ctx context.Context, local net.Conn) {
	defer local.Close()
	remote, note, err := t.dial(ctx)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.tell("%v", err)
		}
		return
	}
	defer remote.Close()
	defer context.AfterFunc(ctx, func() {
		local.Close()
		remote.Close()
	})()
	t.noted(note)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.pass(local, remote)
	}()
	t.pass(remote, local)
	<-done
}

// pass passes on what comes from one side, and then says to the other that it has ended. After an error both are closed.
func (t *forwarding) pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if w, ok := to.(interface{ CloseWrite() error }); err == nil && ok && w.CloseWrite() == nil {
		return
	}
	// Nobody waits for ever for a side that has left.
	to.SetDeadline(time.Unix(1, 0))
	from.SetDeadline(time.Unix(1, 0))
}
