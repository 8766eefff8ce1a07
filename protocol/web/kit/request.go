package kit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/web"
)

// here is the host of requests to the handler: what they are for is said otherwise.
const here = "gateway.invalid"

// request sends one request over c, a connection to a handler, and follows nothing that its answer says.
func request(ctx context.Context, c net.Conn, q protocol.Request) (*protocol.Response, error) {
	defer c.Close()
	if cause := context.Cause(ctx); cause != nil {
		return nil, &protocol.UnansweredError{Message: cause.Error()}
	}
	path, err := url.PathUnescape(q.Path)
	if err != nil {
		return nil, &protocol.UnansweredError{Message: "the path is not encoded as one", Refused: true}
	}
	r, err := http.NewRequest(q.Method, "http://"+here+"/", bytes.NewReader(q.Body))
	if err != nil {
		return nil, &protocol.UnansweredError{Message: err.Error(), Refused: true}
	}
	r.URL = &url.URL{Scheme: "http", Host: here, Path: path, RawPath: q.Path, RawQuery: q.Query}
	if r.URL.EscapedPath() != q.Path || !strings.HasPrefix(path, "/") {
		return nil, &protocol.UnansweredError{Message: "the path is not encoded as one", Refused: true}
	}
	for name, values := range q.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header.Set(web.TargetHeader, web.Target(q.Resource, q.Account))
	r.GetBody = nil // it is sent once
	var dialed atomic.Bool
	waits, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	defer context.AfterFunc(ctx, func() {
		leave(waits, c)
		cut(context.Cause(ctx))
	})()
	t := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if dialed.Swap(true) {
				return nil, errors.New("the connection was used already")
			}
			return c, nil
		},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10,
	}
	defer t.CloseIdleConnections()
	res, err := t.RoundTrip(r.WithContext(waits))
	if err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, q.Limit+1))
	if err != nil {
		return &protocol.Response{Status: res.StatusCode}, cmp.Or(context.Cause(ctx), err)
	}
	if own := res.Header.Get(web.AnswerHeader); own != "" {
		err := unanswered(own, res.Status, body)
		if cause := context.Cause(ctx); cause != nil && !err.Asked { // it says that the client has left, and not why
			err = &protocol.UnansweredError{Message: cause.Error()}
		}
		return nil, err
	}
	got := &protocol.Response{Status: res.StatusCode, Header: res.Header, Body: body, Cut: int64(len(body)) > q.Limit}
	if got.Cut {
		got.Body = body[:q.Limit]
	}
	return got, nil
}

// leaveTime is how long a handler may take to answer a client that has left.
const leaveTime = 10 * time.Second

// leave tells the handler that nobody waits for the answer any more, by the end of what it reads, and waits until it has said whether
// the application may have got the request.
func leave(waits context.Context, c net.Conn) {
	w, ok := c.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	t := time.NewTimer(leaveTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-waits.Done():
	}
}

// unanswered is what the gateway says in the place of the application.
func unanswered(own, status string, body []byte) *protocol.UnansweredError {
	var said struct{ Message, Remedy string }
	if json.Unmarshal(body, &said) != nil || said.Message == "" { // there is no body after HEAD
		said.Message = "The gateway answers " + status + "."
	}
	return &protocol.UnansweredError{
		Message: strings.TrimSpace(said.Message + " " + said.Remedy), Refused: own == web.AnswerRefused, Asked: own != web.AnswerRefused && own != web.AnswerUnsent,
	}
}
