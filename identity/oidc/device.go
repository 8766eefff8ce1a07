package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Device is a login on a machine without a browser (RFC 8628): the user types a code
// into a page that she opens elsewhere.
type Device struct {
	// UserCode and URL are what the user is shown; Complete is the page with the code
	// filled in, empty where the provider has none.
	UserCode, URL, Complete string
	Expires                 time.Time

	provider *Provider

	mu    sync.Mutex
	state deviceState
}

// deviceState is what is needed to ask again.
type deviceState struct {
	Provider string        `json:"p"`
	Code     string        `json:"c"`
	Interval time.Duration `json:"i"`
	Next     time.Time     `json:"n"`
	Expires  time.Time     `json:"e"`
}

const (
	defaultInterval = 5 * time.Second
	maxInterval     = time.Minute
	maxDeviceLife   = 30 * time.Minute
)

// ErrPending says that the user has not answered yet: ask again after Device.Wait.
var ErrPending = errors.New("the login is not complete yet")

// Device begins a login on another machine.
func (p *Provider) Device(ctx context.Context) (*Device, error) {
	m, err := p.registered(ctx)
	if err != nil {
		return nil, err
	}
	c := p.oauth(m)
	if c.Endpoint.DeviceAuthURL == "" {
		return nil, fmt.Errorf("oidc provider %s has no device flow: log in with a browser", p.config.Name)
	}
	// The client's secret goes with the question, as providers with confidential clients
	// want it.
	r, err := clientRequest(ctx, c, c.Endpoint.DeviceAuthURL, url.Values{"scope": {strings.Join(c.Scopes, " ")}})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		URI      string `json:"verification_uri"`
		URL      string `json:"verification_url"` // of Google
		Complete string `json:"verification_uri_complete"`
		Expires  int64  `json:"expires_in"`
		Interval int64  `json:"interval"`
	}
	if err := p.getJSON(r, &answer); err != nil {
		return nil, fmt.Errorf("beginning a device login at oidc provider %s: %w", p.config.Name, err)
	}
	d := &Device{
		UserCode: clip(answer.User), URL: answer.URI, Complete: answer.Complete, provider: p,
		Expires: p.config.Now().Add(time.Duration(min(max(answer.Expires, 0), int64(maxDeviceLife/time.Second))) * time.Second),
	}
	d.state = deviceState{
		Provider: p.config.Name, Code: answer.Device, Expires: d.Expires,
		Interval: time.Duration(min(max(answer.Interval, 0), int64(maxInterval/time.Second))) * time.Second,
	}
	if d.URL == "" {
		d.URL = answer.URL
	}
	if d.state.Interval == 0 {
		d.state.Interval = defaultInterval
	}
	if d.state.Code == "" || d.UserCode == "" || encrypted(d.URL) != nil || d.Complete != "" && encrypted(d.Complete) != nil {
		return nil, fmt.Errorf("beginning a device login at oidc provider %s: the answer lacks a code, or an https page to type it into", p.config.Name)
	}
	d.state.Next = p.config.Now().Add(d.state.Interval)
	return d, nil
}

// Wait is how long to wait before Poll asks again.
func (d *Device) Wait() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, d.state.Next.Sub(d.provider.config.Now()))
}

// Poll returns the login once the user has answered, and until then an error that wraps
// ErrPending. It asks the provider no more often than that wants to be asked.
func (d *Device) Poll(ctx context.Context) (*Login, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.provider
	now := p.config.Now()
	if d.state.Code == "" || !now.Before(d.state.Expires) {
		return nil, fmt.Errorf("device login at oidc provider %s: %w: the code has expired, or was used: begin again", p.config.Name, proxy.ErrUnauthenticated)
	}
	if now.Before(d.state.Next) {
		return nil, ErrPending
	}
	m, err := p.registered(ctx)
	if err != nil {
		return nil, err
	}
	d.state.Next = now.Add(d.state.Interval)
	t, err := p.exchange(ctx, m, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.state.Code}})
	var r *oauth2.RetrieveError
	if errors.As(err, &r) {
		switch r.ErrorCode {
		case "authorization_pending":
			return nil, ErrPending
		case "slow_down":
			d.state.Interval = min(d.state.Interval+5*time.Second, maxInterval)
			d.state.Next = now.Add(d.state.Interval)
			return nil, ErrPending
		}
	}
	if err != nil && r == nil { // it was not reached
		return nil, p.refused("asking for a device login", err)
	}
	d.state.Code = "" // it is answered, whatever the answer is
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, p.refused("asking for a device login", err))
	}
	l, err := p.login(ctx, m, t, "", nil)
	if err != nil {
		return nil, fmt.Errorf("device login at oidc provider %s: %w: %w", p.config.Name, proxy.ErrUnauthenticated, err)
	}
	return l, nil
}

// Seal returns what is needed to ask again, for the machine that logs in: the gateway
// keeps nothing of a login that is not complete.
func (d *Device) Seal(s identity.Sealer) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := json.Marshal(d.state)
	if err != nil {
		return "", err
	}
	sealed, err := s.Seal(b, "oidc device")
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenDevice returns the login that Device.Seal has sealed.
func (p *Provider) OpenDevice(s identity.Sealer, text string) (*Device, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, identity.ErrSealed
	}
	b, err := s.Open(sealed, "oidc device")
	if err != nil {
		return nil, err
	}
	d := &Device{provider: p}
	if err := json.Unmarshal(b, &d.state); err != nil {
		return nil, err
	}
	if d.state.Provider != p.config.Name {
		return nil, identity.ErrSealed
	}
	d.Expires = d.state.Expires
	return d, nil
}

// exchange asks the token endpoint once.
func (p *Provider) exchange(ctx context.Context, m *metadata, form url.Values) (*oauth2.Token, error) {
	c := p.oauth(m)
	r, err := clientRequest(ctx, c, c.Endpoint.TokenURL, form)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	err = json.NewDecoder(resp.Body).Decode(&answer)
	str := func(name string) string { s, _ := answer[name].(string); return s }
	switch {
	case str("error") != "" || resp.StatusCode != http.StatusOK:
		return nil, &oauth2.RetrieveError{Response: resp, ErrorCode: str("error"), ErrorDescription: str("error_description")}
	case err != nil:
		return nil, errors.New("its answer cannot be read")
	case str("access_token") == "":
		return nil, errors.New("its answer holds no access token")
	}
	t := &oauth2.Token{AccessToken: str("access_token"), TokenType: str("token_type"), RefreshToken: str("refresh_token")}
	return t.WithExtra(answer), nil
}
