package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// Subprotocols of WebSockets.
const (
	channelV5 = "v5.channel.k8s.io"
	channelV4 = "v4.channel.k8s.io"
	tunnel    = "SPDY/3.1+portforward.k8s.io"
)

// maxMessage bounds one message of a WebSocket.
const maxMessage = 1 << 20

// upgrade connects the client to what runs in a pod.
func (x *exchange) upgrade(ctx context.Context, up *relay.Upstream, own http.Header, c *proxy.Credential, out *proxy.Outcome) {
	if x.spdy() {
		out.Err = errSPDY
		x.refuse(http.StatusBadRequest, errSPDY.Error())
		return
	}
	speaks := []string{channelV5, channelV4}
	exec, command := x.op.(*proxy.Exec)
	if !command {
		speaks = []string{tunnel}
	}
	offered := slices.DeleteFunc(subprotocols(x.r), func(p string) bool { return !slices.Contains(speaks, p) })
	if len(offered) == 0 {
		out.Err = errors.New("the client speaks no protocol of streams that the gateway knows")
		x.refuse(http.StatusBadRequest, "the gateway speaks "+strings.Join(speaks, " and ")+" here", "Use kubectl 1.31 or later.")
		return
	}
	var s *streams
	var err error
	if command {
		if s, err = newStreams(x.visit.Session(), exec, out); err != nil {
			out.Err = err
			x.refuse(http.StatusForbidden, err.Error())
			return
		}
	}
	to := url.URL{Scheme: up.Scheme, Host: up.Host, Path: x.r.URL.Path, RawPath: x.r.URL.RawPath, RawQuery: x.r.URL.RawQuery}
	server, res, err := websocket.Dial(relay.Hints(ctx), to.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: up.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		HTTPHeader: own, Subprotocols: offered, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		x.declined(res, err, c, out)
		return
	}
	defer server.CloseNow()
	if !slices.Contains(offered, server.Subprotocol()) {
		out.Err = errors.New("the API server speaks another protocol of streams")
		x.refuse(http.StatusBadGateway, out.Err.Error())
		return
	}
	client, err := websocket.Accept(x.w, x.r, &websocket.AcceptOptions{Subprotocols: []string{server.Subprotocol()}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		out.Err = errors.New("the client's request is not one for a WebSocket")
		return // it is answered
	}
	defer client.CloseNow()
	client.SetReadLimit(maxMessage)
	server.SetReadLimit(maxMessage)
	if command {
		s.run(ctx, client, server)
		return
	}
	splice(ctx, x.visit.Session(), client, server, out)
}

// subprotocols are those that a client offers. Some clients put a token among them, which goes nowhere.
func subprotocols(r *http.Request) (list []string) {
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(p))
		}
	}
	return list
}

// declined answers a client whose stream the API server does not open.
func (x *exchange) declined(res *http.Response, err error, c *proxy.Credential, out *proxy.Outcome) {
	if res == nil || res.StatusCode < 400 {
		x.failed(err, out)
		return
	}
	out.Code, out.Err = http.StatusText(res.StatusCode), errors.New("the API server does not open the stream")
	if res.StatusCode == http.StatusUnauthorized && c != nil {
		x.visit.Refused()
	}
	said := status{Message: "the API server does not open the stream"}
	if b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10)); err == nil {
		var s status
		if json.Unmarshal(b, &s) == nil && s.Message != "" {
			said.Message = s.Message
		}
	}
	m := &proxy.Message{Kind: proxy.MessageError, Fields: []proxy.MessageField{{Name: "message", Value: []byte(said.Message)}}}
	if err := x.visit.Session().Tell(x.op, m); err != nil {
		x.refuse(http.StatusBadGateway, "the answer is withheld")
		return
	}
	x.refuse(res.StatusCode, string(m.Fields[0].Value))
}

// splice moves messages between both sides as they are: what is in them is not looked at.
func splice(ctx context.Context, s *proxy.Session, client, server *websocket.Conn, out *proxy.Outcome) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	move := func(to, from *websocket.Conn, count *uint64) error {
		defer end()
		for {
			kind, r, err := from.Reader(ctx)
			if err != nil {
				closeAs(to, err)
				return nil
			}
			w, err := to.Writer(ctx, kind)
			if err != nil {
				return nil
			}
			n, err := io.Copy(w, r)
			*count += uint64(n)
			if err = errors.Join(err, w.Close()); err != nil {
				return nil
			}
		}
	}
	done := make(chan struct{})
	s.Go("kubernetes port-forward", func() error {
		defer close(done)
		return move(server, client, &out.BytesIn)
	})
	out.Err = s.Protect("kubernetes port-forward", func() error { return move(client, server, &out.BytesOut) })
	<-done
}

// closeAs closes a side as the other one was closed.
func closeAs(to *websocket.Conn, err error) {
	if code := websocket.CloseStatus(err); code == websocket.StatusNormalClosure || code == websocket.StatusGoingAway {
		_ = to.Close(code, "")
		return
	}
	_ = to.CloseNow()
}
