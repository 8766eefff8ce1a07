// Package jira tells of requests by issues in Jira, or by requests of a service desk in Jira Service Management: one for each request, which
// gets a comment and another status when something becomes of it. People decide by its status or its approvals where that is configured;
// see [Decisions]. It is made for Jira Cloud and for Data Center.
package jira

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/review/internal/service"
	"github.com/sallyport/sallyport/store"
)

// Kinds of documents.
const (
	KindIssue  = "jira-issue"  // says which issue is about which request
	KindNumber = "jira-number" // says which request an issue is about
	KindSignal = "jira-signal" // says which decisions were taken, so that none counts twice
)

// KeepIssues is for how long an issue is changed after something was told last.
const KeepIssues = 60 * 24 * time.Hour

// Statuses are names of statuses in the issues' workflow. An issue is left as it is where one is empty, and where no transition leads there.
type Statuses struct {
	Waiting  string // for a decision, also after one that did not count
	Approved string
	Denied   string
	Closed   string // of a request that is over in another way: cancelled, expired, revoked, ended
}

// of is the status of an issue for what has become of its request.
func (s *Statuses) of(state review.State) string {
	switch state {
	case review.Pending:
		return s.Waiting
	case review.Approved:
		return s.Approved
	case review.Denied:
		return s.Denied
	case "": // an alert: people move its issue
		return ""
	}
	return s.Closed
}

// Config says where issues go. Name, URL, Token and Store are needed, and Project and IssueType, or ServiceDesk and RequestType.
type Config struct {
	Name     string // of the channel of notices; issues are kept by it
	URL      string // of the site, such as https://example.atlassian.net
	Private  bool   // the URL may lead to a private address
	TLS      *tls.Config
	Username string       // with it Token is an API token of Jira Cloud; without it a personal access token of Data Center
	Token    proxy.Secret // of the gateway's own account
	Store    store.Store  // remembers issues

	Project, IssueType       string // a project's key, and the name of a type
	ServiceDesk, RequestType string // identifiers, of Jira Service Management
	Statuses                 Statuses

	Details bool // what an operation would do is in issues, too
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: issues have no link.
	Link func(subject string) string
	// Command shows it on a command line; nil: issues have none.
	Command func(subject string) string
	Log     *slog.Logger // nil is slog.Default
}

// Notifier makes and changes issues. It is safe for concurrent use.
type Notifier struct {
	config Config
	client *service.Client

	mu   sync.Mutex
	self string // the gateway's own account, once it is known
}

var (
	projectKey = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,31}$`)
	number     = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// New checks c and returns its notifier. It does not connect.
func New(c Config) (*Notifier, error) {
	if err := review.ValidChannel(c.Name); err != nil {
		return nil, fmt.Errorf("jira: %w", err)
	}
	desk := c.ServiceDesk != "" || c.RequestType != ""
	switch {
	case c.Token.Empty():
		return nil, errors.New("jira: token: got nothing, want an API token, with username, or a personal access token")
	case c.Store == nil:
		return nil, errors.New("jira: got no store that remembers issues")
	case desk && (c.Project != "" || c.IssueType != ""):
		return nil, errors.New("jira: want a project and a type of issues, or a service desk and a type of requests, and not both")
	case desk && (!number.MatchString(c.ServiceDesk) || !number.MatchString(c.RequestType)):
		return nil, errors.New("jira: want the identifiers of a service desk and of a type of requests, which are numbers")
	case !desk && !projectKey.MatchString(c.Project):
		return nil, fmt.Errorf("jira: project: got %q, want a project's key, such as OPS", c.Project)
	case !desk && c.IssueType == "":
		return nil, errors.New("jira: type of issues: got nothing, want the name of one, such as Task")
	}
	proof := "Bearer " + c.Token.Reveal()
	if c.Username != "" {
		proof = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Token.Reveal()))
	}
	client, err := service.Config{Name: "jira", URL: c.URL, Private: c.Private, TLS: c.TLS, Header: http.Header{
		"Authorization": {proof},
	}}.Open()
	if err != nil {
		return nil, err
	}
	return &Notifier{config: c, client: client}, nil
}

func (n *Notifier) log() *slog.Logger {
	if n.config.Log != nil {
		return n.config.Log
	}
	return slog.Default()
}

// issue is what is kept of one.
type issue struct {
	ID  string `json:"id,omitempty"` // empty: one may have been made, or not
	Key string `json:"key,omitempty"`
	// Hash is that of the request as the issue shows it, and Shown when it did that, by Jira's clock; zero: from its beginning.
	Hash  string    `json:"hash,omitempty"`
	Shown time.Time `json:"shown,omitzero"`
	Said  string    `json:"said,omitempty"` // the notice that was told last
}

func (n *Notifier) name(request string) string { return n.config.Name + "/" + request }

// issue is the one about a request; known is false when there is none yet.
func (n *Notifier) issue(ctx context.Context, request string) (i issue, known bool, err error) {
	doc, err := n.config.Store.Get(ctx, KindIssue, n.name(request))
	if errors.Is(err, store.ErrNotFound) {
		return i, false, nil
	}
	if err == nil {
		err = json.Unmarshal(doc.Body, &i)
	}
	if err != nil {
		return i, false, fmt.Errorf("jira: which issue is about the request: %w", err)
	}
	return i, true, nil
}

// Notify makes the issue of a request, or comments it with what has become of the request, and gives it the status of that. A comment of
// which nobody knows whether it was written is written again.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	i, known, err := n.issue(ctx, of.Subject())
	if err != nil {
		return err
	}
	if i.ID != "" && i.Said != of.ID {
		if err = n.tell(ctx, &i, of); service.Code(err) == http.StatusNotFound {
			i, known, err = issue{}, false, nil // somebody has deleted it: it is made anew
		}
		if err != nil {
			return err
		}
	}
	if i.ID == "" {
		if err := n.make(ctx, &i, of, known); err != nil {
			return err
		}
		if of.Request.State == review.Pending {
			return nil // a new issue waits
		}
	}
	return n.bring(ctx, &i, n.config.Statuses.of(of.Request.State))
}

// make makes the issue of a request. maybe says that it was tried before, and nobody knows how that ended.
func (n *Notifier) make(ctx context.Context, i *issue, of *review.Notice, maybe bool) error {
	if maybe {
		if err := n.find(ctx, i, of.Subject()); err != nil {
			return err
		}
	} else if err := n.remember(ctx, of.Subject(), i); err != nil {
		return err
	}
	if i.ID != "" && of.Event != review.Asked {
		return n.tell(ctx, i, of) // what it shows is how the request was
	}
	if i.ID == "" {
		if err := n.create(ctx, i, of); err != nil {
			return err
		}
	}
	i.Hash, i.Said = of.Request.Hash, of.ID
	return n.remember(ctx, of.Subject(), i)
}

// create makes an issue.
func (n *Notifier) create(ctx context.Context, i *issue, of *review.Notice) error {
	c := &n.config
	q := service.Request{What: "make the issue", Method: http.MethodPost, Path: []string{"rest", "api", "2", "issue"}}
	fields := map[string]any{"summary": summary(of), "description": n.description(of)}
	var made struct {
		ID       string `json:"id"`
		Key      string `json:"key"`
		IssueID  string `json:"issueId"`
		IssueKey string `json:"issueKey"`
	}
	q.Out = &made
	if c.ServiceDesk != "" {
		q.Path = []string{"rest", "servicedeskapi", "request"}
		q.In = map[string]any{"serviceDeskId": c.ServiceDesk, "requestTypeId": c.RequestType, "requestFieldValues": fields}
	} else {
		fields["project"], fields["issuetype"] = map[string]string{"key": c.Project}, map[string]string{"name": c.IssueType}
		q.In = map[string]any{"fields": fields}
	}
	if err := n.client.Do(ctx, q); err != nil {
		return needs(err)
	}
	i.ID, i.Key = made.ID+made.IssueID, made.Key+made.IssueKey
	if !number.MatchString(i.ID) {
		return errors.New("jira: make the issue: the answer does not say which one it is")
	}
	return nil
}

var fieldName = regexp.MustCompile(`^[A-Za-z0-9_]{1,40}$`)

// needs adds to an error the names of fields that Jira wants otherwise. They are the only part of answers that is told.
func needs(err error) error {
	var s *service.StatusError
	if !errors.As(err, &s) || s.Code != http.StatusBadRequest {
		return err
	}
	var answer struct {
		Errors map[string]json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(s.Body, &answer) != nil {
		return err
	}
	var names []string
	for name := range answer.Errors {
		if fieldName.MatchString(name) && len(names) < 5 {
			names = append(names, name)
		}
	}
	if names == nil {
		return err
	}
	return fmt.Errorf("%w, because of these fields: %s", err, strings.Join(names, ", "))
}

// find looks for the issue that was made before, if one was. It is one of the gateway's own.
func (n *Notifier) find(ctx context.Context, i *issue, request string) error {
	path := []string{"rest", "api", "2", "search"}
	if n.config.Username != "" {
		path = append(path, "jql")
	}
	var found struct {
		Issues []struct{ ID, Key string } `json:"issues"`
	}
	err := n.client.Do(ctx, service.Request{What: "look for the issue", Method: http.MethodGet, Path: path, Out: &found, Query: url.Values{
		"jql": {`creator = currentUser() AND summary ~ "` + quoted.Replace(request) + `" ORDER BY created ASC`}, "fields": {"summary"}, "maxResults": {"1"},
	}})
	if err == nil && len(found.Issues) > 0 && number.MatchString(found.Issues[0].ID) {
		i.ID, i.Key = found.Issues[0].ID, found.Issues[0].Key
	}
	return err
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// tell comments an issue.
func (n *Notifier) tell(ctx context.Context, i *issue, of *review.Notice) error {
	at, err := n.comment(ctx, i, n.news(of))
	if err != nil {
		return err
	}
	if i.Hash != of.Request.Hash {
		i.Hash, i.Shown = of.Request.Hash, at
	}
	i.Said = of.ID
	return n.remember(ctx, of.Subject(), i)
}

// comment writes a comment, and returns when that was by Jira's clock.
func (n *Notifier) comment(ctx context.Context, i *issue, text string) (time.Time, error) {
	var made struct {
		Created stamp `json:"created"`
	}
	err := n.client.Do(ctx, service.Request{
		What: "comment the issue", Method: http.MethodPost, Path: []string{"rest", "api", "2", "issue", i.ID, "comment"}, In: map[string]string{"body": text}, Out: &made,
	})
	if err == nil && made.Created.IsZero() {
		err = errors.New("jira: comment the issue: the answer does not say when that was")
	}
	return made.Created.Time, err
}

// stamp is a time as Jira writes it.
type stamp struct{ time.Time }

// UnmarshalJSON reads a time; what is not one is zero.
func (s *stamp) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999-0700", time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			s.Time = at
			return nil
		}
	}
	return nil
}

// bring gives an issue a status, by the transition that leads there. Where there is none the issue stays as it is: its comments say
// what has become of the request.
func (n *Notifier) bring(ctx context.Context, i *issue, to string) error {
	if to == "" {
		return nil
	}
	at := []string{"rest", "api", "2", "issue", i.ID}
	var now struct {
		Fields struct {
			Status struct {
				Name string `json:"name"`
			} `json:"status"`
		} `json:"fields"`
	}
	if err := n.client.Do(ctx, service.Request{What: "read the issue's status", Method: http.MethodGet, Path: at, Query: url.Values{"fields": {"status"}}, Out: &now}); err != nil {
		return err
	}
	if strings.EqualFold(now.Fields.Status.Name, to) {
		return nil
	}
	var all struct {
		Transitions []struct {
			ID string `json:"id"`
			To struct {
				Name string `json:"name"`
			} `json:"to"`
		} `json:"transitions"`
	}
	at = append(at, "transitions")
	if err := n.client.Do(ctx, service.Request{What: "read the issue's transitions", Method: http.MethodGet, Path: at, Out: &all}); err != nil {
		return err
	}
	for _, t := range all.Transitions {
		if !strings.EqualFold(t.To.Name, to) {
			continue
		}
		err := n.client.Do(ctx, service.Request{What: "change the issue's status", Method: http.MethodPost, Path: at, In: map[string]any{"transition": map[string]string{"id": t.ID}}})
		if code := service.Code(err); code == http.StatusBadRequest || code == http.StatusConflict {
			n.log().Warn("jira: an issue cannot be given its status", "issue", i.Key, "status", to, "err", needs(err))
			return nil
		}
		return err
	}
	n.log().Warn("jira: no transition leads an issue to its status", "issue", i.Key, "from", now.Fields.Status.Name, "status", to)
	return nil
}

func (n *Notifier) remember(ctx context.Context, request string, i *issue) error {
	body, err := json.Marshal(i)
	if err == nil {
		err = kept.Put(ctx, n.config.Store, KindIssue, n.name(request), body, KeepIssues)
	}
	if err == nil && i.ID != "" {
		if body, err = json.Marshal(request); err == nil {
			err = kept.Put(ctx, n.config.Store, KindNumber, n.name(i.ID), body, KeepIssues)
		}
	}
	if err != nil {
		return fmt.Errorf("jira: remembering the issue: %w", err)
	}
	return nil
}
