package secrets

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// Ref is a parsed reference to a secret: "SCHEME:PATH#KEY?OPTIONS". In path and key, "%23"
// is "#", "%3F" is "?" and "%25" is "%". A path may hold "{subject}", the subject of the person
// that the session belongs to; see [Ref.For].
type Ref struct {
	Scheme  string
	Path    string
	Key     string     // empty when the secret is all that there is
	Options url.Values // nil when there are none
}

var (
	schemeForm   = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,31}$`)
	subjectForm  = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_@-]|\.[A-Za-z0-9_@-]){0,127}$`)
	errReference = errors.New("not a reference to a secret: want SCHEME:PATH, SCHEME:PATH#KEY or SCHEME:PATH#KEY?OPTIONS")
)

// subject is the part of a path that a person's name takes the place of.
const subject = "{subject}"

// Parse reads a reference. Errors do not show s, which may be a secret that was written in the
// place of a reference.
func Parse(s string) (Ref, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !schemeForm.MatchString(scheme) || len(s) > 4096 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Ref{}, errReference
	}
	rest, options, has := strings.Cut(rest, "?")
	path, key, keyed := strings.Cut(rest, "#")
	if strings.Contains(key, "#") || keyed && key == "" || has && strings.Contains(options, "#") {
		return Ref{}, fmt.Errorf("%w; the key comes after the path, and options after the key", errReference)
	}
	r := Ref{Scheme: scheme}
	var errs [3]error
	r.Path, errs[0] = url.PathUnescape(path)
	r.Key, errs[1] = url.PathUnescape(key)
	if options != "" {
		r.Options, errs[2] = url.ParseQuery(options)
	}
	if errors.Join(errs[:]...) != nil {
		return Ref{}, fmt.Errorf(`%w; a "%%" is written as %%25`, errReference)
	}
	if r.Path == "" || strings.Contains(r.Path, "\x00") {
		return Ref{}, errReference
	}
	return r, nil
}

var escapes = strings.NewReplacer("%", "%25", "#", "%23", "?", "%3F", "\n", "%0A", "\r", "%0D", "\x00", "%00")

// String returns the reference, from which Parse makes r again.
func (r Ref) String() string {
	s := r.Scheme + ":" + escapes.Replace(r.Path)
	if r.Key != "" {
		s += "#" + escapes.Replace(r.Key)
	}
	if len(r.Options) > 0 {
		s += "?" + r.Options.Encode()
	}
	return s
}

// Only returns an error when r has other options than those named, or one of them twice.
func (r Ref) Only(options ...string) error {
	for name, values := range r.Options {
		known := false
		for _, o := range options {
			known = known || o == name
		}
		if !known || len(values) != 1 {
			return fmt.Errorf("option %q of the reference: want at most one of each of [%s]", name, strings.Join(options, ", "))
		}
	}
	return nil
}

// For returns r with the subject of id in the place of "{subject}". A subject that could mean
// another path, such as one with a "/", is refused, and so is a path that needs a subject
// where nobody asks.
func (r Ref) For(id *proxy.Identity) (Ref, error) {
	if !strings.Contains(r.Path, subject) {
		return r, nil
	}
	if id == nil {
		return Ref{}, errors.New("the reference names {subject}, and the gateway itself asks: give an account of its own to what the gateway does by itself")
	}
	if !subjectForm.MatchString(id.Subject) {
		return Ref{}, fmt.Errorf("the subject %q cannot be a part of a path: want letters, digits, and - _ @ . between them, 128 at most", id.Subject)
	}
	r.Path = strings.ReplaceAll(r.Path, subject, id.Subject)
	return r, nil
}

// Personal reports whether ref leads to a credential of each person's own: it names {subject}.
func Personal(ref string) bool {
	r, err := Parse(ref)
	return err == nil && strings.Contains(r.Path, subject)
}
