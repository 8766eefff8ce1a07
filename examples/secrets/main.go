// Command secrets is the reference gateway with a secret source of one's own: a
// folder of files that are sealed with AES-GCM. Each file is sealed to its name, so
// that one cannot take another's place.
//
//	go run ./examples/secrets key sealing.key
//	echo hunter2 | go run ./examples/secrets seal sealing.key secrets orders
//	go run ./examples/secrets serve sealing.key secrets sallyport.yaml
//
// The config file refers to a sealed secret by its scheme and name:
//
//	password: sealed:orders
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/secrets"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		log.Fatal(err)
	}
}

func run(args []string, in io.Reader) error {
	switch {
	case len(args) == 2 && args[0] == "key":
		key := make([]byte, 32)
		rand.Read(key)
		// An old key is not overwritten: what is sealed with it could not be read.
		file, err := os.OpenFile(args[1], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = file.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
		return errors.Join(err, file.Close())
	case len(args) == 4 && args[0] == "seal":
		f, err := openFolder(args[1], args[2])
		if err != nil {
			return err
		}
		secret, err := io.ReadAll(io.LimitReader(in, maxSecret+2))
		if err != nil {
			return err
		}
		return f.seal(args[3], bytes.TrimSuffix(secret, []byte("\n")))
	case len(args) == 4 && args[0] == "serve":
		f, err := openFolder(args[1], args[2])
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		return gateway.Run(ctx, args[3], options(f), gateway.Options{})
	}
	return errors.New("usage: secrets key KEY | seal KEY FOLDER NAME | serve KEY FOLDER CONFIG")
}

// options are the whole of the wiring: the default schemes, and one more.
func options(f *folder) config.Options {
	source := secrets.Default()
	source["sealed"] = f
	return config.Options{Secrets: source}
}
