package otel_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/otel"
)

// A collector is sent what was refused.
func Example() {
	var mu sync.Mutex
	var paths []string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // https://collector:4318
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			fmt.Println(err)
		}
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.Path)
	}))
	defer collector.Close()

	sink, err := otel.New(otel.Config{URL: collector.URL, Called: "collector"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sink.Close()
	// An audit.Feed does this with what is on the disk, until it was taken.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = sink.Deliver(ctx, []audit.Outgoing{{
		Session: "s1", Index: 2, Type: audit.OperationRefused,
		JSON: []byte(`{"type":"operation.refused","i":2,"t":"2026-03-01T12:00:00Z","rule":"writes"}`),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(paths)
	fmt.Println(paths)
	// Output:
	// [/v1/logs /v1/metrics /v1/traces]
}
