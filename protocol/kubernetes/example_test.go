package kubernetes_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/kubernetes"
	"github.com/sallyport/sallyport/proxy"
)

// What a rule decides about, for a request of kubectl.
func ExampleOperation() {
	cluster := proxy.Target{Resource: &proxy.Resource{Name: "prod", Type: "kubernetes", Settings: kubernetes.Settings{}}}
	for _, text := range []string{
		"/api/v1/namespaces/shop/pods",
		"DELETE /api/v1/namespaces/shop",
		"POST /api/v1/namespaces/shop/pods/web-1/exec?command=ls",
	} {
		op, err := kubernetes.Operation(cluster, text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		if r, ok := op.(*proxy.Request); ok {
			fmt.Println(r.Method, r.Action)
			continue
		}
		fmt.Println(op.Info().Kind)
	}
	// Output:
	// GET pods:list
	// DELETE namespaces:delete
	// exec
}
