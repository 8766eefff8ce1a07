package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

// patience is how long a gateway may take to be connected to.
const patience = 10 * time.Second

// Config says which gateway is asked, and who asks.
type Config struct {
	// URL is where the API is: "https://gw.example.com:7443".
	URL string
	// Authorities are certificates in PEM, by one of which the gateway is known. Empty: those
	// that the system trusts.
	Authorities string
	// Token is the session of a login, or an access token; empty: the certificate proves who
	// asks, or nobody is known.
	Token proxy.Secret
	// Certificate is one that the gateway has given; may be nil.
	Certificate *tls.Certificate
	// Version is the asking program's, such as "v1.4.0"; may be empty.
	Version string
}

// New returns a client of the API at a URL. It does not connect.
func New(c Config) (*Client, error) {
	base, err := base(c.URL)
	if err != nil {
		return nil, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Authorities != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(c.Authorities)) {
			return nil, errors.New("the authorities of the gateway hold no certificate in PEM")
		}
	}
	if c.Certificate != nil {
		t.Certificates = []tls.Certificate{*c.Certificate}
	}
	return &Client{base: base, token: c.Token, version: c.Version, http: over(t)}, nil
}

// base is a URL without what is not needed.
func base(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("the gateway's URL: got %q, want one such as https://gw.example.com:7443", text)
	}
	return "https://" + u.Host, nil
}

// URL returns where the gateway is asked.
func (c *Client) URL() string { return c.base }

// over asks by TLS. It follows no redirect: what it shows is for one gateway.
func over(t *tls.Config) http.Client {
	return http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: t, TLSHandshakeTimeout: patience, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
			DialContext: dial,
		},
	}
}

// Announced is what a gateway says of itself before anybody trusts it.
type Announced struct {
	// Authorities is the one, of those that it names, that its certificate comes from, in
	// PEM. The others are not proven by the fingerprint: a gateway that is trusted says
	// them again.
	Authorities string
	// Fingerprint is the SHA-256 of that authority's certificate. A person compares it with
	// what the gateway's operator says.
	Fingerprint string
}

// Announce asks a gateway that is not known yet by which authority it wants to be known.
// Nothing is proven by the answer but that it is the gateway's own, if its fingerprint is
// the right one: nothing secret is sent.
func Announce(ctx context.Context, at string) (*Announced, error) {
	at, err := base(at)
	if err != nil {
		return nil, err
	}
	var leaf *x509.Certificate
	c := &Client{base: at, http: over(&tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, // verified below, by what the answer says
		VerifyConnection: func(s tls.ConnectionState) error {
			leaf = s.PeerCertificates[0]
			return nil
		},
	})}
	defer c.http.CloseIdleConnections()
	server, err := c.Server(ctx)
	if err != nil {
		return nil, err
	}
	if server.Authorities == "" {
		return nil, fmt.Errorf("%s names no authority of its own, and its certificate is not one that this system trusts: give the authority's file", at)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(server.Authorities))
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: u.Hostname()})
	if err != nil {
		return nil, fmt.Errorf("the certificate of %s is not one of the authority that it names: %w", at, err)
	}
	authority := root(chains)
	print, err := Fingerprint(authority)
	if err != nil {
		return nil, err
	}
	return &Announced{Authorities: authority, Fingerprint: print}, nil
}

// root is the authority, in PEM, of the first of the chains that were verified.
func root(chains [][]*x509.Certificate) string {
	chain := chains[0]
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw}))
}

// Root returns the certificate, in PEM, of the authority by which the gateway was found to be
// the one that it is: programs that do not know the system's authorities are given it.
func (c *Client) Root(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/server", nil)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return "", unwrapped(err)
	}
	defer resp.Body.Close()
	if resp.TLS == nil || len(resp.TLS.VerifiedChains) == 0 {
		return "", fmt.Errorf("%s is not known by an authority", c.base)
	}
	return root(resp.TLS.VerifiedChains), nil
}

// Untrusted reports whether an error says that the certificate of a gateway is of an
// authority that is not known.
func Untrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var failed *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &failed)
}

// LoginURL is where a browser begins a login of a command line at a provider; see package
// identity/loopback.
func (c *Client) LoginURL(provider string) string {
	return c.base + "/auth/" + url.PathEscape(provider) + "/cli"
}

// Recently, at the end of LoginURL, has the provider ask the user to prove herself now.
const Recently = "?max_age=1"

// Redeem ends a login that a browser has begun, by the code that came back.
func (c *Client) Redeem(ctx context.Context, code, verifier string) (*control.Login, error) {
	login := &control.Login{}
	_, err := c.form(ctx, "/auth/token", url.Values{"code": {code}, "verifier": {verifier}}, login)
	return login, err
}

// Device is a login on a machine without a browser.
type Device struct {
	State    string `json:"device"`                    // for Poll
	Code     string `json:"user_code"`                 // which the user types
	URL      string `json:"verification_uri"`          // into this page
	Complete string `json:"verification_uri_complete"` // the page with the code; may be empty
	Wait     int    `json:"interval"`                  // seconds before the next Poll
}

// BeginDevice begins a login on a machine without a browser.
func (c *Client) BeginDevice(ctx context.Context, provider string) (*Device, error) {
	d := &Device{}
	_, err := c.form(ctx, "/auth/"+url.PathEscape(provider)+"/device", url.Values{}, d)
	return d, err
}

// Poll returns the login that the user has let in; nil while she has not: d says when to
// ask again.
func (c *Client) Poll(ctx context.Context, provider string, d *Device) (*control.Login, error) {
	var got struct {
		Device
		control.Login
	}
	status, err := c.form(ctx, "/auth/"+url.PathEscape(provider)+"/device/poll", url.Values{"device": {d.State}}, &got)
	if err != nil {
		return nil, err
	}
	if status == http.StatusAccepted {
		d.State, d.Wait = got.State, got.Wait
		return nil, nil
	}
	return &got.Login, nil
}

// Workload logs a program in by its platform's token.
func (c *Client) Workload(ctx context.Context, provider string, token proxy.Secret) (*control.Login, error) {
	login := &control.Login{}
	_, err := c.form(ctx, "/auth/"+url.PathEscape(provider)+"/workload", url.Values{"token": {token.Reveal()}}, login)
	return login, err
}

// form sends a form, as pages for logins want it, and returns the answer's status.
func (c *Client) form(ctx context.Context, path string, form url.Values, out any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.version != "" {
		r.Header.Set(control.ClientHeader, c.version)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, unwrapped(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return resp.StatusCode, failed(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(out); err != nil {
		return resp.StatusCode, fmt.Errorf("reading the gateway's answer to POST %s: %w", path, err)
	}
	return resp.StatusCode, nil
}

// Fingerprint is the SHA-256 of the first certificate of a text in PEM.
func Fingerprint(authorities string) (string, error) {
	certs, err := certificates(authorities)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(certs[0].Raw)
	return hex.EncodeToString(sum[:]), nil
}
