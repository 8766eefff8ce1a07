package gateway

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/jsonl"
	"github.com/sallyport/sallyport/audit/ocsf"
	"github.com/sallyport/sallyport/audit/otel"
	"github.com/sallyport/sallyport/audit/s3"
	"github.com/sallyport/sallyport/audit/syslog"
	"github.com/sallyport/sallyport/audit/webhook"
	"github.com/sallyport/sallyport/audit/witness"
	"github.com/sallyport/sallyport/gateway/config"
)

// export has the log's events sent to where f says, and to further sinks.
func (g *Gateway) export(f *config.File, further []audit.Sink) error {
	for _, e := range f.Audit.Export {
		s, err := g.sink(f, e)
		if err != nil {
			return fmt.Errorf("export %s: %w", e.Called(), err)
		}
		if err := g.feed(s, audit.FeedConfig{Only: e.Only, FromStart: e.FromStart}); err != nil {
			return err
		}
	}
	for _, s := range further {
		if err := g.feed(s, audit.FeedConfig{}); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) feed(s audit.Sink, c audit.FeedConfig) error {
	if closer, ok := s.(io.Closer); ok {
		g.closeAfterLog(closer)
	}
	feed, err := g.records.Feed(s, c)
	if err != nil {
		return err
	}
	g.metrics.Add(feed)
	return nil
}

func (g *Gateway) sink(f *config.File, e config.Export) (audit.Sink, error) {
	var format audit.Format
	if e.Format == "ocsf" {
		format = ocsf.Append
	}
	c, err := f.ExportTLS(context.Background(), g.parts().secrets, e)
	if err != nil {
		return nil, err
	}
	switch e.Type {
	case "file":
		return &jsonl.File{Path: f.ExportPath(e), Called: e.Called(), Format: format}, nil
	case "stdout":
		return &jsonl.Writer{W: os.Stdout, Called: e.Called(), Format: format}, nil
	case "syslog":
		return &syslog.Sink{Address: e.Address, Called: e.Called(), TLS: c, Plaintext: e.Plaintext, Facility: e.Facility, Format: format}, nil
	case "otlp":
		return otel.New(otel.Config{URL: e.URL, Called: e.Called(), TLS: c, Text: e.Text})
	case "webhook":
		return g.webhookSink(e, webhook.Config{URL: e.URL, Called: e.Called(), Private: e.Private, Plaintext: e.Plaintext, TLS: c, Format: format})
	}
	return nil, fmt.Errorf("unknown type %q", e.Type)
}

func (g *Gateway) webhookSink(e config.Export, c webhook.Config) (audit.Sink, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, ref := range e.Keys {
		secret, err := g.secret(ctx, ref)
		if err != nil {
			return nil, err
		}
		key, err := webhook.ParseKey(secret)
		if err != nil {
			return nil, err
		}
		c.Keys = append(c.Keys, key)
	}
	return webhook.New(c)
}

// copy has sealed records copied to where f says.
func (g *Gateway) copy(f *config.File) error {
	for _, c := range f.Audit.Copies {
		b, err := g.openBucket(f, c.S3, c.Called())
		if err != nil {
			return fmt.Errorf("copy %s: %w", c.Called(), err)
		}
		g.closeAfterLog(b)
		follower, err := g.records.Copy(b, audit.FollowConfig{})
		if err != nil {
			return err
		}
		g.metrics.Followers = append(g.metrics.Followers, follower)
	}
	return nil
}

// witness has witnesses told of the log's heads.
func (g *Gateway) witness(f *config.File) error {
	for _, c := range f.Audit.Witnesses {
		w, err := g.openWitness(f, c)
		if err != nil {
			return fmt.Errorf("witness %s: %w", c.Called(), err)
		}
		if c, ok := w.(io.Closer); ok {
			g.closeAfterLog(c)
		}
		follower, err := g.records.Witness(w, audit.FollowConfig{})
		if err != nil {
			return err
		}
		g.metrics.Followers = append(g.metrics.Followers, follower)
	}
	return nil
}

func (g *Gateway) openWitness(f *config.File, c config.Witness) (audit.Witness, error) {
	switch {
	case c.S3 != nil:
		b, err := g.openBucket(f, c.S3, c.Called())
		if err != nil {
			return nil, err
		}
		g.closeAfterLog(b)
		return audit.InStore{Store: b}, nil
	case c.URL != "":
		roots, err := f.Roots(c.CA)
		if err != nil {
			return nil, err
		}
		return witness.NewService(witness.Config{URL: c.URL, Called: c.Called(), Keys: c.Keys, TLS: roots})
	}
	return &witness.File{Path: f.WitnessFile(c), Called: c.Called()}, nil
}

// openBucket opens a bucket of the config file, without connecting to it.
func (g *Gateway) openBucket(f *config.File, b *config.Bucket, called string) (*s3.Bucket, error) {
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
				if *part.to, err = g.secret(ctx, part.ref); err != nil {
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
