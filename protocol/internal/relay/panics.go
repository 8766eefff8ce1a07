package relay

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// logged has a panic of h logged as an error, and cuts the connection as the server does, which itself logs panics among what clients
// do wrong. The panic's value is not shown: it may hold data.
func logged(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v != http.ErrAbortHandler { //nolint:errorlint // it is compared as the server does
				log.Error("panic", "in", "a request", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		h.ServeHTTP(w, r)
	})
}
