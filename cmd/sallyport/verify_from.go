package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/s3"
	"github.com/sallyport/sallyport/gateway/config"
)

// What is read to be verified, or compared with, and is not in a directory.

const bucketScheme = "s3://"

// bucketFlags say how buckets are reached. Credentials come from the environment,
// by the names that other tools know.
type bucketFlags struct{ endpoint, region, ca *string }

func (b *bucketFlags) add(f *pflag.FlagSet) {
	b.endpoint = envFlag(f, "endpoint", "", "AWS_ENDPOINT_URL", "", "`URL` of the server of s3://; its credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment; $AWS_ENDPOINT_URL")
	b.region = envFlag(f, "region", "", "AWS_REGION", "", "`region` of the server of s3://; $AWS_REGION")
	b.ca = f.String("ca", "", "`file` with the certificate authorities of the server; empty is the system's")
}

// open opens the bucket that s3://BUCKET/PREFIX names.
func (b bucketFlags) open(name string) (*s3.Bucket, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(name, bucketScheme), "/")
	if bucket == "" {
		return nil, fail(exitUsage, "%s names no bucket", name)
	}
	endpoint := *b.endpoint
	if endpoint == "" {
		endpoint = "https://s3.amazonaws.com"
		if *b.region != "" {
			endpoint = "https://s3." + *b.region + ".amazonaws.com"
		}
	}
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if key == "" || secret == "" {
		return nil, fail(exitUsage, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to read %s", name)
	}
	c := s3.Config{
		Endpoint: endpoint, Called: "copy", Bucket: bucket, Prefix: prefix, Region: *b.region, Plaintext: true, // as it was typed
		Credentials: func(context.Context) (s3.Credentials, error) {
			return s3.Credentials{AccessKey: key, SecretKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN")}, nil
		},
	}
	var err error
	if c.TLS, err = b.tls(); err != nil {
		return nil, err
	}
	return s3.New(c)
}

func (b bucketFlags) tls() (*tls.Config, error) {
	if *b.ca == "" {
		return nil, nil
	}
	return config.Roots(*b.ca)
}

// maxWitnessed bounds what is read of one place where checkpoints were kept.
const maxWitnessed = 64 << 20

// readWitnesses reads the checkpoints that were kept elsewhere. A place without
// any is an error: comparing with nothing proves nothing.
func readWitnesses(ctx context.Context, flags bucketFlags, from []string) (notes [][]byte, err error) {
	for _, name := range from {
		var some [][]byte
		switch {
		case strings.HasPrefix(name, bucketScheme):
			some, err = readBucketWitness(ctx, flags, name)
		case strings.HasPrefix(name, "https://"), strings.HasPrefix(name, "http://"):
			some, err = readURLWitness(ctx, flags, name)
		default:
			some, err = readFileWitness(name)
		}
		if err == nil && len(some) == 0 {
			err = fail(exitNotFound, "no checkpoint is in %s", name)
		}
		if err != nil {
			return nil, err
		}
		notes = append(notes, some...)
	}
	return notes, nil
}

func readFileWitness(name string) ([][]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return audit.ReadCheckpoints(f, maxWitnessed)
}

func readURLWitness(ctx context.Context, flags bucketFlags, name string) ([][]byte, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fail(exitUsage, "%s: without TLS an attacker could answer with an old checkpoint; use https", name)
	}
	roots, err := flags.tls()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: roots, Proxy: http.ProxyFromEnvironment}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return nil, fmt.Errorf("%s answers %s", name, resp.Status)
	}
	return audit.ReadCheckpoints(resp.Body, maxWitnessed)
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func readBucketWitness(ctx context.Context, flags bucketFlags, name string) ([][]byte, error) {
	b, err := flags.open(name)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return audit.CopiedCheckpoints(ctx, b)
}
