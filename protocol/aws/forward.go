package aws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// passed are headers that are sent on although nobody has signed them: they say how a body is read and answered, and
// nothing of what is asked for. Expect is not one of them: the client's body is asked for when the gateway has decided, and an account that
// answers it late is one whose connection cannot be used again.
var passed = []string{
	"Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Content-Md5", "Cache-Control", "Expires", "Range",
	"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
}

// never are headers that are the client's own business, or the gateway's.
var never = []string{
	"Authorization", "X-Amz-Security-Token", "X-Amz-Date", "Host", "Content-Length", "Cookie", "Forwarded", "Via", "X-Amz-Source-Account", "X-Amz-Source-Arn",
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
}

var errCredential = errors.New("the credential is not a pair of keys: want the access key as the user name and the secret key as the password, or both in a JSON object")

// keysOf reads the account's keys: a secret key, or the JSON that AWS gives temporary ones in.
func keysOf(c *proxy.Credential) (sigv4.Keys, error) {
	if c == nil {
		return sigv4.Keys{}, errCredential
	}
	k := sigv4.Keys{ID: c.Username, Secret: c.Password.Reveal(), Token: c.Token.Reveal()}
	if text := k.Secret; strings.HasPrefix(strings.TrimSpace(text), "{") {
		var d Document
		if json.Unmarshal([]byte(text), &d) != nil { // its error may quote the text
			return sigv4.Keys{}, errCredential
		}
		k = sigv4.Keys{ID: d.AccessKeyID, Secret: d.SecretAccessKey, Token: d.SessionToken}
		if k.Token == "" {
			k.Token = d.Token
		}
	}
	k.Secret = strings.TrimSpace(k.Secret)
	if k.ID == "" || k.Secret == "" || strings.ContainsAny(k.ID, "/\r\n, ") || strings.ContainsAny(k.Token, "\r\n") {
		return sigv4.Keys{}, errCredential
	}
	return k, nil
}

// forward sends the request on, and the answer back.
func (x *exchange) forward(ctx context.Context, out *proxy.Outcome) {
	s := x.visit.Session()
	credential, err := x.visit.Credential(ctx)
	if err == nil && credential == nil {
		err = errCredential
	}
	var keys sigv4.Keys
	if err == nil {
		keys, err = keysOf(credential)
	}
	if err != nil {
		x.h.log().Warn("aws: no credential", "resource", x.resource.Name, "session", s.ID, "err", err)
		out.Err = errors.New("the gateway has no credential for the account")
		x.refuse(unavailable("The gateway has no credential for the account now. Try again in a minute."))
		return
	}
	to, host := endpoint(s.Target.Resource, x.call.known, x.call.service, x.call.region)
	up, err := x.h.shared.upstreams.Of(s.Gateway(), to, false, nil)
	if err != nil {
		x.h.log().Error("aws: connections to an account", "resource", x.resource.Name, "err", err)
		out.Err = errors.New("the connection to the account is not set up")
		x.refuse(unavailable("The account cannot be reached."))
		return
	}
	var transport http.RoundTripper = up
	if x.repeats() {
		own := up.Transport.Clone()
		own.DisableKeepAlives = true
		transport = own
	}
	flow, tell := s.Wants()
	wants := flow || tell
	rp := &httputil.ReverseProxy{
		Transport: transport, BufferPool: relay.Copies(), ErrorLog: slog.NewLogLogger(x.h.log().Handler(), slog.LevelDebug),
		Rewrite:        func(p *httputil.ProxyRequest) { x.rewrite(p.Out, up, host, keys, wants) },
		ModifyResponse: func(res *http.Response) error { return x.modify(res, wants, out, keys) },
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.failed(err, out) },
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { x.ran.Store(true) }})
	rp.ServeHTTP(x.w, x.r.WithContext(relay.Hints(ctx)))
}

// repeats reports whether a request may change something, and net/http would all the same send it again by itself where a connection that was used before
// breaks: it takes GET for reading, as which some services take actions, and believes a header. Such a request gets a connection of its own.
func (x *exchange) repeats() bool {
	if x.op.Access == proxy.AccessRead || x.r.ContentLength != 0 {
		return false
	}
	_, key := x.r.Header["Idempotency-Key"]
	_, other := x.r.Header["X-Idempotency-Key"]
	return key || other || slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, x.r.Method)
}

// sends reports whether a header is sent on. Of a service that is known, other headers than AWS's own say nothing that was decided about;
// servers in front of an endpoint may read them, such as X-HTTP-Method-Override.
func (x *exchange) sends(name string) bool {
	lower := strings.ToLower(name)
	switch {
	case slices.Contains(never, name), strings.HasPrefix(lower, "x-forwarded-"):
		return false
	case slices.Contains(passed, name), strings.HasPrefix(lower, "x-amz-"), strings.HasPrefix(lower, "amz-sdk-"):
		return true
	}
	return x.form() == formUnknown && slices.Contains(x.signed.Names, lower)
}

// rewrite makes of a client's request the one that AWS gets.
func (x *exchange) rewrite(out *http.Request, up *relay.Upstream, host string, keys sigv4.Keys, wants bool) {
	t := x.call.target
	if wants { // the answer says itself what it is
		plain := *t
		plain.Query = slices.DeleteFunc(slices.Clone(t.Query), func(p sigv4.Param) bool {
			return x.form() == formS3 && (p.Name == "response-content-type" || p.Name == "response-content-encoding")
		})
		t = &plain
	}
	out.URL = &url.URL{Scheme: up.Scheme, Host: up.Host, Path: "/" + strings.Join(t.Path, "/"), RawPath: t.Encoded(), RawQuery: sigv4.EncodedQuery(t.Query)}
	out.Host = host
	header := make(http.Header)
	for name, values := range x.r.Header { // those that were decided about: a header Connection takes none of them away
		if x.sends(name) {
			header[name] = values
		}
	}
	out.Header, out.Trailer = header, nil
	if wants || x.form() != formS3 { // errors and secrets are looked at too
		header.Set("Accept-Encoding", "identity")
	}
	if wants {
		delete(header, "X-Amz-Checksum-Mode") // of the original
	}
	x.in = relay.NewMeter()
	word := x.payload.word
	length := x.r.ContentLength
	if body := out.Body; body != nil && body != http.NoBody {
		out.Body = &relay.Measured{ReadCloser: body, Meter: x.in}
	}
	switch {
	case x.payload.chunked && len(x.payload.names) > 0 && x.payload.size > 0:
		word = sigv4.StreamUnsignedTrailer
		header.Set("Content-Encoding", addCoding(header.Get("Content-Encoding")))
		out.Body = struct {
			io.Reader
			io.Closer
		}{&encoder{src: out.Body, names: x.payload.names, trailer: func() http.Header { return x.payload.chunks.Trailer }}, out.Body}
		length = encodedLength(x.payload.size, x.payload.names)
	case x.payload.chunked:
		if word = sigv4.Unsigned; x.payload.size == 0 { // the trailer has come already
			word = sigv4.Digest(nil)
			for _, name := range x.payload.names {
				header.Set(name, x.payload.chunks.Trailer.Get(name))
			}
		}
		delete(header, "X-Amz-Decoded-Content-Length")
		delete(header, "X-Amz-Trailer")
		if coding := withoutCoding(header.Get("Content-Encoding")); coding != "" {
			header.Set("Content-Encoding", coding)
		} else {
			delete(header, "Content-Encoding")
		}
	}
	// The length is always known. HTTP's own chunks, which the client may have sent, would say it in a second way: servers of S3 that stop at
	// the end of its chunks take what is left for the next request.
	out.ContentLength, out.TransferEncoding = length, nil
	if length == 0 {
		out.Body = http.NoBody
	}
	if x.form() == formS3 {
		header.Set("X-Amz-Content-Sha256", word)
	} else {
		delete(header, "X-Amz-Content-Sha256")
	}
	sigv4.Sign(out, t, keys, sigv4.Scope{Region: x.call.region, Service: x.call.service, At: x.h.now()}, x.form() == formS3, word)
}

const coding = "aws-chunked"

func chunkCoded(s string) bool { return strings.Contains(strings.ToLower(s), coding) }

func withoutCoding(s string) string {
	var keep []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" && !strings.EqualFold(part, coding) {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, ",")
}

func addCoding(s string) string {
	if rest := withoutCoding(s); rest != "" {
		return coding + "," + rest
	}
	return coding
}

// failed answers a request that AWS has not.
func (x *exchange) failed(err error, out *proxy.Outcome) {
	var withheld *relay.WithheldError
	var refused *proxy.RefusedError
	switch cause := x.visit.Session().Err(); {
	case errors.As(err, &refused): // of what the answer holds
		out.Err = refused
		x.refuse(denied(&refused.Verdict))
	case errors.As(err, &withheld):
		out.Err = withheld
		x.refuse(&problem{http.StatusForbidden, "AccessDenied", relay.Sentence(withheld.Error())})
	case cause != nil:
		out.Err = cause
		x.refuse(&problem{http.StatusForbidden, "ExpiredToken", relay.Sentence("the session has ended: " + cause.Error())})
	case errors.Is(err, sigv4.ErrValue), errors.Is(err, sigv4.ErrChunk):
		out.Err = errors.New("the body is not what was signed")
		x.ran.Store(false) // it has not come to the account whole
		x.refuse(problemOf(sigv4.ErrValue))
	case x.body != nil && x.body.late.Load():
		out.Err = errSlow
		x.ran.Store(false)
		x.refuse(problemOf(errSlow))
	case errors.Is(err, context.Canceled) || x.r.Context().Err() != nil:
		out.Err = proxy.ErrClientLeft
		panic(http.ErrAbortHandler)
	default:
		x.h.log().Warn("aws: an account does not answer", "resource", x.resource.Name, "session", x.visit.Session().ID, "err", err)
		out.Err = errors.New("the account cannot be reached, or does not answer")
		x.refuse(unavailable("The account cannot be reached, or does not answer. The gateway's log says why."))
	}
}

// modify makes of an answer the one that the client gets. An error withholds it.
func (x *exchange) modify(res *http.Response, wants bool, out *proxy.Outcome, keys sigv4.Keys) error {
	out.Code = strconv.Itoa(res.StatusCode)
	x.ran.Store(res.StatusCode < http.StatusInternalServerError)
	h := res.Header
	delete(h, "Alt-Svc") // it leads around the gateway
	delete(h, "Set-Cookie")
	if res.StatusCode >= http.StatusBadRequest && res.Body != nil && x.r.Method != http.MethodHead {
		if err := x.ours(res, keys); err != nil {
			return err
		}
	}
	if err := x.conceal(res); err != nil {
		return err
	}
	x.out = relay.NewMeter()
	if wants {
		if err := x.mask(res); err != nil {
			return err
		}
	}
	if res.Body != nil && res.Body != http.NoBody {
		res.Body = &relay.Measured{ReadCloser: res.Body, Meter: x.out, Failed: func(err error) {
			var withheld *relay.WithheldError
			if errors.As(err, &withheld) {
				out.Err = withheld
			}
		}}
	}
	return nil
}

// mask has interceptors edit the answer, as its form is.
func (x *exchange) mask(res *http.Response) error {
	h := res.Header
	for name := range h {
		if lower := strings.ToLower(name); lower == "x-amz-crc32" || strings.HasPrefix(lower, "x-amz-checksum-") {
			delete(h, name) // of the original
		}
	}
	if strings.HasPrefix(h.Get("Content-Type"), "application/vnd.amazon.eventstream") {
		return relay.Withheld("it is a stream of events, which cannot be looked at")
	}
	f := relay.Filter{Session: x.visit.Session(), Op: x.op, Head: x.r.Method == http.MethodHead, Scripts: true}
	switch {
	case x.form() == formJSON, strings.HasPrefix(h.Get("Content-Type"), "application/x-amz-json"): // of services that are not known too
		f.Media = "application/json"
	case x.form() == formQuery && !strings.Contains(strings.ToLower(h.Get("Content-Type")), "json"): // which some answer when they are asked for it
		f.Media = "application/xml"
	}
	return f.Answer(res)
}
