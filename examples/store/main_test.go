package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/storetest"
)

func TestFolder(t *testing.T) {
	storetest.Test(t, func(t *testing.T) store.Store {
		f, err := openFolder(t.TempDir())
		require.NoError(t, err)
		return f
	})
}

// TestFolders holds that two that share a folder agree: of two changes to one
// version one is made, and both see it.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	var two [2]*folder
	for i := range two {
		var err error
		two[i], err = openFolder(dir)
		require.NoError(t, err)
	}
	_, err := two[0].Write(t.Context(), store.Create(store.Document{Kind: "k", Name: "n", Body: []byte("0")}))
	require.NoError(t, err)
	for range 20 {
		d, err := two[1].Get(t.Context(), "k", "n")
		require.NoError(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, f := range two {
			wg.Go(func() { _, errs[i] = f.Write(t.Context(), store.Replace(d)) })
		}
		wg.Wait()
		if errs[0] == nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		require.ErrorIs(t, errs[0], store.ErrConflict)
		require.NoError(t, errs[1])
	}
	again, err := openFolder(dir)
	require.NoError(t, err)
	seq, _, err := again.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 21, seq)
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"follow", dir}, nil, w) }()
	for _, body := range []string{`{"groups": ["dev"]}`, `{"groups": []}`} {
		require.NoError(t, run(ctx, []string{"put", dir, "user", "alice"}, strings.NewReader(body), nil))
		var out strings.Builder
		require.NoError(t, run(ctx, []string{"get", dir, "user", "alice"}, nil, &out))
		require.Equal(t, body+"\n", out.String())
	}
	lines := bufio.NewScanner(r)
	for _, want := range []string{"1 user alice", "2 user alice"} {
		require.True(t, lines.Scan())
		require.Equal(t, want, lines.Text())
	}
	cancel()
	require.NoError(t, <-done)
	require.ErrorIs(t, run(t.Context(), []string{"get", dir, "user", "bob"}, nil, io.Discard), store.ErrNotFound)
	require.ErrorContains(t, run(t.Context(), nil, nil, nil), "usage")
}
