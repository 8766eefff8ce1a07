// Command store has a store of one's own: a folder that several processes share, in
// which each step is a file. Its test runs storetest, as that of every store does.
//
//	echo '{"groups": ["dev"]}' | go run ./examples/store put FOLDER user alice
//	go run ./examples/store get FOLDER user alice
//	go run ./examples/store follow FOLDER          # changes, also of other processes
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("usage: store put|get FOLDER KIND NAME | follow FOLDER")
	}
	f, err := openFolder(args[1])
	if err != nil {
		return err
	}
	switch {
	case args[0] == "put" && len(args) == 4:
		body, err := io.ReadAll(io.LimitReader(in, store.MaxBody+1))
		if err != nil {
			return err
		}
		return store.Update(ctx, f, args[2], args[3], func(d store.Document) ([]store.Write, error) {
			d.Body = body
			if d.Version == 0 {
				return []store.Write{store.Create(d)}, nil
			}
			return []store.Write{store.Replace(d)}, nil
		})
	case args[0] == "get" && len(args) == 4:
		d, err := f.Get(ctx, args[2], args[3])
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", d.Body)
		}
		return err
	case args[0] == "follow" && len(args) == 2:
		for changes, err := range store.Follow(ctx, f, 0) {
			if err != nil {
				return err
			}
			for _, c := range changes {
				fmt.Fprintf(out, "%d %s %s\n", c.Seq, c.Kind, c.Name)
			}
		}
		return nil
	}
	return errors.New("usage: store put|get FOLDER KIND NAME | follow FOLDER")
}
