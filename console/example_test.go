package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/console"
)

// A host of other programs serves the console below a path of its own.
func ExampleHandler() {
	page, err := console.Handler(console.Options{Prefix: "/console", Title: "Example Ltd"})
	if err != nil {
		fmt.Println(err)
		return
	}
	host := http.NewServeMux()
	host.Handle("/console/", page)
	host.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) { // control.API.Handler
		w.WriteHeader(http.StatusUnauthorized)
	})
	answer := httptest.NewRecorder()
	host.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/console/", nil))
	fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	fmt.Println(answer.Header().Get("Content-Security-Policy") != "", answer.Header().Get("Cache-Control"))
	// Output:
	// 200 text/html; charset=utf-8
	// true no-store
}
