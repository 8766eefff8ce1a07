package relay

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPanicsLogged: a panic is an error of the log, without its value; a handler that cuts its connection is not.
func TestPanicsLogged(t *testing.T) {
	for _, c := range []struct {
		with any
		logs bool
	}{
		{"canary-77", true},
		{http.ErrAbortHandler, false},
	} {
		var b bytes.Buffer
		h := logged(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(c.with) }), slog.New(slog.NewTextHandler(&b, nil)))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
		require.NotContains(t, b.String(), "canary-77")
		if !c.logs {
			require.Empty(t, b.String())
			continue
		}
		require.Contains(t, b.String(), "level=ERROR")
		require.Contains(t, b.String(), "panics_test.go")
	}
	h := logged(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, http.StatusTeapot, w.Code)
}
