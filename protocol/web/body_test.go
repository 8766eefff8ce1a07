package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

// masked has the default masking in place.
func masked(t testing.TB) change {
	return func(r *rig) {
		m, err := masking.New(masking.Config{})
		require.NoError(t, err)
		r.gateway.Interceptors = append(r.gateway.Interceptors, m)
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.Bytes()
}

const person = `{"email":"ann@example.com","ssn":"\u0030\u0037\u0038-05-1120","ssn":"219-09-9999","n":4111111111111111,"ok":true}`

// TestMaskedBodies: bodies of every type that holds text are masked, and every other byte stays.
func TestMaskedBodies(t *testing.T) {
	const maskedPerson = `{"email":"a**@*******.com","ssn":"********","ssn":"***-**-****","n":null,"ok":true}`
	for _, c := range []struct{ name, media, body, want string }{
		{"JSON", "application/json", person, maskedPerson},
		{"BOM", "application/json", "\ufeff" + person, "\ufeff" + maskedPerson},
		{"NDJSON", "application/x-ndjson", person + "\n" + person + "\n", maskedPerson + "\n" + maskedPerson + "\n"},
		{"problem", "application/problem+json", person, maskedPerson},
		{"SSE", "text/event-stream", "data: " + person + "\n\n", "data: " + maskedPerson + "\n\n"},
		{"CSV", "text/csv", "id,email\n1,ann@example.com\n", "id,email\n1,a**@*******.com\n"},
		{"text", "text/plain", "mail ann@example.com now", "mail ***@*******.*** now"},
		{"HTML", "text/html; charset=utf-8", "<p>ann@example.com</p>", "<p>a**@*******.com</p>"},
		{"no type", "", person, maskedPerson},
		{"a wrong type", "image/png", person, maskedPerson},
		{"JSONP", "text/javascript", "cb(" + person + ")", "cb(" + maskedPerson + ")"},
		{"a script", "text/javascript", "const owner = 'ann@example.com'", "const owner = 'ann@example.com'"},
		{"a picture", "image/png", "\x89PNG\r\n\x1a\n\x00 ann@example.com", "\x89PNG\r\n\x1a\n\x00 ann@example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, packed := range []bool{false, true} {
				r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					h := w.Header()
					h["Content-Type"] = nil
					if c.media != "" {
						h.Set("Content-Type", c.media)
					}
					h.Set("ETag", `"1"`)
					h.Set("Cache-Control", "public, max-age=60, s-maxage=600")
					h.Set("Content-Digest", "sha-256=:x:")
					body := []byte(c.body)
					if packed {
						h.Set("Content-Encoding", "gzip")
						body = zipped(c.body)
					}
					for _, b := range body { // values come in pieces
						_, _ = w.Write([]byte{b})
					}
					_ = q
				}), masked(t))
				res := r.get("/", "Accept-Encoding", "gzip, br, zstd", "Range", "bytes=0-3", "If-None-Match", `"1"`)
				require.Equal(t, http.StatusOK, res.StatusCode, res.text)
				require.Equal(t, c.want, res.text)
				require.Empty(t, res.Header.Get("Content-Encoding"))
				if c.want != c.body {
					require.Empty(t, res.Header.Get("ETag"))
					require.Empty(t, res.Header.Get("Content-Digest"))
					require.Equal(t, "private, max-age=60", res.Header.Get("Cache-Control"))
					require.Equal(t, "Cookie, Authorization", res.Header.Get("Vary"))
				}
			}
		})
	}
}

// TestAttackWithheld: what cannot be looked at does not come through.
func TestAttackWithheld(t *testing.T) {
	bomb := zipped(strings.Repeat("0", 128<<20))
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain")
		switch q.URL.Path {
		case "/br":
			h.Set("Content-Encoding", "br")
		case "/twice":
			h.Set("Content-Encoding", "gzip, gzip")
		case "/lie":
			h.Set("Content-Encoding", "gzip")
		case "/part":
			h.Set("Content-Range", "bytes 0-3/99")
			w.WriteHeader(http.StatusPartialContent)
		case "/wide":
			h.Set("Content-Type", "application/json; charset=UTF-16LE")
		case "/marked":
			_, _ = io.WriteString(w, "\xff\xfea\x00n\x00n\x00@\x00")
			return
		case "/bomb":
			h.Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
			return
		case "/late":
			h.Set("Content-Encoding", "gzip")
			b := zipped(strings.Repeat("nothing here. ", 10000) + "ann@example.com")
			_, _ = w.Write(b[:len(b)-20])
			return
		}
		_, _ = io.WriteString(w, "mail ann@example.com now")
	}), masked(t))
	for _, path := range []string{"/br", "/twice", "/lie", "/part", "/wide"} {
		res := r.get(path)
		require.Equal(t, http.StatusBadGateway, res.StatusCode, path)
		require.Contains(t, res.text, "withheld", path)
		require.NotContains(t, res.text, "ann@", path)
	}
	for _, path := range []string{"/bomb", "/late", "/marked"} {
		req := must(http.NewRequest("GET", r.url(path), nil))
		req.Header.Set("Authorization", "Bearer sp_bob")
		res, err := r.client().Do(req)
		if err != nil { // what begins with bytes that are withheld may be cut before its head is sent
			require.ErrorIs(t, err, io.EOF, path)
			require.Equal(t, "/marked", path)
			continue
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		require.Error(t, err, "%s: the answer ends as one that is not whole", path)
		require.Less(t, n, int64(100<<20))
	}
	require.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(r.rules.outcomes()), "withheld: it becomes more than") }, 5*time.Second, time.Millisecond)
}

// broken is an interceptor whose filter fails after a while.
type broken struct{ after int }

func (broken) Name() string { return "broken" }

func (b broken) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		n := 0
		return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
			if n += len(src); n > b.after {
				return append(dst, src...), fmt.Errorf("it broke")
			}
			return append(dst, src...), nil
		}}, nil
	}}, nil
}

// TestAttackFilterFails: what a filter has failed at is not passed on, not even the part that it had let go.
func TestAttackFilterFails(t *testing.T) {
	read := make(chan struct{})
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-read
		_, _ = io.WriteString(w, "secret")
	}), func(r *rig) { r.gateway.Interceptors = append(r.gateway.Interceptors, broken{after: 6}) })
	req := must(http.NewRequest("GET", r.url("/"), nil))
	req.Header.Set("Authorization", "Bearer sp_bob")
	res, err := r.client().Do(req)
	require.NoError(t, err)
	first := make([]byte, 6)
	_, err = io.ReadFull(res.Body, first)
	require.NoError(t, err)
	close(read)
	b, err := io.ReadAll(res.Body)
	require.Error(t, err)
	require.Empty(t, b)
}

// TestMaskedStream: an event comes when it has happened, not with the next one.
func TestMaskedStream(t *testing.T) {
	next := make(chan string)
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", q.Header.Get("X-Type"))
		for text := range next {
			_, _ = io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
	}), masked(t))
	req := must(http.NewRequest("GET", r.url("/"), nil))
	req.Header.Set("Authorization", "Bearer sp_bob")
	req.Header.Set("X-Type", "text/event-stream")
	go func() { next <- "data: ann@example.com\n\n" }()
	res, err := r.client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"data: a**@*******.com\n", "\n"} {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	next <- "data: two\n\n"
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: two\n", line)
	close(next)
}

// TestMaskedHeaders: texts in headers are masked, a redirect's too, and secrets of the application's own stay.
func TestMaskedHeaders(t *testing.T) {
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/next?mail=ann@example.com")
		w.Header().Set("X-Owner", "ann@example.com")
		w.Header().Set("Set-Cookie", "session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl")
		w.WriteHeader(http.StatusFound)
	}), masked(t))
	res := r.get("/")
	require.Equal(t, "/next?mail=a**@*******.com", res.Header.Get("Location"))
	require.Equal(t, "a**@*******.com", res.Header.Get("X-Owner"))
	require.Contains(t, res.Header.Get("Set-Cookie"), "eyJzdWIiOiJhbm4ifQ")
}

// TestMaskedTrailers: texts that follow a body are masked, whether they were announced or not, and what masking withholds does not pass.
func TestMaskedTrailers(t *testing.T) {
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/grpc" {
			w.Header().Set("Content-Type", "application/grpc")
		}
		w.Header().Set("Trailer", "Grpc-Message")
		w.(http.Flusher).Flush()
		w.Header().Set("Grpc-Message", "no user ann@example.com")
		w.Header().Set(http.TrailerPrefix+"X-Owner", "ann@example.com")
	}), masked(t))
	for _, path := range []string{"/grpc", "/plain"} {
		req := must(http.NewRequest("GET", r.url(path), nil))
		req.Header.Set("Authorization", "Bearer sp_bob")
		res := r.send(r.client2(), req)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "no user a**@*******.com", res.Trailer.Get("Grpc-Message"), path)
		require.Equal(t, "a**@*******.com", res.Trailer.Get("X-Owner"), path)
	}
	r = start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Owner")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Owner", "ann@example.com")
	}), func(r *rig) {
		r.rules.Hooks.Flow = func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) { return proxy.Filter{}, nil }
		r.rules.Hooks.Tell = func(_ context.Context, _ proxy.Op, m *proxy.Message) error {
			if strings.Contains(string(m.Fields[0].Value), "ann@") {
				return errors.New("cannot be looked at")
			}
			return nil
		}
	})
	req := must(http.NewRequest("GET", r.url("/"), nil))
	req.Header.Set("Authorization", "Bearer sp_bob")
	res, err := r.client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	_, err = io.ReadAll(res.Body)
	require.Error(t, err)
	require.NotContains(t, res.Trailer.Get("X-Owner"), "ann@")
}

// TestTellAlone: an interceptor that looks at texts and at no data edits them all the same.
func TestTellAlone(t *testing.T) {
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("X-Owner", q.URL.Query().Get("owner"))
	}), func(r *rig) {
		r.rules.Hooks.Tell = func(_ context.Context, _ proxy.Op, m *proxy.Message) error {
			if string(m.Fields[0].Value) == "ann" {
				m.Set(0, []byte("***"))
			}
			return nil
		}
	})
	require.Equal(t, "bob", r.get("/?owner=bob").Header.Get("X-Owner"))
	require.Equal(t, "***", r.get("/?owner=ann").Header.Get("X-Owner"))
}

// TestMaskedGRPC: messages are masked and stay as long as they were, and what follows them comes through.
func TestMaskedGRPC(t *testing.T) {
	message := func(text string) []byte {
		b := append([]byte{0x0a, byte(len(text))}, text...) // field 1, a string
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
	}
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		if q.Header.Get("Grpc-Accept-Encoding") != "" || q.URL.Path == "/s/Packed" {
			w.Header().Set("Grpc-Encoding", "gzip")
		}
		for _, text := range []string{"ann@example.com", "nothing"} {
			_, _ = w.Write(message(text))
		}
		w.Header().Set("Grpc-Status", "0")
	}), masked(t))
	call := func(path string) *reply {
		req := must(http.NewRequest("POST", r.url(path), bytes.NewReader(message("in"))))
		req.Header.Set("Authorization", "Bearer sp_bob")
		return r.send(r.client2(), req, "Content-Type", "application/grpc", "Te", "trailers", "Grpc-Accept-Encoding", "gzip")
	}
	res := call("/s/Do")
	require.Equal(t, string(message("***@*******.***"))+string(message("nothing")), res.text)
	require.Equal(t, "0", res.Trailer.Get("Grpc-Status"))
	require.Equal(t, "14", call("/s/Packed").Header.Get("Grpc-Status"))
}

// TestMaskedSocket: text that an application sends over a WebSocket is masked message by message, in whatever frames it comes.
func TestMaskedSocket(t *testing.T) {
	frames := [][]byte{
		{0x01, 4, 'a', 'n', 'n', '@'},
		{0x89, 1, 'p'},
		append([]byte{0x00, 8}, "example."...), append([]byte{0x80, 3}, "com"...),
		append([]byte{0x81, byte(len(`{"ssn":"078-05-1120"}`))}, `{"ssn":"078-05-1120"}`...), append([]byte{0x82, 3}, 1, 2, 3),
		{0x88, 2, 3, 0xe8},
	}
	asked := make(chan string, 1)
	at := rawSocket(t, asked, frames)
	r := startAt(t, at, masked(t))
	c := r.dial()
	_, err := io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: "+r.host()+"\r\nAuthorization: Bearer sp_bob\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
	require.NoError(t, err)
	b := bufio.NewReader(c)
	res, err := http.ReadResponse(b, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	require.Empty(t, <-asked, "compression is not asked for")
	var want []byte
	for _, f := range [][]byte{
		{0x89, 1, 'p'}, append([]byte{0x81, 15}, "***@*******.***"...), append([]byte{0x81, 21}, `{"ssn":"***-**-****"}`...), {0x82, 3, 1, 2, 3}, {0x88, 2, 3, 0xe8},
	} {
		want = append(want, f...)
	}
	got := make([]byte, len(want))
	_, err = io.ReadFull(b, got)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
