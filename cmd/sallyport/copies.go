package main

import (
	"context"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/s3"
	"github.com/sallyport/sallyport/audit/witness"
	"github.com/sallyport/sallyport/gateway/config"
)

// copy has sealed records copied to where the config file says.
func (g *gateway) copy(records *audit.Log) error {
	for _, c := range g.config.Audit.Copies {
		b, err := openBucket(g.config, c.S3, c.Called())
		if err != nil {
			return fmt.Errorf("copy %s: %w", c.Called(), err)
		}
		g.closeAfterLog(b)
		f, err := records.Copy(b, audit.FollowConfig{})
		if err != nil {
			return err
		}
		g.metrics.Followers = append(g.metrics.Followers, f)
	}
	return nil
}

// witness has witnesses told of the log's heads.
func (g *gateway) witness(records *audit.Log) error {
	for _, c := range g.config.Audit.Witnesses {
		w, err := g.openWitness(c)
		if err != nil {
			return fmt.Errorf("witness %s: %w", c.Called(), err)
		}
		if c, ok := w.(io.Closer); ok {
			g.closeAfterLog(c)
		}
		f, err := records.Witness(w, audit.FollowConfig{})
		if err != nil {
			return err
		}
		g.metrics.Followers = append(g.metrics.Followers, f)
	}
	return nil
}

func (g *gateway) openWitness(c config.Witness) (audit.Witness, error) {
	switch {
	case c.S3 != nil:
		b, err := openBucket(g.config, c.S3, c.Called())
		if err != nil {
			return nil, err
		}
		g.closeAfterLog(b)
		return audit.InStore{Store: b}, nil
	case c.URL != "":
		roots, err := g.config.Roots(c.CA)
		if err != nil {
			return nil, err
		}
		return witness.NewService(witness.Config{URL: c.URL, Called: c.Called(), Keys: c.Keys, TLS: roots})
	}
	return &witness.File{Path: g.config.WitnessFile(c), Called: c.Called()}, nil
}

// openBucket opens a bucket of the config file, without connecting to it.
func openBucket(f *config.File, b *config.Bucket, called string) (*s3.Bucket, error) {
	roots, err := f.Roots(b.CA)
	if err != nil {
		return nil, err
	}
	c := s3.Config{
		Endpoint: b.Endpoint, Called: called, Bucket: b.Bucket, Prefix: b.Prefix, Region: b.Region, Plaintext: b.Plaintext,
		TLS: roots, Encryption: b.Encryption, Credentials: func(ctx context.Context) (c s3.Credentials, err error) {
			for _, part := range []struct {
				to  *string
				ref string
			}{{&c.AccessKey, b.AccessKey}, {&c.SecretKey, b.SecretKey}, {&c.SessionToken, b.SessionToken}} {
				if part.ref == "" {
					continue
				}
				if *part.to, err = f.Secret(ctx, part.ref); err != nil {
					return c, err
				}
			}
			return c, nil
		},
	}
	if b.Lock != nil {
		c.Lock = s3.Lock{Mode: b.Lock.Mode, For: b.Lock.For()}
	}
	return s3.New(c)
}
