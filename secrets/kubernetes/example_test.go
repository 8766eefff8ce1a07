package kubernetes_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/kubernetes"
)

// A gateway outside of the cluster reads a Secret of it by the token of a service account. In a pod
// of the cluster, kubernetes.Config{} is enough.
func Example() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // https://10.0.0.1:6443
		fmt.Println(r.Method, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"Secret","metadata":{"resourceVersion":"12"},"data":{"password":"aHVudGVyMg=="}}`)
	}))
	defer api.Close()

	provider, err := kubernetes.New(kubernetes.Config{
		Address: api.URL,
		Token:   func(context.Context) (proxy.Secret, error) { return proxy.NewSecret("token"), nil }, // secrets.FromFile in earnest
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := secrets.Source{"kubernetes": provider}
	value, err := source.Resolve(context.Background(), "kubernetes:apps/orders#password", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(value.Password, value.Password.Reveal() == "hunter2", "version", value.Version)
	// Output:
	// GET /api/v1/namespaces/apps/secrets/orders
	// [secret] true version 12
}
