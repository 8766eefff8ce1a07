// Package loopback is the command line's side of a login in the browser: it waits on a
// port of its own machine for the code that the gateway sends the browser back with.
//
// A token is never in a URL: the code is worth nothing without the verifier, which does
// not leave the program.
package loopback

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Receiver waits for one code. It is used once.
type Receiver struct {
	state, verifier string
	listeners       []net.Listener
	server          *http.Server
	once            sync.Once
	got             chan result
}

type result struct {
	code string
	err  error
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Listen waits on a free port of 127.0.0.1, and of ::1 where that is there.
func Listen() (*Receiver, error) {
	r := &Receiver{state: random(), verifier: random(), got: make(chan result, 1)}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("waiting for the browser: %w", err)
	}
	r.listeners = append(r.listeners, ln)
	// A browser that takes localhost for ::1 finds it there too; without IPv6, it will not
	// look there.
	if six, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(r.Port()))); err == nil {
		r.listeners = append(r.listeners, six)
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	for _, ln := range r.listeners {
		go func() {
			if err := r.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				r.finish(result{err: err})
			}
		}()
	}
	return r, nil
}

// Port is where it waits.
func (r *Receiver) Port() int { return r.listeners[0].Addr().(*net.TCPAddr).Port }

// Challenge is the SHA-256 of the verifier, as PKCE has it.
func (r *Receiver) Challenge() string {
	sum := sha256.Sum256([]byte(r.verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verifier is what the code is redeemed with.
func (r *Receiver) Verifier() string { return r.verifier }

// URL returns where the browser begins: at is the gateway's page for command lines.
func (r *Receiver) URL(at string) (string, error) {
	u, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("port", strconv.Itoa(r.Port()))
	q.Set("state", r.state)
	q.Set("challenge", r.Challenge())
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Wait returns the code, and stops waiting on the port.
func (r *Receiver) Wait(ctx context.Context) (string, error) {
	defer r.Close()
	select {
	case got := <-r.got:
		return got.code, got.err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the browser: %w", context.Cause(ctx))
	}
}

// Close stops waiting. The page that tells the user so is sent before.
func (r *Receiver) Close() {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if r.server.Shutdown(ctx) != nil {
		r.server.Close()
	}
}

func (r *Receiver) finish(got result) { r.once.Do(func() { r.got <- got }) }

// ServeHTTP takes the browser's one answer. What does not know the state is not an
// answer: another program or page guesses, and the wait goes on.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	host, _, err := net.SplitHostPort(req.Host)
	ip := net.ParseIP(host)
	switch {
	case err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()):
		http.Error(w, "this host is not known here", http.StatusMisdirectedRequest) // a name that was bound to this machine
		return
	case req.Method != http.MethodGet || req.URL.Path != "/callback":
		http.NotFound(w, req)
		return
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(r.state)) != 1:
		http.Error(w, "this is not the answer that is waited for", http.StatusForbidden)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Connection", "close")
	code := q.Get("code")
	if q.Get("error") != "" || code == "" {
		fmt.Fprintln(w, "The login was refused. You can close this page.")
		r.finish(result{err: errors.New("the login was refused in the browser")})
		return
	}
	fmt.Fprintln(w, "You are logged in. You can close this page.")
	r.finish(result{code: code})
}
