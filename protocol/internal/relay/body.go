package relay

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
)

// WithheldError says why an answer is not passed on. It holds no data.
type WithheldError struct{ reason string }

// Error says why.
func (e *WithheldError) Error() string { return "the answer is withheld: " + e.reason }

// Withheld is why an answer is not passed on.
func Withheld(format string, args ...any) error { return &WithheldError{fmt.Sprintf(format, args...)} }

// Filter has the interceptors of a session edit the answers of one operation.
type Filter struct {
	Session *proxy.Session
	Op      proxy.Op
	// Head says that the request was HEAD, whose answer has no body.
	Head bool
	// Scripts are masked too.
	Scripts bool
	// Media overrides the type that an answer says it has; empty: it does not.
	Media string
}

// Answer has interceptors edit an answer, with what follows its body. What they cannot look at is withheld.
func (f *Filter) Answer(res *http.Response) error {
	if err := f.texts(res.Header); err != nil {
		return err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return f.filterSocket(res)
	}
	if err := f.body(res); err != nil {
		return err
	}
	if res.Body != nil && res.Body != http.NoBody {
		res.Body = &trailed{ReadCloser: res.Body, filter: f, res: res}
	}
	return nil
}

// trailed is a body after which interceptors look at the trailers of its answer, which have come then.
type trailed struct {
	io.ReadCloser
	filter *Filter
	res    *http.Response
	err    error
}

func (t *trailed) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		if bad := t.filter.texts(t.res.Trailer); bad != nil {
			err = Withheld("%v", bad)
		}
	}
	t.err = err
	return n, err
}

// body has interceptors edit the body of an answer.
func (f *Filter) body(res *http.Response) error {
	if f.Head || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified || res.Body == nil || res.Body == http.NoBody || res.ContentLength == 0 {
		forget(res.Header, f.Head) // what a whole answer would have been called
		return nil
	}
	if IsGRPC(res.Header) {
		return f.filterGRPC(res)
	}
	plain, err := decoded(res)
	if err != nil {
		return err
	}
	source := bufio.NewReaderSize(plain, 32<<10)
	media, look, err := f.media(res.Header, source)
	if err != nil {
		return err
	}
	if !look {
		res.Body = rest{source, plain}
		return nil
	}
	if res.StatusCode == http.StatusPartialContent {
		return Withheld("it is a part of a body, and what is sensitive may be in two parts")
	}
	flow, err := f.Session.Flow(f.Op, &proxy.Shape{Kind: proxy.ShapeBody, Media: media})
	if err != nil {
		return Withheld("%v", err)
	}
	if !flow.HasBytes() {
		res.Body = rest{source, plain}
		return nil
	}
	forget(res.Header, true)
	private(res.Header)
	res.ContentLength = -1
	res.Body = newFiltered(rest{source, plain}, flow)
	return nil
}

// forget removes what says something about the bytes of the original.
func forget(h http.Header, length bool) {
	for _, name := range []string{"Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges", "Signature", "Signature-Input"} {
		delete(h, name)
	}
	if length {
		delete(h, "Content-Length")
	}
}

// private keeps caches that several people share from giving one of them what another was shown.
func private(h http.Header) {
	var keep []string
	for _, line := range h["Cache-Control"] {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimSpace(part)
			name, _, _ := strings.Cut(strings.ToLower(part), "=")
			if part != "" && name != "public" && name != "private" && name != "s-maxage" {
				keep = append(keep, part)
			}
		}
	}
	h.Set("Cache-Control", strings.Join(append([]string{"private"}, keep...), ", "))
	for _, name := range []string{"Surrogate-Control", "Cdn-Cache-Control"} {
		delete(h, name)
	}
	h.Add("Vary", "Cookie, Authorization")
}

// decoded returns the body of an answer as it is without its encoding.
func decoded(res *http.Response) (io.ReadCloser, error) {
	switch coding := strings.ToLower(strings.TrimSpace(strings.Join(res.Header["Content-Encoding"], ","))); coding {
	case "", "identity":
		return res.Body, nil
	case "gzip", "x-gzip":
		from := &counted{Reader: res.Body}
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, Withheld("it is not gzip, as it says")
		}
		delete(res.Header, "Content-Encoding")
		delete(res.Header, "Content-Length")
		forget(res.Header, true)
		res.ContentLength = -1
		return rest{&capped{z, from, 0}, res.Body}, nil
	}
	return nil, Withheld("the application has encoded it in a way that the gateway does not read, although it was asked not to")
}

type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// Bounds of what a compressed body becomes.
const (
	bombFrom  = 64 << 20
	bombRatio = 200
)

// capped ends a body that becomes far more than it was.
type capped struct {
	z    *gzip.Reader
	from *counted
	n    int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.z.Read(p)
	c.n += int64(n)
	if c.n > bombFrom && c.n > bombRatio*c.from.n {
		return 0, Withheld("it becomes more than %d times as long when it is decompressed", bombRatio)
	}
	if err != nil && err != io.EOF {
		err = Withheld("it is not gzip, as it says")
	}
	return n, err
}

// media is the type as which a body is looked at; false where it holds no text, or is a program of the page's.
func (f *Filter) media(h http.Header, body *bufio.Reader) (string, bool, error) {
	given := cmp.Or(f.Media, h.Get("Content-Type"))
	media, params, err := mime.ParseMediaType(given)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(given), ";")
		media = strings.TrimSpace(media)
	}
	switch charset := strings.ToLower(params["charset"]); {
	case wide(charset):
		return "", false, errWide
	case charset == "gbk", charset == "gb18030", charset == "big5", charset == "shift_jis", charset == "shift-jis", charset == "sjis":
		return "text/plain", true, nil // what looks like a quote or a backslash may be half of a character
	}
	switch {
	case media == "text/javascript", media == "application/javascript", media == "application/x-javascript", media == "text/css":
		start, _ := body.Peek(512) // an error is that of the next read
		switch {
		case callsBack(start):
			return "application/json", true, nil
		case f.Scripts:
			return "text/plain", true, nil
		}
		return "", false, nil
	case media == "", media == "application/octet-stream", media == "binary/octet-stream", media == "application/pdf", media == "application/wasm", media == "application/zip", media == "application/gzip",
		strings.HasPrefix(media, "image/") && !strings.HasSuffix(media, "+xml"), strings.HasPrefix(media, "video/"), strings.HasPrefix(media, "audio/"), strings.HasPrefix(media, "font/"):
		start, _ := body.Peek(512)
		if !isText(start) {
			return "", false, nil
		}
		if c := firstByte(start); c == '{' || c == '[' {
			return "application/json", true, nil
		}
		return "text/plain", true, nil
	}
	return given, true, nil
}

var errWide = Withheld("its characters are in an encoding that cannot be looked at; UTF-8 can")

// wide reports whether text in a character encoding does not have its ASCII as ASCII.
func wide(charset string) bool {
	for _, c := range []string{"utf-16", "utf16", "utf-32", "utf32", "utf-7", "ucs-", "iso-10646", "iso-2022", "hz-", "ibm", "cp037", "ebcdic"} {
		if strings.HasPrefix(charset, c) {
			return true
		}
	}
	return false
}

// callsBack reports whether a script hands data to a function, as JSONP does.
func callsBack(start []byte) bool {
	s := strings.TrimLeft(string(start), " \t\r\n;")
	s = strings.TrimPrefix(s, "/**/")
	s = strings.TrimLeft(s, " \t\r\n;")
	i := strings.IndexByte(s, '(')
	if i <= 0 || i > 128 || strings.ContainsFunc(s[:i], func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '$' || r == '.' || r == '[' || r == ']' || r == '"' || r == '\'')
	}) {
		return false
	}
	rest := strings.TrimLeft(s[i+1:], " \t\r\n")
	return rest != "" && (rest[0] == '{' || rest[0] == '[')
}

// isText reports whether what a body begins with is text.
func isText(start []byte) bool {
	if len(start) == 0 {
		return true
	}
	for len(start) > 0 {
		r, n := utf8.DecodeRune(start)
		if r == utf8.RuneError && n == 1 {
			return len(start) < utf8.UTFMax // a character that goes on
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1e && r != 0x1b {
			return false
		}
		start = start[n:]
	}
	return true
}

func firstByte(start []byte) byte {
	s := strings.TrimLeft(strings.TrimPrefix(string(start), "\ufeff"), " \t\r\n")
	if s == "" {
		return 0
	}
	return s[0]
}

// quietHeaders are not looked at: they say how an answer is read, or are secrets of the
// application's own, which it has made and will ask for.
var quietHeaders = []string{
	"Set-Cookie", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Date", "Expires", "Last-Modified", "Cache-Control", "Vary", "Etag",
	"Content-Security-Policy", "Content-Security-Policy-Report-Only", "Permissions-Policy", "Strict-Transport-Security", "Sec-Websocket-Accept", "Sec-Websocket-Protocol",
	"Upgrade", "Connection", "Trailer", "Server-Timing", "Nel", "Report-To", "Reporting-Endpoints", "Access-Control-Allow-Origin", "Grpc-Status", "Grpc-Encoding",
}

// texts has interceptors look at the texts of headers, redirects too.
func (f *Filter) texts(h http.Header) error {
	s := f.Session
	if _, tell := s.Wants(); !tell {
		return nil
	}
	for name, values := range h {
		if quiet(name) {
			continue
		}
		for i, v := range values {
			m := &proxy.Message{Kind: proxy.MessageStatus, Fields: []proxy.MessageField{{Name: "value", Value: []byte(v)}}}
			if err := s.Tell(f.Op, m); err != nil {
				return err
			}
			if m.Changed() {
				values[i] = Line(string(m.Fields[0].Value))
			}
		}
	}
	return nil
}

func quiet(name string) bool {
	for _, q := range quietHeaders {
		if name == q {
			return true
		}
	}
	return false
}

var errFrame = errors.New("a message is not one")
