package gateway

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	o := Options{Log: slog.New(slog.DiscardHandler)}
	require.ErrorIs(t, Run(ctx, file, Defaults(), o), os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("listen: {nothing: x}"), 0o600))
	var problems config.Problems
	require.ErrorAs(t, Run(ctx, file, config.Options{}, o), &problems)
	require.NoError(t, os.WriteFile(file, []byte(`{listen: {postgres: "127.0.0.1:0"}, resources: []}`), 0o600))
	require.NoError(t, Run(ctx, file, config.Options{}, o), "it ends with its context")
	require.FileExists(t, filepath.Join(filepath.Dir(file), "data", "audit", "log", "key.pub"))

	// What the file's data directory cannot be is an error, and nothing stays open.
	require.NoError(t, os.WriteFile(file, []byte(`{listen: {postgres: "127.0.0.1:0"}, resources: [], data_dir: sallyport.yaml}`), 0o600))
	require.Error(t, Run(ctx, file, config.Options{}, o))
}
