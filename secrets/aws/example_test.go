package aws_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/aws"
)

// A gateway reads a key of a secret of Secrets Manager. Without a Login it uses the role of the
// machine, task or pod that it runs on.
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Printf("%s %s\n", r.Header.Get("X-Amz-Target"), question)
		fmt.Fprint(w, `{"Name":"orders","VersionId":"v1","SecretString":"{\"username\":\"app\",\"password\":\"hunter2\"}"}`)
	}))
	defer service.Close()

	provider, err := aws.New(aws.Config{
		Region:   "eu-west-1",
		Endpoint: service.URL, // empty for AWS itself
		Login: &aws.Static{
			ID:     "AKIAEXAMPLE",
			Secret: func(context.Context) (proxy.Secret, error) { return proxy.NewSecret("key"), nil },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := secrets.Source{"aws": provider}
	value, err := source.Resolve(context.Background(), "aws:secretsmanager/orders#password?user=username", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(value.Username, value.Password)
	// Output:
	// secretsmanager.GetSecretValue {"SecretId":"orders"}
	// app [secret]
}
