package s3

import (
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/testserver"
)

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}

// faults is placed before a server and does to requests what networks and busy
// servers do.
type faults struct {
	to       *httputil.ReverseProxy
	n        atomic.Int64
	requests atomic.Int64 // that came through
}

func newFaults(t *testing.T, server *testserver.S3Server) (*faults, string) {
	t.Helper()
	u, err := url.Parse(server.Endpoint)
	require.NoError(t, err)
	f := &faults{to: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // which is signed
	}}}
	f.to.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return f, "http://" + l.Addr().String()
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch f.n.Add(1) % 7 {
	case 1: // busy
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "<Error><Code>SlowDown</Code></Error>")
	case 2: // cut on the way there
		io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		panic(http.ErrAbortHandler)
	case 3: // cut on the way back: what was asked is done
		f.to.ServeHTTP(&cutShort{w, 10}, r)
	case 4: // does nothing more
		select {
		case <-time.After(20 * time.Second):
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	default:
		f.requests.Add(1)
		f.to.ServeHTTP(w, r)
	}
}

// cutShort breaks an answer off.
type cutShort struct {
	http.ResponseWriter
	left int
}

func (c *cutShort) WriteHeader(code int) {
	if code < 300 {
		c.ResponseWriter.Header().Set("Content-Length", "1000000000")
		c.ResponseWriter.WriteHeader(code)
		return
	}
	panic(http.ErrAbortHandler)
}

func (c *cutShort) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left <= 0 || err != nil {
		panic(http.ErrAbortHandler)
	}
	return len(b), nil
}

// Over a network that cuts, delays and refuses every other request everything
// arrives, once, and is read back whole.
func TestFaults(t *testing.T) {
	server := testserver.S3(t)
	direct := bucket(t, server, "records", true, nil)
	f, endpoint := newFaults(t, server)
	b := open(t, server, "records", func(c *Config) { c.Endpoint, c.Timeout = endpoint, 500*time.Millisecond })
	dir := t.TempDir()
	l := openLog(t, dir)
	for range 6 {
		session(t, l, 1000)
	}
	session(t, l, 22<<20)
	follower, err := l.Copy(b, audit.FollowConfig{Every: time.Millisecond})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return follower.Stats().Sessions == 7 }, 90*time.Second, 10*time.Millisecond)
	require.Greater(t, f.n.Load(), int64(20))
	require.NoError(t, l.Close())
	l = openLog(t, dir) // what was left when it was closed
	_, err = l.Copy(direct, audit.FollowConfig{Every: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, l.Close())

	require.Empty(t, verified(t, direct, l.PublicKey()).Problems)
	seen := make(map[string]bool)
	for o := range admin(t, server).ListObjects(ctx, "records", minio.ListObjectsOptions{Prefix: "gw/one/sessions/", Recursive: true, WithVersions: true}) {
		require.NoError(t, o.Err)
		require.False(t, seen[o.Key], "%s is there twice", o.Key)
		seen[o.Key] = true
	}
	require.Len(t, seen, 9)
	require.Empty(t, verified(t, b, l.PublicKey()).Problems, "through the faults")

	large := make([]byte, 11<<20)
	rand.Read(large)
	require.NoError(t, direct.Put(ctx, object("large", large)))
	require.Equal(t, large, get(t, b, "large"), "taken up where it broke off")
}
