// Command sink is the reference gateway with an audit sink of one's own: each batch
// of events becomes a file in a folder, from which another program takes them.
//
//	go run ./examples/sink serve spool sallyport.yaml
//	go run ./examples/sink take spool          # each event once, in order, as JSON
//
// A sink gets each event at least once, and those of a session in order. Who takes
// them tells an event that came twice by its session and index, as take does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		s, err := openSpool(args[1])
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		return gateway.Run(ctx, args[2], gateway.Defaults(), gateway.Options{Sinks: []audit.Sink{s}})
	case len(args) == 2 && args[0] == "take":
		enc := json.NewEncoder(out)
		for e, err := range take(args[1]) {
			if err != nil {
				return err
			}
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("usage: sink serve FOLDER CONFIG | take FOLDER")
}
