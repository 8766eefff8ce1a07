package aws

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// wire is a request as its bytes are on a connection.
type wire struct {
	conn   int // the number of the connection
	line   string
	header textproto.MIMEHeader
	body   string // as long as Content-Length says
}

// raw is an endpoint that goes by Content-Length alone, as S3 does: what else follows is the next request. answer says what is written; empty:
// the connection is closed.
func raw(t testing.TB, answer func(wire) string) (address string, got func() []wire) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	list := make(chan wire, 1000)
	serve := func(n int, c net.Conn) {
		defer c.Close()
		in := textproto.NewReader(bufio.NewReader(c))
		for {
			w := wire{conn: n}
			if w.line, err = in.ReadLine(); err != nil {
				return
			}
			w.header, _ = in.ReadMIMEHeader() // a line that is not a request shows what it was
			length, _ := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
			body := make([]byte, length)
			if _, err := io.ReadFull(in.R, body); err != nil {
				w.line = "cut: " + w.line
			}
			w.body = string(body)
			list <- w
			text := answer(w)
			if _, err := io.WriteString(c, text); err != nil || text == "" {
				return
			}
		}
	}
	go func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(n, c)
		}
	}()
	return ln.Addr().String(), func() (all []wire) {
		for {
			select {
			case w := <-list:
				all = append(all, w)
			default:
				return all
			}
		}
	}
}

func fine(wire) string { return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }

// encoded is data in the chunks of S3, as the gateway makes them, with its checksum.
func encoded(data string) string {
	var b strings.Builder
	for i := 0; i < len(data); i += chunk {
		part := data[i:min(i+chunk, len(data))]
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(data)))
	return b.String() + "0\r\nx-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(sum) + "\r\n\r\n"
}

// TestAttackFraming: however a client frames a body, the account gets it with its length, and nothing follows it on the connection that could be
// read as a request. A body in the chunks of HTTP is read in two ways by servers that read the chunks of S3 in it, and stop at their end.
func TestAttackFraming(t *testing.T) {
	address, got := raw(t, fine)
	r := startAt(t, address, ownID, ownKey)
	k := r.keys("alice")
	at := time.Now()
	trailer := func(data string) ask {
		return ask{
			method: "PUT", uri: "/bucket/key", word: sigv4.StreamUnsignedTrailer, body: encoded(data),
			headers: []string{"Content-Encoding", "aws-chunked", "X-Amz-Trailer", "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", fmt.Sprint(len(data))},
		}
	}
	plain := func(a ask) *http.Request {
		at = at.Add(-time.Second) // each signature is another one
		a.at = at
		return r.request(k, a)
	}
	dynamo := []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.PutItem"}
	cases := map[string]struct {
		req  func() *http.Request
		want string
	}{
		"trailer":                {func() *http.Request { return r.request(k, trailer("hello")) }, encoded("hello")},
		"trailer, one chunk":     {func() *http.Request { return r.request(k, trailer(strings.Repeat("a", chunk))) }, encoded(strings.Repeat("a", chunk))},
		"trailer, and some more": {func() *http.Request { return r.request(k, trailer(strings.Repeat("a", 3*chunk+1))) }, encoded(strings.Repeat("a", 3*chunk+1))},
		"trailer, empty":         {func() *http.Request { return r.request(k, trailer("")) }, ""},
		"signed chunks":          {func() *http.Request { at = at.Add(-time.Second); return r.signedChunks(k, at, "hello", nil) }, "hello"},
		"digest": {func() *http.Request {
			return plain(ask{service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"a"}`, headers: dynamo})
		}, `{"TableName":"a"}`},
		"of an unknown service": {func() *http.Request {
			return plain(ask{service: "polly", method: "POST", uri: "/v1/speech", body: "{}"})
		}, "{}"},
	}
	for name, c := range cases {
		for _, way := range []string{"length", "chunks", "HTTP/2"} {
			req := c.req()
			client := r.client()
			switch {
			case way == "HTTP/2":
				client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
				fallthrough
			case way == "chunks":
				req.ContentLength = -1
				req.GetBody = nil
			}
			res, err := client.Do(req)
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			res.Body.Close()
			require.Equal(t, http.StatusOK, res.StatusCode, "%s, %s: %s", name, way, text)
			list := got()
			require.Len(t, list, 1, "%s, %s", name, way)
			require.Equal(t, c.want, list[0].body, "%s, %s", name, way)
			require.Equal(t, fmt.Sprint(len(c.want)), list[0].header.Get("Content-Length"), "%s, %s", name, way)
			require.NotContains(t, list[0].header, "Transfer-Encoding", "%s, %s", name, way)
			require.Zero(t, list[0].conn, "%s, %s: the connection is used again, and is where it should be", name, way)
		}
	}
}

// TestAttackLength: a body whose length cannot be told before it is sent is refused, as S3 refuses it, and so is a checksum that changes the length
// of the body.
func TestAttackLength(t *testing.T) {
	address, got := raw(t, fine)
	r := startAt(t, address, ownID, ownKey)
	k := r.keys("alice")
	for _, word := range []string{sigv4.Unsigned, ""} {
		req := r.request(k, ask{method: "PUT", uri: "/bucket/key", word: word, body: "hello"})
		req.ContentLength, req.GetBody = -1, nil
		res := r.do(req)
		require.Equal(t, http.StatusLengthRequired, res.StatusCode, res.text)
		require.Contains(t, res.text, "MissingContentLength")
	}
	for name, value := range map[string]string{"x-amz-checksum-other": "NhCmhg==", "x-amz-checksum-crc32": "NhCmhg==NhCmhg=="} {
		res := r.send(k, ask{
			method: "PUT", uri: "/bucket/key", word: sigv4.StreamUnsignedTrailer, body: "5\r\nhello\r\n0\r\n" + name + ":" + value + "\r\n\r\n",
			headers: []string{"Content-Encoding", "aws-chunked", "X-Amz-Trailer", name, "X-Amz-Decoded-Content-Length", "5"},
		})
		require.GreaterOrEqual(t, res.StatusCode, 400, "%s %s", name, res.text)
		require.Less(t, res.StatusCode, 500, "%s %s", name, res.text)
	}
	for _, w := range got() {
		require.True(t, strings.HasPrefix(w.line, "cut: "), w.line)
	}
}
