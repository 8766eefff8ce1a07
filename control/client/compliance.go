package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/control"
)

// Frameworks lists those that packs of evidence are made for.
func (c *Client) Frameworks(ctx context.Context) ([]control.Framework, error) {
	list, err := get[control.FrameworkList](ctx, c, http.MethodGet, "/v1/compliance/frameworks", nil)
	if err != nil {
		return nil, err
	}
	return list.Frameworks, nil
}

// ExportEvidence has a pack of evidence made, of what happened from one time on and before another, and returns it as a ZIP file, which the
// caller closes. One that is cut off is not a pack.
func (c *Client) ExportEvidence(ctx context.Context, framework string, from, to time.Time) (io.ReadCloser, error) {
	q := url.Values{"framework": {framework}, "since": {from.Format(time.RFC3339Nano)}, "until": {to.Format(time.RFC3339Nano)}}
	return c.open(ctx, http.MethodGet, "/v1/compliance/export?"+q.Encode(), nil)
}
