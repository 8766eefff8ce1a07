package console

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// Options say where a console is, and what it is called. The zero Options are a console at the root of the host that
// serves the API, too.
type Options struct {
	// Prefix is the path that the console is mounted at, such as "/console": requests come with it. It is a path that
	// needs no escaping, without a slash at its end; empty is the root of the host. Under a prefix other
	// programs of the host share the origin, and with it what browsers let the console do: give it a host of its own
	// where these are not trusted.
	Prefix string
	// API is where /v1 and /auth are on the same host: empty for its root, or a path that they follow.
	API string
	// Title is how the company calls its gateway; empty is "Sallyport".
	Title string
	// Known reports whether a request may be of somebody who has logged in. Where it is not the API is not asked who she is,
	// and the page to log in comes at once. It decides nothing else. Nil: anybody may be.
	Known func(r *http.Request) bool
}

// Built says whether the program has the console's files.
const Built = built

// ErrNotBuilt says that the program was built without the console's files.
var ErrNotBuilt = errors.New("console: this program was built with the tag noconsole")

// Handler returns a console. The error says which option cannot be, or is [ErrNotBuilt].
func Handler(o Options) (http.Handler, error) {
	for name, p := range map[string]string{"Prefix": o.Prefix, "API": o.API} {
		if p != "" && (!strings.HasPrefix(p, "/") || path.Clean(p) != p || strings.ContainsFunc(p, odd)) {
			return nil, fmt.Errorf("console: %s: got %q, want a path without escapes that does not end with a slash, or nothing", name, p)
		}
	}
	files, err := dist()
	if err != nil {
		return nil, err
	}
	var m manifest
	b, err := fs.ReadFile(files, "manifest.json")
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("console: reading the list of files: %w", err)
	}
	h := &handler{Options: o, manifest: m, assets: make(map[string]*asset)}
	if h.Title == "" {
		h.Title = "Sallyport"
	}
	list, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if name := e.Name(); name != "manifest.json" && path.Ext(name) != ".gz" {
			if h.assets[name], err = load(files, name); err != nil {
				return nil, err
			}
		}
	}
	return h, nil
}

// odd reports whether a sign needs escaping in a path.
func odd(c rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/", c)
}

// manifest says which files the page begins with.
type manifest struct {
	Script string   `json:"script"`
	Style  string   `json:"style"`
	Fonts  []string `json:"fonts"`
}

// asset is a file, whose name changes with what it holds.
type asset struct {
	media      string
	raw, small []byte // small is in gzip's form; nil: there is none
}

var medias = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8",
}

func load(files fs.FS, name string) (*asset, error) {
	a := &asset{media: medias[path.Ext(name)]}
	if a.media == "" {
		return nil, fmt.Errorf("console: file %s: its type is not known", name)
	}
	var err error
	if a.raw, err = fs.ReadFile(files, name); err != nil {
		return nil, err
	}
	if a.small, err = fs.ReadFile(files, name+".gz"); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return a, err
}

type handler struct {
	Options
	manifest manifest
	assets   map[string]*asset
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	below, ok := strings.CutPrefix(r.URL.Path, h.Prefix)
	if !ok || below != "" && below[0] != '/' {
		http.NotFound(w, r)
		return
	}
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "a console is read only: what it does, it asks the API for", http.StatusMethodNotAllowed)
		return
	}
	if name, ok := strings.CutPrefix(below, "/assets/"); ok {
		h.asset(w, r, name)
		return
	}
	h.page(w, r)
}

// asset serves a file that never changes.
func (h *handler) asset(w http.ResponseWriter, r *http.Request, name string) {
	a := h.assets[name]
	if a == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	head := w.Header()
	head.Set("Content-Type", a.media)
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	b := a.raw
	if a.small != nil {
		head.Set("Vary", "Accept-Encoding")
		if gzipped(r.Header.Get("Accept-Encoding")) {
			head.Set("Content-Encoding", "gzip")
			b = a.small
		}
	}
	h.write(w, r, b)
}

// gzipped reports whether a client reads gzip.
func gzipped(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		quality = strings.ReplaceAll(quality, " ", "")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") && quality != "q=0" && quality != "q=0.0" && quality != "q=0.00" && quality != "q=0.000" {
			return true
		}
	}
	return false
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, b []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the browser is gone when this fails
	}
}

// The page is the same at every address of the console: its script reads where it is. Nothing on it is of a user.
var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en" data-prefix="{{.Prefix}}" data-api="{{.API}}" data-title="{{.Title}}" data-known="{{.Known}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta property="csp-nonce" nonce="{{.Nonce}}">
<title>{{.Title}}</title>
<link rel="icon" href="data:,">
{{range .Fonts}}<link rel="preload" href="{{$.Prefix}}/assets/{{.}}" as="font" type="font/woff2" crossorigin>
{{end}}<link rel="stylesheet" href="{{.Prefix}}/assets/{{.Style}}">
<script type="module" src="{{.Prefix}}/assets/{{.Script}}"></script>
</head>
<body><div id="app"></div><noscript>The console needs scripts. The command line can do the same.</noscript></body>
</html>
`))

func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	known := "maybe"
	if h.Known != nil && !h.Known(r) {
		known = "no"
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // it never fails
	nonce := base64.StdEncoding.EncodeToString(random[:])
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		manifest
		Prefix, API, Title, Known, Nonce string
	}{h.manifest, h.Prefix, h.API, h.Title, known, nonce})
	if err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Security-Policy", policy(nonce))
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	h.write(w, r, b.Bytes())
}

// policy is what a browser lets the page do: run and show the console's own files, and ask its own host. No text becomes
// markup or a script, whatever a script does with it.
func policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self' 'nonce-" + nonce + "'", "img-src 'self' data:",
		"font-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
}
