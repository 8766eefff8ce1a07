// Package client asks a gateway by its API: the one on this machine, at its local socket,
// and others by TLS. Package control has the types of what is asked and answered.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// ErrUnreachable says that no gateway answers: the request was not made, and nothing was
// done.
var ErrUnreachable = errors.New("no gateway answers")

// Client asks a running gateway: over its local socket, as the user of this process, or by
// TLS, as its token or certificate proves. At the socket it keeps no connection between two
// requests. It is safe for concurrent use.
//
// Its methods return a [*control.Error] when the gateway refuses, and an error that wraps
// [ErrUnreachable] when no gateway is there. After any other error it is not known
// whether the gateway did what was asked. A request has no time limit apart from
// ctx.
type Client struct {
	http    http.Client
	base    string
	token   proxy.Secret
	version string
}

// Socket returns a client of the gateway that listens on the socket at this path.
// It does not connect.
func Socket(path string) *Client {
	return &Client{base: "http://gateway", http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}}
}

// dial connects to a gateway.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // a gateway may be there
	}
	return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, address, err)
}

// Sessions lists the open sessions, oldest first.
func (c *Client) Sessions(ctx context.Context) ([]control.Session, error) {
	var all control.Sessions
	err := c.call(ctx, http.MethodGet, "/v1/sessions", nil, &all)
	return all.Sessions, err
}

// Session describes one open session.
func (c *Client) Session(ctx context.Context, id string) (*control.Session, error) {
	return get[control.Session](ctx, c, http.MethodGet, "/v1/sessions/"+url.PathEscape(id), nil)
}

// Kill ends an open session and returns what it was. The reason is told to its
// user and recorded; it must not be empty.
func (c *Client) Kill(ctx context.Context, id, reason string) (*control.Session, error) {
	return get[control.Session](ctx, c, http.MethodPost, "/v1/sessions/"+url.PathEscape(id)+"/kill", control.KillRequest{Reason: reason})
}

// Message writes to the user of an open session, and reports whether she is told at once.
func (c *Client) Message(ctx context.Context, id, text string) (*control.Messaged, error) {
	return get[control.Messaged](ctx, c, http.MethodPost, "/v1/sessions/"+url.PathEscape(id)+"/message", control.MessageRequest{Text: text})
}

// Freeze has an open session wait until Unfreeze. The reason is told to its user, and recorded; it must not be empty.
func (c *Client) Freeze(ctx context.Context, id, reason string) (*control.Session, error) {
	return get[control.Session](ctx, c, http.MethodPost, "/v1/sessions/"+url.PathEscape(id)+"/freeze", control.FreezeRequest{Reason: reason})
}

// Unfreeze has a session go on that was frozen. The reason is recorded; it must not be empty.
func (c *Client) Unfreeze(ctx context.Context, id, reason string) (*control.Session, error) {
	return get[control.Session](ctx, c, http.MethodPost, "/v1/sessions/"+url.PathEscape(id)+"/unfreeze", control.FreezeRequest{Reason: reason})
}

// Erase destroys the content of a recorded session. The reason is recorded; it must
// not be empty.
func (c *Client) Erase(ctx context.Context, id, reason string) error {
	return c.onRecord(ctx, id, "erase", reason)
}

// Hold keeps a recorded session from being erased, until Release. The reason is
// recorded; it must not be empty.
func (c *Client) Hold(ctx context.Context, id, reason string) error {
	return c.onRecord(ctx, id, "hold", reason)
}

// Release ends what Hold began. The reason is recorded; it must not be empty.
func (c *Client) Release(ctx context.Context, id, reason string) error {
	return c.onRecord(ctx, id, "release", reason)
}

func (c *Client) onRecord(ctx context.Context, id, verb, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/sessions/"+url.PathEscape(id)+"/"+verb, control.ReasonRequest{Reason: reason}, nil)
}

// Requests lists the operations that wait for a decision, and access that is asked for or granted, the oldest first; with past
// also what of the latter is over.
func (c *Client) Requests(ctx context.Context, past bool) ([]review.Request, error) {
	var all control.Requests
	path := "/v1/requests"
	if past {
		path += "?past=true"
	}
	err := c.call(ctx, http.MethodGet, path, nil, &all)
	return all.Requests, err
}

// Request describes one operation that waits for a decision, or was decided a short
// time ago.
func (c *Client) Request(ctx context.Context, id string) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodGet, "/v1/requests/"+url.PathEscape(id), nil)
}

// Approve lets a held operation run and returns the request as it was decided.
func (c *Client) Approve(ctx context.Context, id string, d control.Decision) (*review.Request, error) {
	return c.decide(ctx, id, "approve", d)
}

// Deny refuses a held operation and returns the request as it was decided. It needs a
// reason.
func (c *Client) Deny(ctx context.Context, id string, d control.Decision) (*review.Request, error) {
	return c.decide(ctx, id, "deny", d)
}

// Propose says what one would grant in the place of what is asked for, with a reason.
func (c *Client) Propose(ctx context.Context, id string, d control.Decision) (*review.Request, error) {
	return c.decide(ctx, id, "propose", d)
}

// Reveal returns a request with what is masked of it for its approvers.
func (c *Client) Reveal(ctx context.Context, id string, d control.Decision) (*review.Request, error) {
	return c.decide(ctx, id, "reveal", d)
}

// decisionBody is a decision as it travels: a password leaves its Secret here, and nowhere
// else.
type decisionBody struct {
	control.Decision
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"`
}

func (c *Client) decide(ctx context.Context, id, verb string, d control.Decision) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests/"+url.PathEscape(id)+"/"+verb, decisionBody{d, d.Password.Reveal(), d.Code.Reveal()})
}

// Detokenised records that a masked value was turned back, or was not. The
// value is shown only when this returns nil.
func (c *Client) Detokenised(ctx context.Context, r control.DetokenisedRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/detokenised", r, nil)
}

// maxLine bounds what is read of one event; the record bounds its events to less.
const maxLine = 64 << 20

// Watch reads the record of an open session from its beginning and goes on as it is
// written, until the session ends. An event is a JSON object without a line break,
// which [audit.Event] decodes, valid until the next. The sequence ends after an
// error; when ctx ends, the error is that of ctx.
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		body, err := c.open(ctx, http.MethodGet, "/v1/sessions/"+url.PathEscape(id)+"/watch", nil)
		if err != nil {
			yield(nil, err)
			return
		}
		defer body.Close()
		lines := bufio.NewReader(body)
		var line []byte
		for {
			line, err = readLine(lines, line[:0])
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && !json.Valid(line) {
				err = errors.New("got a line that is not JSON")
			}
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, fmt.Errorf("watching session %s: %w", id, err))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}

// readLine appends the next line to b, without its line break. It returns io.EOF
// after the last line, and io.ErrUnexpectedEOF when a line is cut off.
func readLine(r *bufio.Reader, b []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case err == nil:
			return b[:len(b)-1], nil
		case len(b) > maxLine:
			return b, fmt.Errorf("an event is longer than %d bytes", maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(b) > 0:
			return b, io.ErrUnexpectedEOF
		default:
			return b, err
		}
	}
}

// maxAnswer bounds what is read of an answer that is one JSON value, in bytes.
const maxAnswer = 256 << 20

// open makes a request and returns the answer's body, which the caller closes.
// body is sent as JSON unless it is nil.
func (c *Client) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, &b)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return c.send(r)
}

// send makes a request, and returns the body of an answer that is not a failure.
func (c *Client) send(r *http.Request) (io.ReadCloser, error) {
	if !c.token.Empty() {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	if c.version != "" {
		r.Header.Set(control.ClientHeader, c.version)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, unwrapped(err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, failed(resp)
}

// unwrapped is an error of a request, without its address where that tells nothing.
func unwrapped(err error) error {
	var outer *url.Error
	if errors.Is(err, ErrUnreachable) && errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// failed is what an answer says of a failure.
func failed(resp *http.Response) error {
	var answer struct{ Error *control.Error }
	err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer)
	if err == nil && answer.Error != nil {
		answer.Error.Status = resp.StatusCode
		return answer.Error
	}
	// Pages for browsers do not answer as the API does.
	codes := map[int]string{
		http.StatusUnauthorized: control.CodeUnauthenticated, http.StatusForbidden: control.CodeUnauthenticated,
		http.StatusNotFound: control.CodeNotFound, http.StatusBadRequest: control.CodeBadRequest, http.StatusTooManyRequests: control.CodeBusy,
	}
	if code := codes[resp.StatusCode]; code != "" {
		return &control.Error{Status: resp.StatusCode, Code: code, Message: "the gateway answers " + resp.Status}
	}
	return fmt.Errorf("the gateway answers %s and does not say why", resp.Status)
}

// call makes a request and reads its answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, body, out any) error {
	r, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("reading the gateway's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// get makes a request and returns its answer.
func get[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	out := new(T)
	if err := c.call(ctx, method, path, body, out); err != nil {
		return nil, err
	}
	return out, nil
}
