package kit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/aws"
)

const (
	fetchTime = 30 * time.Second
	maxAnswer = 64 << 10
)

// Fetch asks the gateway for keys of an account, by the certificate of the endpoint's login.
func Fetch(ctx context.Context, e protocol.Endpoint) (*aws.Document, error) {
	if e.Proof == nil {
		return nil, errors.New("asking for keys: there is no certificate of a login")
	}
	pair, err := tls.LoadX509KeyPair(e.Proof.Certificate, e.Proof.Key)
	if err != nil {
		return nil, fmt.Errorf("asking for keys: the certificate of the login: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if e.CA != "" {
		text, err := os.ReadFile(e.CA)
		if err != nil {
			return nil, err
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("asking for keys: %s holds no certificate", e.CA)
		}
	}
	tr := &http.Transport{TLSClientConfig: config}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: fetchTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address(e)+aws.IssuePath+url.PathEscape(e.Resource), http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking for keys: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("asking for keys: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for keys of %s: the gateway answers %s", e.Resource, res.Status)
	}
	d := &aws.Document{}
	if json.Unmarshal(b, d) != nil || d.AccessKeyID == "" { // its error may quote the text
		return nil, errors.New("asking for keys: the gateway's answer holds none")
	}
	return d, nil
}
