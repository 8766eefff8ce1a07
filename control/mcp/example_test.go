package mcp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/mcp"
)

// A program that serves the API itself serves agents next to it. Without a portal that has agents, none comes in.
func ExampleHandler() {
	api := &control.Handler{}
	agents := &mcp.Handler{Control: api, Version: "v1.0.0"}
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle(mcp.Path, agents)
	mux.Handle(mcp.MetadataPath, agents)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "https://gw.example.com/mcp", nil))
	fmt.Println(w.Code)
	// Output: 404
}
