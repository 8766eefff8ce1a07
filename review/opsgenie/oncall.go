package opsgenie

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review/internal/service"
)

// ScheduleConfig says who is asked for. Schedule and Token are needed.
type ScheduleConfig struct {
	Schedule string       // its name
	Token    proxy.Secret // of an API integration that may read the configuration
	URL      string       // empty is DefaultURL
	Private  bool         // the URL may lead to a private address
	TLS      *tls.Config  // nil is the system's roots
}

// Schedule knows who is on call. It is safe for concurrent use.
type Schedule struct {
	name   string
	client *service.Client
}

// NewSchedule checks c and returns its schedule. It does not connect.
func NewSchedule(c ScheduleConfig) (*Schedule, error) {
	if c.Schedule == "" {
		return nil, errors.New("opsgenie: schedule: got nothing, want the name of a schedule")
	}
	client, err := open(c.Token, c.URL, c.Private, c.TLS)
	if err != nil {
		return nil, err
	}
	return &Schedule{c.Schedule, client}, nil
}

// OnCall returns the mail addresses of those who are on call now: names of users are addresses in Opsgenie.
func (s *Schedule) OnCall(ctx context.Context) ([]string, error) {
	var answer struct {
		Data *struct {
			Recipients []string `json:"onCallRecipients"`
		} `json:"data"`
	}
	err := s.client.Do(ctx, service.Request{
		What: "who is on call", Method: http.MethodGet, Path: []string{"v2", "schedules", s.name, "on-calls"},
		Query: url.Values{"scheduleIdentifierType": {"name"}, "flat": {"true"}}, Out: &answer,
	})
	if err != nil {
		return nil, err
	}
	if answer.Data == nil {
		return nil, errors.New("opsgenie: who is on call: the answer does not say")
	}
	return answer.Data.Recipients, nil
}
