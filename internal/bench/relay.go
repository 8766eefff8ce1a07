package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
)

// relayArg has this program be the relay instead of the benchmark.
const relayArg = "relay"

// relay is the floor: what two goroutines a connection cost that copy bytes and
// do nothing else.
func (b *bench) relay(context.Context) (path, error) {
	self, err := os.Executable()
	if err != nil {
		return path{}, err
	}
	at, err := address()
	if err != nil {
		return path{}, err
	}
	pid, err := b.begin(exec.Command(self, relayArg, at, b.server.Address()), at)
	return b.superuser(relayName, at, pid), err
}

// serveRelay copies between each client of address and a connection to target.
func serveRelay(address, target string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := ln.Accept()
		if err != nil {
			return err
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		go relayBytes(server, client)
		go relayBytes(client, server)
	}
}

// relayBytes copies through memory: spliced in the kernel, it would be no floor
// for a gateway that has to look.
func relayBytes(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 128<<10)
	io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf)
}
