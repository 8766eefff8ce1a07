package aws

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// TestAttackSlow: a client that stops sending a body which may be sent on keeps neither the gateway nor the account waiting. What came is not
// taken for a whole body, and the client may send the request again.
func TestAttackSlow(t *testing.T) {
	for name, a := range map[string]ask{
		"of unknown content": {word: sigv4.Unsigned, body: "hello"},
		"with a digest":      {body: "hello"},
		"with a trailer": {word: sigv4.StreamUnsignedTrailer, body: encoded("hello"), headers: []string{
			"Content-Encoding", "aws-chunked", "X-Amz-Trailer", "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "5",
		}},
		"empty, with a trailer": {word: sigv4.StreamUnsignedTrailer, body: encoded(""), headers: []string{
			"Content-Encoding", "aws-chunked", "X-Amz-Trailer", "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "0",
		}},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", HTTP/2 ", h2), func(t *testing.T) {
				address, got := raw(t, fine)
				r := startAt(t, address, ownID, ownKey, func(r *rig) { r.handler.patience = time.Millisecond })
				a.method, a.uri = "PUT", "/bucket/key"
				req := r.request(r.keys("alice"), a)
				pr, pw := io.Pipe()
				defer pw.Close()
				go func() { _, _ = io.WriteString(pw, a.body[:3]) }()
				req.Body, req.GetBody = pr, nil
				var res *http.Response
				if h2 {
					c := r.client()
					c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
					var err error
					res, err = c.Do(req)
					require.NoError(t, err)
				} else {
					c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.ca.Pool, ServerName: domain, NextProtos: []string{"http/1.1"}})
					require.NoError(t, err)
					defer c.Close()
					require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
					_, err = fmt.Fprintf(c, "PUT /bucket/key HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", domain, len(a.body))
					require.NoError(t, err)
					require.NoError(t, req.Header.Write(c))
					_, err = io.WriteString(c, "\r\n"+a.body[:3])
					require.NoError(t, err)
					in := bufio.NewReader(c)
					res, err = http.ReadResponse(in, req)
					require.NoError(t, err)
					defer func() {
						_, err = in.ReadByte()
						require.ErrorIs(t, err, io.EOF, "the connection is closed")
					}()
				}
				text, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, http.StatusBadRequest, res.StatusCode, string(text))
				require.Contains(t, string(text), "<Code>RequestTimeout</Code>")
				for _, w := range got() {
					require.True(t, strings.HasPrefix(w.line, "cut: "), w.line)
				}
			})
		}
	}
}

// TestAttackSlowRoom: a body that is read before its signature can be checked, and stops coming, gives its room back.
func TestAttackSlowRoom(t *testing.T) {
	r, sent := start(t, ok, func(r *rig) { r.handler.patience, r.handler.Shared = time.Millisecond, &Shared{} })
	k := r.keys("alice")
	k.Secret = "not known"
	pr, pw := io.Pipe()
	defer pw.Close()
	go func() { _, _ = io.WriteString(pw, "{") }()
	res := r.send(k, ask{
		service: "dynamodb", method: "POST", uri: "/", headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.PutItem"},
		change: func(q *http.Request) { q.Body, q.GetBody, q.ContentLength = pr, nil, -1 },
	})
	require.Equal(t, http.StatusBadRequest, res.StatusCode, res.text)
	require.Equal(t, "RequestTimeout", res.Header.Get("X-Amzn-Errortype"))
	require.Eventually(t, func() bool { return r.handler.Shared.room.held() == 0 }, 10*time.Second, time.Millisecond)
	require.Empty(t, sent())
}

// deadlines are what is set of a connection.
type deadlines struct {
	http.ResponseWriter
	set chan time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set <- t
	return nil
}

// paced is a body each read of which takes a time.
type paced struct {
	takes time.Duration
	until chan time.Time
}

func (p *paced) Read(b []byte) (int, error) {
	select {
	case <-time.After(p.takes):
		return copy(b, "a"), nil
	case <-p.until:
		return 0, io.ErrNoProgress
	}
}

func (p *paced) Close() error { return nil }

// TestAwaited: a body may take any time as a whole, and so may who reads it; nothing may come of it for the bound, and no longer.
func TestAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := make(chan time.Time, 1)
		body := &paced{takes: bodyIdle - time.Millisecond, until: set}
		a := &awaited{ReadCloser: body, from: http.NewResponseController(&deadlines{set: set}), wait: bodyIdle}
		b := make([]byte, 10)
		for range 100 {
			n, err := a.Read(b)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			time.Sleep(time.Hour)
		}
		body.takes = bodyIdle + time.Millisecond
		from := time.Now()
		for range 2 {
			n, err := a.Read(b)
			require.ErrorIs(t, err, errSlow)
			require.Zero(t, n)
			require.Equal(t, bodyIdle, time.Since(from))
		}
		require.Empty(t, set, "it is woken once")
	})
}
