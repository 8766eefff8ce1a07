package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReady(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		text   string
		code   int
		says   string
	}{
		"ready":         {200, "ok\n", exitOK, ""},
		"stopping":      {503, "the gateway is stopping\n", exitError, "not ready: the gateway is stopping"},
		"another":       {404, "no", exitError, "answered 404"},
		"a long answer": {503, strings.Repeat("x", 1<<20), exitError, "not ready: xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, "/readyz", r.URL.Path)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.text))
			}))
			defer s.Close()
			var out, err bytes.Buffer
			code := run(t.Context(), &cli{nil, &out, &err}, []string{"ready", "--metrics", strings.TrimPrefix(s.URL, "http://")})
			require.Equal(t, c.code, code, err.String())
			require.Contains(t, err.String(), c.says)
			require.Less(t, err.Len(), 8<<10)
			require.Empty(t, out.String())
		})
	}
	var out, err bytes.Buffer
	require.Equal(t, exitError, run(t.Context(), &cli{nil, &out, &err}, []string{"ready", "--metrics", "127.0.0.1:1"}))
	require.Contains(t, err.String(), "does it run")
}
