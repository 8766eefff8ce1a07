package jira

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/review/internal/service"
)

// signal is a decision as Jira shows it.
type signal struct {
	id      string // of the transition, or of the approval and who answered it
	account string
	name    string // for people
	approve bool
	at      time.Time // not before
	edited  bool      // the issue's text is not what the gateway wrote
	more    bool      // not all changes of the issue are known
}

// person is an account as Jira writes it. Jira Cloud has identifiers, and Data Center keys.
type person struct {
	AccountID   string `json:"accountId"`
	AccountType string `json:"accountType"`
	Key         string `json:"key"`
	DisplayName string `json:"displayName"`
	Email       string `json:"emailAddress"`
	Active      bool   `json:"active"`
}

// id is what the account is known by.
func (p *person) id() string {
	if p.AccountID != "" {
		return p.AccountID
	}
	return p.Key
}

// history is one change of an issue.
type history struct {
	ID      string `json:"id"`
	Author  person `json:"author"`
	Created stamp  `json:"created"`
	Items   []struct {
		Field   string `json:"field"`
		FieldID string `json:"fieldId"`
		To      string `json:"toString"`
	} `json:"items"`
}

// is reports whether an item is about a field. Data Center has its name alone, which is not translated.
func is(field, fieldID, want string) bool {
	if fieldID != "" {
		return fieldID == want
	}
	return strings.EqualFold(field, want)
}

// signals are the decisions that an issue shows: its status, by who brought it there, and the answers to its approvals.
func (n *Notifier) signals(ctx context.Context, i *issue) ([]signal, error) {
	var now struct {
		Changelog *struct {
			Total     int       `json:"total"`
			Histories []history `json:"histories"`
		} `json:"changelog"`
	}
	err := n.client.Do(ctx, service.Request{
		What: "read the issue", Method: http.MethodGet, Path: []string{"rest", "api", "2", "issue", i.ID}, Query: url.Values{"fields": {"status"}, "expand": {"changelog"}}, Out: &now,
	})
	if service.Code(err) == http.StatusNotFound {
		return nil, nil // it was deleted: the next notice makes another one
	}
	if err != nil {
		return nil, err
	}
	if now.Changelog == nil {
		return nil, errors.New("jira: read the issue: the answer has no changelog")
	}
	edited, more := false, now.Changelog.Total > len(now.Changelog.Histories)
	var last *signal // the latest change of the status
	for _, h := range now.Changelog.Histories {
		for _, item := range h.Items {
			if is(item.Field, item.FieldID, "summary") || is(item.Field, item.FieldID, "description") {
				edited = true
			}
			if !is(item.Field, item.FieldID, "status") || last != nil && !later(&h, last) {
				continue
			}
			last = &signal{id: "status " + h.ID, account: h.Author.id(), name: h.Author.DisplayName, at: h.Created.Time}
			switch s := &n.config.Statuses; {
			case s.Approved != "" && strings.EqualFold(item.To, s.Approved):
				last.approve = true
			case s.Denied == "" || !strings.EqualFold(item.To, s.Denied):
				last.account = "" // it decides nothing
			}
		}
	}
	var list []signal
	if last != nil && last.account != "" && n.config.ServiceDesk == "" {
		list = append(list, *last)
	}
	if n.config.ServiceDesk != "" {
		if list, err = n.answers(ctx, i); err != nil {
			return nil, err
		}
	}
	for k := range list {
		list[k].edited, list[k].more = edited, more
	}
	return list, nil
}

// later reports whether a change came after a signal.
func later(h *history, than *signal) bool {
	if !h.Created.Equal(than.at) {
		return h.Created.After(than.at)
	}
	a, errA := strconv.ParseInt(h.ID, 10, 64)
	b, errB := strconv.ParseInt(strings.TrimPrefix(than.id, "status "), 10, 64)
	return errA == nil && errB == nil && a > b
}

// Words of Jira Service Management about approvals.
const (
	answerApproved = "approved"
	answerDeclined = "declined"
)

// maxPages is how many pages of approvals are read.
const maxPages = 10

// answers are those to the approvals of a service desk's request.
func (n *Notifier) answers(ctx context.Context, i *issue) (list []signal, err error) {
	start := 0
	for range maxPages {
		var page struct {
			IsLastPage *bool `json:"isLastPage"`
			Values     []struct {
				ID          string `json:"id"`
				CreatedDate struct {
					EpochMillis int64 `json:"epochMillis"`
				} `json:"createdDate"`
				Approvers []struct {
					Approver person `json:"approver"`
					Decision string `json:"approverDecision"`
				} `json:"approvers"`
			} `json:"values"`
		}
		err := n.client.Do(ctx, service.Request{
			What: "read the approvals", Method: http.MethodGet, Path: []string{"rest", "servicedeskapi", "request", i.ID, "approval"},
			Query: url.Values{"start": {strconv.Itoa(start)}, "limit": {"50"}}, Out: &page,
		})
		if err != nil {
			return nil, err
		}
		if page.IsLastPage == nil {
			return nil, errors.New("jira: read the approvals: the answer does not say whether these are all")
		}
		for _, a := range page.Values {
			for _, by := range a.Approvers {
				if by.Decision == answerApproved || by.Decision == answerDeclined {
					list = append(list, signal{
						id: "approval " + a.ID + " " + by.Approver.id() + " " + by.Decision, account: by.Approver.id(), name: by.Approver.DisplayName,
						approve: by.Decision == answerApproved, at: time.UnixMilli(a.CreatedDate.EpochMillis),
					})
				}
			}
		}
		if *page.IsLastPage || len(page.Values) == 0 {
			return list, nil
		}
		start += len(page.Values)
	}
	return nil, errors.New("jira: read the approvals: more of them than are read")
}

// own is the gateway's own account.
func (n *Notifier) own(ctx context.Context) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.self != "" {
		return n.self, nil
	}
	var p person
	if err := n.client.Do(ctx, service.Request{What: "read the gateway's own account", Method: http.MethodGet, Path: []string{"rest", "api", "2", "myself"}, Out: &p}); err != nil {
		return "", err
	}
	if p.id() == "" {
		return "", errors.New("jira: read the gateway's own account: the answer does not say which one it is")
	}
	n.self = p.id()
	return n.self, nil
}

// account is the account of a signal as Jira knows it now, and what she wrote in the issue last.
func (n *Notifier) account(ctx context.Context, i *issue, s *signal) (a Account, reason string, err error) {
	var p person
	// Which of both it is says whether the answer has accountId.
	query := url.Values{"accountId": {s.account}}
	if n.config.Username == "" {
		query = url.Values{"key": {s.account}}
	}
	err = n.client.Do(ctx, service.Request{What: "read the account", Method: http.MethodGet, Path: []string{"rest", "api", "2", "user"}, Query: query, Out: &p})
	if code := service.Code(err); code == http.StatusNotFound || code == http.StatusForbidden {
		return a, "", errAccount
	}
	if err != nil {
		return a, "", err
	}
	if p.id() != s.account || !p.Active || p.AccountType == "app" {
		return a, "", errAccount
	}
	a.ID = p.id()
	if p.AccountID != "" && p.AccountType == "atlassian" {
		a.Email = p.Email // people write their own in Data Center
	}
	reason, err = n.lastComment(ctx, i, s)
	return a, reason, err
}

// lastComment is what somebody wrote in an issue last, since it shows the request as it is.
func (n *Notifier) lastComment(ctx context.Context, i *issue, s *signal) (string, error) {
	var page struct {
		Comments []struct {
			Author  person `json:"author"`
			Body    string `json:"body"`
			Created stamp  `json:"created"`
		} `json:"comments"`
	}
	err := n.client.Do(ctx, service.Request{
		What: "read the comments", Method: http.MethodGet, Path: []string{"rest", "api", "2", "issue", i.ID, "comment"},
		Query: url.Values{"orderBy": {"-created"}, "maxResults": {"20"}}, Out: &page,
	})
	if err != nil {
		return "", err
	}
	text, at := "", i.Shown
	for _, c := range page.Comments {
		if c.Author.id() == s.account && c.Created.After(at) {
			text, at = strings.Join(strings.Fields(c.Body), " "), c.Created.Time
		}
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text, nil
}
