package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Login is how the gateway proves itself: [ManagedIdentity], [Client] or [Workload].
type Login interface {
	tokens(audience string) func(ctx context.Context) (proxy.Secret, time.Time, error)
}

// Where access tokens come from, unless a login says another place.
const (
	metadata  = "http://169.254.169.254"
	authority = "https://login.microsoftonline.com"
)

// ManagedIdentity is a login as the machine that the gateway runs on.
type ManagedIdentity struct {
	ClientID string // of one of several identities; may be empty

	metadata string // for tests
}

func (m *ManagedIdentity) tokens(audience string) func(context.Context) (proxy.Secret, time.Time, error) {
	const service = "the metadata service of Azure"
	client, base := httpapi.Direct(service), metadata
	if m.metadata != "" {
		base = m.metadata
	}
	q := url.Values{"api-version": {"2018-02-01"}, "resource": {audience}}
	if m.ClientID != "" {
		q.Set("client_id", m.ClientID)
	}
	return func(ctx context.Context) (proxy.Secret, time.Time, error) {
		var a struct {
			Token   string      `json:"access_token"`
			Seconds json.Number `json:"expires_in"` // a text there
		}
		err := client.JSON(ctx, http.MethodGet, base+"/metadata/identity/oauth2/token?"+q.Encode(), http.Header{"Metadata": {"true"}}, nil, &a)
		if err != nil {
			return proxy.Secret{}, time.Time{}, fmt.Errorf("asking for the managed identity: %w", err)
		}
		seconds, _ := a.Seconds.Int64() // 0 is refused
		return (&httpapi.Granted{Token: a.Token, Seconds: seconds}).Use(service)
	}
}

// Client is a login as an application, by its secret.
type Client struct {
	Tenant string
	ID     string
	Secret secrets.Input

	authority string // for tests
}

func (c *Client) tokens(audience string) func(context.Context) (proxy.Secret, time.Time, error) {
	return grant(c.authority, c.Tenant, c.ID, audience, func(ctx context.Context, form url.Values) error {
		if c.Secret == nil {
			return errors.New("the login has no secret")
		}
		secret, err := c.Secret(ctx)
		form.Set("client_secret", secret.Reveal())
		return err
	})
}

// Workload is a login as an application, by a token of the platform that the gateway runs on, such as that of
// a Kubernetes service account.
type Workload struct {
	Tenant string
	ID     string
	Token  secrets.Input

	authority string // for tests
}

func (w *Workload) tokens(audience string) func(context.Context) (proxy.Secret, time.Time, error) {
	return grant(w.authority, w.Tenant, w.ID, audience, func(ctx context.Context, form url.Values) error {
		if w.Token == nil {
			return errors.New("the login has no token")
		}
		token, err := w.Token(ctx)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", token.Reveal())
		return err
	})
}

// grant asks for access tokens of an application, which prove completes the question for.
func grant(base, tenant, id, audience string, prove func(ctx context.Context, form url.Values) error) func(context.Context) (proxy.Secret, time.Time, error) {
	const service = "Microsoft Entra ID"
	if base == "" {
		base = authority
	}
	client := httpapi.New(service, nil)
	return func(ctx context.Context) (proxy.Secret, time.Time, error) {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "scope": {audience + "/.default"}}
		if err := prove(ctx, form); err != nil {
			return proxy.Secret{}, time.Time{}, fmt.Errorf("logging in to %s: %w", service, err)
		}
		var g httpapi.Granted
		if err := client.Form(ctx, base+"/"+url.PathEscape(tenant)+"/oauth2/v2.0/token", form, &g); err != nil {
			return proxy.Secret{}, time.Time{}, fmt.Errorf("logging in to %s: %w", service, err)
		}
		return g.Use(service)
	}
}
