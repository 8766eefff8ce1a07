// Package s3 keeps copies of a log's records in a bucket of Amazon S3 or of
// anything that speaks its protocol, and reads them back to be verified.
package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Config says which bucket, and how objects are kept there. Endpoint, Called,
// Bucket and Credentials are needed.
type Config struct {
	Endpoint  string // https://host[:port]; http only with Plaintext
	Called    string // the store's name
	Bucket    string
	Prefix    string // of all objects' names, without a slash at its end; may be empty
	Region    string // empty is what the endpoint says
	Plaintext bool   // http: what is copied is encrypted, how much and when is seen by who is on the way
	// Credentials fetches what requests are signed with. It is asked again every
	// minute, and when they are refused.
	Credentials func(ctx context.Context) (Credentials, error)
	TLS         *tls.Config // nil is the system's roots
	// Encryption is the server-side encryption that is asked for: empty for what the
	// bucket does by itself, "AES256", or "aws:kms:" and a key's name.
	Encryption string
	Lock       Lock
	// PartSize is the size of a part of an upload, in bytes; what is larger than one
	// goes up in parts. 0 is 16 MiB, and less than 5 MiB is what the protocol does not
	// take.
	PartSize int64
	// Timeout is how long a connection may stand still; 0 is 30 s.
	Timeout time.Duration
}

// Credentials sign requests.
type Credentials struct {
	AccessKey, SecretKey, SessionToken string
}

// Lock is how objects are kept from being deleted and overwritten, by Object Lock.
// The zero value asks for none.
type Lock struct {
	Mode string        // "governance" or "compliance"
	For  time.Duration // from when the object is written
}

func (l Lock) mode() minio.RetentionMode { return minio.RetentionMode(strings.ToUpper(l.Mode)) }

// Bucket is an audit.Store and its audit.Objects. It is safe for concurrent use.
type Bucket struct {
	config     Config
	client     *minio.Core
	creds      *credentials.Credentials
	transport  *http.Transport
	encryption encrypt.ServerSide

	mu            sync.Mutex
	ready         bool // it was seen to do what Lock needs
	unconditional bool // it does not know writes on condition
}

// New checks c and returns its bucket, to which it does not connect yet.
func New(c Config) (*Bucket, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("s3: the endpoint must be https://host[:port]")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !c.Plaintext) {
		return nil, errors.New("s3: the endpoint must be https")
	}
	if c.Credentials == nil {
		return nil, errors.New("s3: no credentials")
	}
	c.Prefix = strings.Trim(c.Prefix, "/")
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.PartSize == 0 {
		c.PartSize = 16 << 20
	}
	if c.PartSize < 5<<20 {
		return nil, errors.New("s3: a part has 5 MiB at least")
	}
	b := &Bucket{config: c}
	switch kms, ok := strings.CutPrefix(c.Encryption, "aws:kms:"); {
	case ok:
		b.encryption, err = encrypt.NewSSEKMS(kms, nil)
	case c.Encryption == "AES256":
		b.encryption = encrypt.NewSSE()
	case c.Encryption != "":
		err = fmt.Errorf("s3: unknown encryption %q: want AES256 or aws:kms:KEY", c.Encryption)
	}
	if err != nil {
		return nil, err
	}
	if c.Lock != (Lock{}) && (!c.Lock.mode().IsValid() || c.Lock.For <= 0) {
		return nil, errors.New("s3: Object Lock has the mode governance or compliance, and a time")
	}
	b.transport = newTransport(c)
	b.creds = credentials.New(&signers{fetch: c.Credentials})
	b.client, err = minio.NewCore(u.Host, &minio.Options{
		Creds: b.creds, Secure: u.Scheme == "https", Transport: b.transport, Region: c.Region,
		MaxRetries: 1, // it would wind a body back that its transport may still be reading
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	b.client.SetAppInfo("sallyport", "1")
	return b, nil
}

// Name returns Called.
func (b *Bucket) Name() string { return b.config.Called }

// Close closes idle connections.
func (b *Bucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}

func (b *Bucket) key(name string) string {
	if b.config.Prefix == "" {
		return name
	}
	return b.config.Prefix + "/" + name
}

// check holds, once, that the bucket does what Lock needs.
func (b *Bucket) check(ctx context.Context) error {
	b.mu.Lock()
	ready := b.ready
	b.mu.Unlock()
	if ready || b.config.Lock == (Lock{}) {
		return nil
	}
	v, err := b.client.GetBucketVersioning(ctx, b.config.Bucket)
	if err != nil {
		return b.failed("versioning of the bucket", err)
	}
	if !v.Enabled() {
		return fmt.Errorf("s3: bucket %s keeps no versions, and Object Lock is asked for", b.config.Bucket)
	}
	lock, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.config.Bucket)
	if code(err) == "ObjectLockConfigurationNotFoundError" || err == nil && lock != "Enabled" {
		return fmt.Errorf("s3: bucket %s was made without Object Lock, and it is asked for", b.config.Bucket)
	}
	if err != nil {
		return b.failed("Object Lock of the bucket", err)
	}
	b.mu.Lock()
	b.ready = true
	b.mu.Unlock()
	return nil
}

// signers fetches credentials for the client.
type signers struct {
	fetch func(ctx context.Context) (Credentials, error)

	mu    sync.Mutex
	until time.Time
}

// RetrieveWithCredContext fetches them.
func (s *signers) RetrieveWithCredContext(c *credentials.CredContext) (credentials.Value, error) {
	ctx := context.Background()
	if c != nil && c.Context != nil {
		ctx = c.Context
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	v, err := s.fetch(ctx)
	if err != nil {
		return credentials.Value{}, err
	}
	s.mu.Lock()
	s.until = time.Now().Add(time.Minute)
	s.mu.Unlock()
	return credentials.Value{AccessKeyID: v.AccessKey, SecretAccessKey: v.SecretKey, SessionToken: v.SessionToken, SignerType: credentials.SignatureV4}, nil
}

// Retrieve fetches them.
func (s *signers) Retrieve() (credentials.Value, error) { return s.RetrieveWithCredContext(nil) }

// IsExpired reports whether they are to be fetched again.
func (s *signers) IsExpired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().After(s.until)
}
