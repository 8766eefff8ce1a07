package main

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// The gateway that is named on the command line is the one that is meant, whatever the environment says.
func TestPlaceOnTheCommandLineCounts(t *testing.T) {
	t.Setenv("SALLYPORT_CONFIG", "env.yaml")
	t.Setenv("SALLYPORT_SOCKET", "env.sock")
	t.Setenv("SALLYPORT_PROFILE", "env")
	for _, c := range []struct {
		args                    []string
		config, socket, profile string
	}{
		{nil, "env.yaml", "env.sock", "env"},
		{[]string{"-c", "line.yaml"}, "line.yaml", "", ""},
		{[]string{"--profile", "line"}, "env.yaml", "", "line"},
		{[]string{"--socket", "line.sock"}, "env.yaml", "line.sock", "env"}, // the config file has the records, and the socket comes first
		{[]string{"--profile", "line", "-c", "line.yaml"}, "line.yaml", "", "line"},
		{[]string{"-c", "line.yaml", "--profile", "line"}, "line.yaml", "", "line"},
		{[]string{"--socket", "line.sock", "--config", "line.yaml"}, "line.yaml", "line.sock", ""},
		{[]string{"--config", "line.yaml", "--socket", "line.sock"}, "line.yaml", "line.sock", ""},
	} {
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		config, socket, profile := configFlag(f), socketFlag(f), profileFlag(f)
		require.NoError(t, f.Parse(c.args), c.args)
		require.Equal(t, []string{c.config, c.socket, c.profile}, []string{*config, *socket, *profile}, c.args)
	}
}
