package runbook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of requests.
const (
	maxAddress  = 8000     // bytes of a path with its query
	maxHeader   = 4000     // of a header's value
	maxHeaders  = 32 << 10 // of all headers, which is less than the gateway and most servers take
	maxBody     = 1 << 20  // of a request
	maxSegments = 50
	maxFields   = 50 // of each kind in a step
	maxField    = 64 << 10
)

var (
	methods     = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	segmentText = regexp.MustCompile(`\A[A-Za-z0-9._~!$&'()*+,=:@-]+\z`)
	queryName   = regexp.MustCompile(`\A[A-Za-z0-9._~\[\]-]{1,100}\z`)
	headerName  = regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9-]{0,63}\z`)
	statusText  = regexp.MustCompile(`\A(?:[2-5][0-9][0-9]|[2-5]xx)\z`)
	fieldName   = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]{0,62}\z`)
	pointer     = regexp.MustCompile(`\A(?:/(?:[^/~]|~0|~1)*)*\z`)
)

// Headers that say what a request is, where it comes from, or who sends it: a step sets none of them.
var keptHeaders = []string{
	"Host", "Connection", "Keep-Alive", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Http2-Settings", "Expect", "Range", "If-Range",
	"Accept-Encoding", "Cookie", "Origin", "Referer", "Forwarded", "Via", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override",
	"Idempotency-Key", "X-Idempotency-Key",
}

func keptHeader(name string) bool {
	is := func(h string) bool { return strings.EqualFold(h, name) }
	has := func(prefix string) bool {
		return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
	}
	return slices.ContainsFunc(keptHeaders, is) || slices.ContainsFunc([]string{"X-Gateway-", "X-Forwarded-", "Proxy-", "Sec-", "Access-Control-"}, has)
}

// reads reports whether a method changes nothing.
func (x *HTTP) reads() bool { return x.Method == http.MethodGet || x.Method == http.MethodHead }

// http lints a request.
func (l *linter) http(s *Step, key string) {
	x := s.HTTP
	if !slices.Contains(methods, x.Method) {
		l.add(x.Line, key+".method", "", "got %q, want one of %s", clip(x.Method), strings.Join(methods, ", "))
	}
	l.path(x, key+".path")
	for _, m := range x.Query {
		at := key + ".query." + m.Name
		if !queryName.MatchString(m.Name) {
			l.add(m.Line, at, "Use letters, digits and . _ ~ [ ] -.", "the name of a parameter cannot be sent as it is")
		}
		l.word(m.Line, at, m.Value, inAddress)
	}
	var names []string
	for _, m := range x.Headers {
		at := key + ".headers." + m.Name
		if !headerName.MatchString(m.Name) || keptHeader(m.Name) || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, m.Name) }) {
			l.add(m.Line, at, "Choose another header; the resource's credential is sent by the gateway, and a key of repetitions by idempotency_key.", "the header is not one, is there twice, or is one that the gateway sets or refuses")
		}
		names = append(names, m.Name)
		if w, err := readWord(m.Value); err == nil && w.ref == nil && headerValue(w.text) != nil {
			l.add(m.Line, at, "", "%v", headerValue(w.text))
		}
		l.word(m.Line, at, m.Value, inHeader)
	}
	if len(x.JSON) > 0 && len(x.Form) > 0 || len(x.JSON)+len(x.Form) > 0 && x.reads() {
		l.add(x.Line, key, "Leave the body out, or one of json and form.", "the request has two bodies, or one that its method does not have")
	}
	for _, list := range [][]*Member{x.JSON, x.Form} {
		for _, m := range list {
			if line(m.Name) != nil || m.Name == "" || len(m.Name) > 100 {
				l.add(m.Line, key, "", "%q is not a name of a field", clip(m.Name))
			}
			l.word(m.Line, key+"."+m.Name, m.Value, inBody)
		}
	}
	for _, n := range []int{len(x.Query), len(x.Headers), len(x.JSON), len(x.Form), len(x.Fields), len(x.Status)} {
		if n > maxFields {
			l.add(x.Line, key, "", "got %d entries of a kind, want %d or less", n, maxFields)
		}
	}
	l.answer(x, key)
	l.repeats(s, key)
}

// path lints and reads the path of a request.
func (l *linter) path(x *HTTP, key string) {
	list := strings.Split(strings.TrimPrefix(x.Path, "/"), "/")
	if !strings.HasPrefix(x.Path, "/") || len(list) > maxSegments || len(x.Path) > maxAddress {
		l.add(x.Line, key, "Begin it with a /, and write the query as query.", "got %q, want a path of at most %d segments", clip(x.Path), maxSegments)
		return
	}
	for i, text := range list {
		if text == "" && i == len(list)-1 {
			x.segments = append(x.segments, word{})
			continue
		}
		w, err := readWord(text)
		switch {
		case err != nil:
			l.add(x.Line, key, "A value is a whole segment, such as /orders/$order_id, and is never put into a text.", "%v", err)
			return
		case w.ref != nil:
			l.ref(x.Line, key, w.ref, inAddress)
			if p := l.book.param(w.ref.Name); w.ref.Step == "" && p != nil && Type(p.Type) == Multi {
				l.add(x.Line, key, "Send it by query, json or form.", "a list is a segment of a path")
			}
		case !segmentText.MatchString(w.text) || w.text == "." || w.text == "..":
			l.add(x.Line, key, "Use letters, digits and -._~!$&'()*+,=:@ in a segment.", "the segment %q is read differently by different servers", clip(w.text))
		case i == 0 && strings.EqualFold(w.text, ".gateway"):
			l.add(x.Line, key, "", "the path is the gateway's own")
		}
		x.segments = append(x.segments, w)
	}
}

// answer lints what a step expects of the answer to its request.
func (l *linter) answer(x *HTTP, key string) {
	for _, t := range x.Status {
		if !statusText.MatchString(t.Text) {
			l.add(x.Line, key+".status", "", "got %q, want a status such as 200, or a class such as 2xx", clip(t.Text))
		}
	}
	for _, m := range x.Fields {
		if !fieldName.MatchString(m.Name) || !pointer.MatchString(m.Value) || len(m.Value) > 500 {
			l.add(m.Line, key+".fields."+m.Name, "Write a name and a JSON pointer, such as total: /order/total.", "got %q", clip(m.Value))
		}
	}
	if len(x.Fields) > 0 && x.Method == http.MethodHead {
		l.add(x.Line, key+".fields", "", "the answer to HEAD has no fields")
	}
	if x.DryRun != "" && x.DryRun != "plan" && x.DryRun != "send" || x.DryRun == "send" && !x.reads() {
		l.add(x.Line, key+".dry_run", "", "got %q, want plan, or send for GET and HEAD", clip(x.DryRun))
	}
}

// repeats lints what tells the application that a request is a repetition.
func (l *linter) repeats(s *Step, key string) {
	x := s.HTTP
	switch kept := []string{"Idempotency-Key", "X-Idempotency-Key"}; {
	case x.Key == "":
		if s.Idempotent && (x.Method == http.MethodPost || x.Method == http.MethodPatch) {
			l.add(x.Line, key+".idempotency_key", "Name the header by which the application tells a repetition, such as Idempotency-Key.", "two of the requests may have two effects")
		}
	case !s.Idempotent:
		l.add(x.Line, key+".idempotency_key", "Say idempotent: true as well, or leave it out.", "the step is not sent again")
	case !headerName.MatchString(x.Key) || keptHeader(x.Key) && !slices.ContainsFunc(kept, func(k string) bool { return strings.EqualFold(k, x.Key) }) ||
		slices.ContainsFunc(x.Headers, func(m *Member) bool { return strings.EqualFold(m.Name, x.Key) }):
		l.add(x.Line, key+".idempotency_key", "Name a header that nothing else uses.", "got %q", clip(x.Key))
	}
}

// words are all values and texts of a request but for those of its path.
func (x *HTTP) words() []*Member { return slices.Concat(x.Query, x.Headers, x.JSON, x.Form) }

// escape encodes a value for a place in an address: it stays one value there, whatever it holds.
func escape(v string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(v) {
		if c := v[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// segment encodes a value as one segment of a path. What some servers would decode twice, or take for more than a name, is refused.
func segment(v string) (string, error) {
	if i := strings.IndexAny(v, `/\;?#%`); i >= 0 {
		return "", fmt.Errorf("a segment of a path cannot hold %q, which servers read differently", v[i])
	}
	if strings.Trim(v, ". ") == "" {
		return "", errors.New("a segment of a path cannot be empty, or of dots and spaces alone")
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("a segment of a path cannot hold characters of control")
	}
	return escape(v), nil
}

// headerValue refuses what would end a header, or reach the application as another value.
func headerValue(v string) error {
	switch {
	case len(v) > maxHeader:
		return fmt.Errorf("a header's value has %d bytes, want %d or less", len(v), maxHeader)
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("a header's value has characters other than those of ASCII that can be seen: send it by json or form")
	case v != strings.Trim(v, " "):
		return errors.New("a header's value begins or ends with a space, which is taken off on the way")
	}
	return nil
}

// pairs encodes the fields of a name: one for each text of a value.
func pairs(list []string, name string, texts []string) []string {
	for _, t := range texts {
		list = append(list, escape(name)+"="+escape(t))
	}
	return list
}

// wordTexts returns what a word means: several for a list. known is false for what is not known yet, whose text is a name.
type wordTexts func(w word) (texts []string, known bool, err error)

// address writes the path and query of a request.
func (x *HTTP) address(of wordTexts) (path, query string, err error) {
	var b strings.Builder
	for _, w := range x.segments {
		b.WriteByte('/')
		if w.ref == nil {
			b.WriteString(w.text)
			continue
		}
		texts, known, err := of(w)
		if err != nil {
			return "", "", err
		}
		text := strings.Join(texts, ",")
		if known {
			if text, err = segment(text); err != nil {
				return "", "", fmt.Errorf("%s: %w", w.ref, err)
			}
		}
		b.WriteString(text)
	}
	var list []string
	for _, m := range x.Query {
		w, err := readWord(m.Value)
		if err != nil {
			return "", "", err
		}
		texts, known, err := of(w)
		if err != nil {
			return "", "", err
		}
		if known {
			list = pairs(list, m.Name, texts)
		} else {
			list = append(list, escape(m.Name)+"="+strings.Join(texts, ","))
		}
	}
	path, query = b.String(), strings.Join(list, "&")
	if n := len(path) + len(query); n > maxAddress {
		return "", "", fmt.Errorf("the address has %d bytes with its values, want %d or less", n, maxAddress)
	}
	return path, query, nil
}

// expects reports whether a status means success.
func (x *HTTP) expects(status int) bool {
	if len(x.Status) == 0 {
		return status/100 == 2
	}
	got := strconv.Itoa(status)
	return slices.ContainsFunc(x.Status, func(t Literal) bool { return t.Text == got || t.Text == got[:1]+"xx" })
}

func (x *HTTP) wanted() string {
	list := make([]string, len(x.Status))
	for i, t := range x.Status {
		list[i] = t.Text
	}
	return or(strings.Join(list, " or "), "2xx")
}

// read takes the fields of a step out of an answer.
func (x *HTTP) read(body []byte) (map[string]Cell, error) {
	fields := make(map[string]Cell, len(x.Fields))
	if len(x.Fields) == 0 {
		return fields, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var all any
	if err := dec.Decode(&all); err != nil {
		return nil, errors.New("the answer is not JSON, so that no field can be taken out of it")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the answer is more than one JSON text")
	}
	for _, m := range x.Fields {
		c, err := scalar(all, m.Value)
		if err != nil {
			return nil, fmt.Errorf("the field %s: %w", m.Name, err)
		}
		fields[m.Name] = c
	}
	return fields, nil
}

var unpoint = strings.NewReplacer("~1", "/", "~0", "~")

// scalar follows a JSON pointer to one value.
func scalar(at any, to string) (Cell, error) {
	for _, name := range strings.Split(to, "/")[1:] {
		var ok bool
		switch v := at.(type) {
		case map[string]any:
			at, ok = v[unpoint.Replace(name)]
		case []any:
			i, err := strconv.Atoi(name)
			if ok = err == nil && i >= 0 && i < len(v) && name == strconv.Itoa(i); ok {
				at = v[i]
			}
		}
		if !ok {
			return Cell{}, fmt.Errorf("the answer has nothing at %s", to)
		}
	}
	switch v := at.(type) {
	case nil:
		return Cell{Null: true}, nil
	case string:
		return Cell{Text: v, Cut: len(v) > maxField}, nil
	case bool:
		return Cell{Text: strconv.FormatBool(v), Type: Boolean}, nil
	case json.Number:
		c := Cell{Text: v.String(), Cut: len(v) > maxField}
		if _, err := whole(c.Text); err == nil {
			c.Type = Integer
		} else if decimal.MatchString(c.Text) {
			c.Type = Number
		}
		return c, nil
	}
	return Cell{}, fmt.Errorf("the answer has an object or a list at %s, want one value", to)
}
