package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAttackSlowBody: a body that does not come is given up, by its time or with the session, and nothing of it is sent on.
func TestAttackSlowBody(t *testing.T) {
	ended := errors.New("the session has ended")
	for _, c := range []struct {
		name string
		body *Body
		ends bool
		want error
	}{
		{"late", &Body{time: time.Millisecond}, false, os.ErrDeadlineExceeded},
		{"the session ends", &Body{}, true, ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan error, 3)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, end := context.WithCancelCause(r.Context())
				if c.ends {
					end(ended)
				}
				defer end(nil)
				got <- c.body.Buffer(ctx, w, r, 1000)
				_, err := io.ReadAll(r.Body)
				got <- err
				got <- c.body.Buffer(ctx, w, r, 1000)
				w.WriteHeader(http.StatusRequestTimeout)
			}))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
			require.NoError(t, err)
			for range 3 {
				err := <-got
				require.ErrorIs(t, err, c.want)
				require.Equal(t, "it did not come whole, or too slowly", err.Error())
			}
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			_, err = in.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection is closed")
		})
	}
}

// TestBuffer: what was read in time is sent on, however slowly the rest of the exchange goes.
func TestBuffer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &Body{time: time.Minute}
		limit := int64(3)
		if r.URL.Path == "/long" {
			limit = 2
		}
		err := b.Buffer(r.Context(), w, r, limit)
		if r.URL.Path == "/long" && !errors.Is(err, errLong) || r.URL.Path != "/long" && (err != nil || string(b.Bytes()) != "abc") {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	for _, path := range []string{"/", "/long", "/"} { // on one connection
		pr, pw := io.Pipe()
		go func() {
			_, _ = io.WriteString(pw, "ab")
			_, _ = io.WriteString(pw, "c")
			pw.Close()
		}()
		res, err := http.Post(server.URL+path, "text/plain", pr)
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode, path)
		require.Equal(t, "abc", string(b), path)
	}
}
