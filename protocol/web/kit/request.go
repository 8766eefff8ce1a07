package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/web"
)

// here is the host of requests to the handler: what they are for is said otherwise.
const here = "gateway.invalid"

// request sends one request over c, a connection to a handler, and follows nothing that its answer says.
func request(ctx context.Context, c net.Conn, q protocol.Request) (*protocol.Response, error) {
	defer c.Close()
	path, err := url.PathUnescape(q.Path)
	if err != nil {
		return nil, &protocol.UnansweredError{Message: "the path is not encoded as one", Refused: true}
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, "http://"+here+"/", bytes.NewReader(q.Body))
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
	res, err := t.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, q.Limit+1))
	if err != nil {
		return &protocol.Response{Status: res.StatusCode}, err
	}
	if own := res.Header.Get(web.AnswerHeader); own != "" {
		return nil, unanswered(own, res.Status, body)
	}
	got := &protocol.Response{Status: res.StatusCode, Header: res.Header, Body: body, Cut: int64(len(body)) > q.Limit}
	if got.Cut {
		got.Body = body[:q.Limit]
	}
	return got, nil
}

// unanswered is what the gateway says in the place of the application.
func unanswered(own, status string, body []byte) error {
	var said struct{ Message, Remedy string }
	if json.Unmarshal(body, &said) != nil || said.Message == "" { // there is no body after HEAD
		said.Message = "The gateway answers " + status + "."
	}
	return &protocol.UnansweredError{
		Message: strings.TrimSpace(said.Message + " " + said.Remedy), Refused: own == web.AnswerRefused, Asked: own != web.AnswerRefused && own != web.AnswerUnsent,
	}
}
