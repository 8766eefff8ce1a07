package jira_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
	"github.com/sallyport/sallyport/store"
)

// A request is an issue of a project.
func Example() {
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":"10000","key":"OPS-24"}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	defer site.Close()

	n, err := jira.New(jira.Config{
		Name: "jira", URL: site.URL, Private: true, TLS: site.Client().Transport.(*http.Transport).TLSClientConfig, // in place of Jira
		Username: "gateway@example.com", Token: proxy.NewSecret("ATATT3"), Store: store.NewMemory(),
		Project: "OPS", IssueType: "Access",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = n.Notify(context.Background(), &review.Notice{
		ID: "n1", Event: review.Asked, Request: review.Request{ID: "4jzq7nbkw2", State: review.Pending, Requester: "alice", Resource: "vm1", Access: &review.Access{Seconds: 3600}},
	})
	fmt.Println(err)
	// Output:
	// POST /rest/api/2/issue
	// <nil>
}
