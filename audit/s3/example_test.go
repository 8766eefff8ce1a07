package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/s3"
)

// A sealed session is copied to a bucket, once.
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // https://s3.eu-west-1.amazonaws.com
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			fmt.Println(err)
		}
		fmt.Println(r.Method, r.URL.Path, "If-None-Match:", r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"1"`)
	}))
	defer service.Close()

	bucket, err := s3.New(s3.Config{
		Endpoint: service.URL, Plaintext: true, // the service is on this machine
		Called: "copies", Bucket: "audit", Prefix: "gw1", Region: "eu-west-1",
		Credentials: func(context.Context) (s3.Credentials, error) {
			return s3.Credentials{AccessKey: "AKIAEXAMPLE", SecretKey: "key"}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bucket.Close()
	// An audit.Log with Config.Store does this with each sealed session.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	content := []byte("a sealed session")
	err = bucket.Put(ctx, audit.Object{
		Name: "sessions/s1", Content: bytes.NewReader(content), Size: int64(len(content)), SHA256: sha256.Sum256(content),
	})
	fmt.Println(err)
	// Output:
	// PUT /audit/gw1/sessions/s1 If-None-Match: *
	// <nil>
}
