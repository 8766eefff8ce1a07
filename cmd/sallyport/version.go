package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version",
		Example: example("sallyport version"),
		Args:    atMost(0),
	}
	cmd.RunE = does(func(_ context.Context, _ []string) error {
		fmt.Fprintf(c.out, "sallyport %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	})
	return cmd
}

// versionText is the version that was built, and its revision where that is known.
func versionText() string {
	v, revision := buildVersion(), ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	return v + revision
}

// buildVersion is the version that was built, which is one of a release where it begins with "v".
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
