package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// readyCommand asks a gateway whether it is ready, in images that have no other program to ask with.
func readyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ready", GroupID: operatorGroup, Short: "Say whether a gateway should be sent new sessions, for health checks",
		Long:    "Asks /readyz at the address that \"metrics\" of the config file names. Ends with 0\nwhen the gateway is ready, and with 1 and the reason when it is not.",
		Example: example("sallyport ready --metrics 127.0.0.1:9464"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	address := f.String("metrics", "127.0.0.1:9464", "`address` of the gateway's metrics, as in the config file")
	within := f.Duration("timeout", 5*time.Second, "how long the gateway may take")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		ctx, cancel := context.WithTimeout(ctx, *within)
		defer cancel()
		return ready(ctx, "http://"+*address+"/readyz")
	})
	return cmd
}

// maxReason bounds what is read of an answer, in bytes.
const maxReason = 4 << 10

func ready(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// A proxy of the environment is not where the gateway is.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("asking the gateway whether it is ready: %w; does it run, and is this the address of \"metrics\" in its config file?", err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, maxReason))
	switch {
	case err != nil:
		return fmt.Errorf("asking the gateway whether it is ready: %w", err)
	case a.StatusCode == http.StatusOK:
		return nil
	case a.StatusCode == http.StatusServiceUnavailable:
		return fail(exitError, "not ready: %s", strings.TrimSpace(string(text)))
	default:
		return fail(exitError, "asking the gateway whether it is ready: %s answered %s, want 200 or 503; is this the address of \"metrics\" in its config file?", url, a.Status)
	}
}
