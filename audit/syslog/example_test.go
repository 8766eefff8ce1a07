package syslog_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/syslog"
)

// A collector on this machine is sent an event. Others are sent to over TLS, without Plaintext.
func ExampleSink() {
	collector, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer collector.Close()
	taken := make(chan string, 1)
	go func() {
		conn, err := collector.Accept()
		if err != nil {
			taken <- err.Error()
			return
		}
		defer conn.Close()
		text, err := bufio.NewReader(conn).ReadString('}')
		if err != nil {
			text = err.Error()
		}
		taken <- text
	}()

	sink := &syslog.Sink{Address: collector.Addr().String(), Called: "siem", Plaintext: true, Hostname: "gw1"}
	defer sink.Close()
	// An audit.Feed does this with what is on the disk, until it was taken.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = sink.Deliver(ctx, []audit.Outgoing{{Session: "s1", Index: 1, Type: audit.SessionStart, JSON: []byte(`{"type":"session.start","user":"alice"}`)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	message := <-taken
	fmt.Println(message[strings.Index(message, "{"):])
	// Output:
	// {"record":"s1","type":"session.start","user":"alice"}
}
