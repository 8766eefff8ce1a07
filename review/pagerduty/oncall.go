package pagerduty

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review/internal/service"
)

// DefaultAPI is PagerDuty's REST API. Accounts in the EU have https://api.eu.pagerduty.com.
const DefaultAPI = "https://api.pagerduty.com"

// ScheduleConfig says who is asked for: those of a schedule, or the first level of an escalation policy. Token is needed, and one of
// Schedule and Policy.
type ScheduleConfig struct {
	Schedule string       // its identifier, such as PI7DH85
	Policy   string       // the identifier of an escalation policy
	Token    proxy.Secret // of the REST API; it need not be able to change anything
	URL      string       // empty is DefaultAPI
	Private  bool         // the URL may lead to a private address
	TLS      *tls.Config  // nil is the system's roots
}

// Schedule knows who is on call. It is safe for concurrent use.
type Schedule struct {
	config ScheduleConfig
	client *service.Client
}

// identifier is one of an object in PagerDuty.
var identifier = regexp.MustCompile(`^[A-Z0-9]{3,32}$`)

// NewSchedule checks c and returns its schedule. It does not connect.
func NewSchedule(c ScheduleConfig) (*Schedule, error) {
	id := c.Schedule
	if id == "" {
		id = c.Policy
	}
	switch {
	case (c.Schedule == "") == (c.Policy == ""):
		return nil, errors.New("pagerduty: want a schedule or an escalation policy, and not both")
	case !identifier.MatchString(id):
		return nil, errors.New("pagerduty: want the identifier of a schedule or an escalation policy, such as PI7DH85, which is in the address of its page")
	case c.Token.Empty():
		return nil, errors.New("pagerduty: token: got nothing, want a key of the REST API, which need only read")
	}
	if c.URL == "" {
		c.URL = DefaultAPI
	}
	client, err := service.Config{Name: "pagerduty", URL: c.URL, Private: c.Private, TLS: c.TLS, Header: http.Header{
		"Authorization": {"Token token=" + c.Token.Reveal()}, "Accept": {"application/vnd.pagerduty+json;version=2"},
	}}.Open()
	if err != nil {
		return nil, err
	}
	return &Schedule{c, client}, nil
}

// Bounds of answers.
const (
	pageSize = 100
	maxPages = 10
)

// OnCall returns the mail addresses of those who are on call now.
func (s *Schedule) OnCall(ctx context.Context) ([]string, error) {
	var list []string
	for page := range maxPages {
		query := url.Values{"include[]": {"users"}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(page * pageSize)}}
		if s.config.Schedule != "" {
			query.Set("schedule_ids[]", s.config.Schedule)
		} else {
			query.Set("escalation_policy_ids[]", s.config.Policy)
		}
		var answer struct {
			OnCalls *[]struct {
				User struct {
					Email string `json:"email"`
				} `json:"user"`
				Level int `json:"escalation_level"`
			} `json:"oncalls"`
			More bool `json:"more"`
		}
		err := s.client.Do(ctx, service.Request{What: "who is on call", Method: http.MethodGet, Path: []string{"oncalls"}, Query: query, Out: &answer})
		if err != nil {
			return nil, err
		}
		if answer.OnCalls == nil {
			return nil, errors.New("pagerduty: who is on call: the answer does not say")
		}
		for _, c := range *answer.OnCalls {
			if c.User.Email != "" && (s.config.Schedule != "" || c.Level == 1) {
				list = append(list, c.User.Email)
			}
		}
		if !answer.More {
			return list, nil
		}
	}
	return nil, errors.New("pagerduty: who is on call: more people than are read")
}
