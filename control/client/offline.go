package client

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/control"
)

// MakeOffline makes a grant by which somebody has access while the store and the identity provider do not answer.
func (c *Client) MakeOffline(ctx context.Context, r control.OfflineGrantRequest) (*control.OfflineGrant, error) {
	return get[control.OfflineGrant](ctx, c, http.MethodPost, "/v1/offline-grants", r)
}

// BeginOffline begins to use a grant, at the local socket, and returns what people sign.
func (c *Client) BeginOffline(ctx context.Context, r control.OfflineBegin) (*control.OfflineStatement, error) {
	return get[control.OfflineStatement](ctx, c, http.MethodPost, "/v1/offline-grants/begin", r)
}

// UseOffline uses a grant, at the local socket, by what people have signed.
func (c *Client) UseOffline(ctx context.Context, r control.OfflineUse) (*control.OfflineAccess, error) {
	return get[control.OfflineAccess](ctx, c, http.MethodPost, "/v1/offline-grants/use", r)
}
