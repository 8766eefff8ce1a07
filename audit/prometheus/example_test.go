package prometheus_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/sallyport/sallyport/audit/prometheus"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// Metrics are in the chain, where they only count, and show what they have counted to Prometheus. Connecting is an operation, too.
func ExampleMetrics() {
	m := &prometheus.Metrics{}
	s, err := proxytest.Open(&proxy.Gateway{OnEvent: m.Event}, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	op := proxytest.Statement("SELECT 1", proxy.EffectRead)
	s.Ask(context.Background(), op)
	s.Done(op, &proxy.Outcome{Rows: 1})
	s.Close(nil)

	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "sallyport_operations_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// sallyport_operations_total{protocol="test",resource="shop",verdict="allowed"} 2
	// sallyport_operations_total{protocol="test",resource="shop",verdict="denied"} 0
	// sallyport_operations_total{protocol="test",resource="shop",verdict="failed"} 0
}
