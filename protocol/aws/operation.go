package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// Operation returns the request that a text asks for: "SERVICE:ACTION", and what it is about as a path, such as
// "s3:GetObject /bucket/key" or "dynamodb:DeleteTable /orders".
func Operation(text string) (*proxy.Request, error) {
	action, path, _ := strings.Cut(strings.TrimSpace(text), " ")
	path = strings.TrimSpace(path)
	name, verb, ok := strings.Cut(action, ":")
	if !ok || !sigv4.Label(name) || !actionName.MatchString(verb) || path != "" && !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("explaining a request: got %q, want one such as \"s3:GetObject /bucket/key\"", text)
	}
	c := &call{service: name, region: "us-east-1", method: http.MethodPost}
	if s := services[name]; s != nil && (s.form == formS3 || s.form == formREST) {
		for _, r := range theTable().routes[name] {
			if r.action == verb {
				c.method = r.method
			}
		}
	}
	c.action = action
	if c.path = path; name != "s3" {
		c.path = "/" + verb + path
	}
	if c.path == "" {
		c.path = "/"
	}
	return c.operation(), nil
}

// Reach asks STS, or the account's endpoint, who the account's keys are.
func Reach(ctx context.Context, s *proxy.Session) error {
	var us relay.Upstreams
	defer us.Close()
	credential, err := relay.Visiting(s).Credential(ctx)
	if err != nil {
		return err
	}
	keys, err := keysOf(credential)
	if err != nil {
		return err
	}
	region := "us-east-1"
	if list := settingsOf(s.Target.Resource).Regions; len(list) > 0 {
		region = list[0]
	}
	to, host := endpoint(s.Target.Resource, services["sts"], "sts", region)
	up, err := us.Of(s.Gateway(), to, false, nil)
	if err != nil {
		return err
	}
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, up.Scheme+"://"+up.Host+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4.Sign(r, &sigv4.Target{Path: []string{""}}, keys, sigv4.Scope{Region: region, Service: "sts", At: time.Now()}, false, sigv4.Digest([]byte(body)))
	res, err := up.RoundTrip(r)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized {
		return errors.New("the account refuses the gateway's keys")
	}
	return nil
}
