package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Server says what is needed before a login. Nobody has to be known for it.
func (c *Client) Server(ctx context.Context) (*control.Server, error) {
	return get[control.Server](ctx, c, http.MethodGet, "/v1/server", nil)
}

// Login logs a local user in by a password, and by a code where she has a second factor.
func (c *Client) Login(ctx context.Context, user string, password, code proxy.Secret) (*control.Login, error) {
	return get[control.Login](ctx, c, http.MethodPost, "/v1/login", control.Password{User: user, Password: password.Reveal(), Code: code.Reveal()})
}

// Factors says by what the client, a local user, proves herself.
func (c *Client) Factors(ctx context.Context) (*control.Factors, error) {
	return get[control.Factors](ctx, c, http.MethodGet, "/v1/me/factors", nil)
}

// ChangePassword chooses another password, which ends the client's other logins.
func (c *Client) ChangePassword(ctx context.Context, by control.Again, password proxy.Secret) (*control.Ended, error) {
	return get[control.Ended](ctx, c, http.MethodPost, "/v1/me/password", control.PasswordRequest{Again: by, New: password.Reveal()})
}

// AddTOTP begins to set up an app's codes as a second factor.
func (c *Client) AddTOTP(ctx context.Context, by control.Again) (*control.NewFactor, error) {
	return get[control.NewFactor](ctx, c, http.MethodPost, "/v1/me/totp", by)
}

// ConfirmTOTP has it count, by a code of it. Recovery codes are not shown again.
func (c *Client) ConfirmTOTP(ctx context.Context, code proxy.Secret) (*control.Enrolled, error) {
	return get[control.Enrolled](ctx, c, http.MethodPost, "/v1/me/totp/confirm", control.CodeRequest{Code: code.Reveal()})
}

// RemoveTOTP takes it away.
func (c *Client) RemoveTOTP(ctx context.Context, by control.Again) error {
	return c.call(ctx, http.MethodPost, "/v1/me/totp/remove", by, nil)
}

// RecoveryCodes makes others in place of those before.
func (c *Client) RecoveryCodes(ctx context.Context, by control.Again) (*control.RecoveryCodes, error) {
	return get[control.RecoveryCodes](ctx, c, http.MethodPost, "/v1/me/recovery-codes", by)
}

// Prove has the age of the client's login begin anew.
func (c *Client) Prove(ctx context.Context, by control.Again) (*control.ProvenAgain, error) {
	return get[control.ProvenAgain](ctx, c, http.MethodPost, "/v1/me/prove", by)
}

// ResetFactors takes a user's second factor away, and ends her logins.
func (c *Client) ResetFactors(ctx context.Context, r control.UserRequest) (*control.FactorsReset, error) {
	return get[control.FactorsReset](ctx, c, http.MethodPost, "/v1/user/factors", r)
}

// Logout ends the login whose session the client shows, and revokes what it was given.
func (c *Client) Logout(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/logout", nil, nil)
}

// WhoAmI says who the client is, and what she may do.
func (c *Client) WhoAmI(ctx context.Context) (*control.Me, error) {
	return get[control.Me](ctx, c, http.MethodGet, "/v1/whoami", nil)
}

// Certify has keys certified; see [NewKey].
func (c *Client) Certify(ctx context.Context, r control.CredentialRequest) (*control.Credential, error) {
	return get[control.Credential](ctx, c, http.MethodPost, "/v1/credentials", r)
}

// Resources lists what one may connect to.
func (c *Client) Resources(ctx context.Context) ([]control.Resource, error) {
	var all control.ResourceList
	err := c.call(ctx, http.MethodGet, "/v1/resources", nil, &all)
	return all.Resources, err
}

// Resource describes one of them.
func (c *Client) Resource(ctx context.Context, name string) (*control.Resource, error) {
	return get[control.Resource](ctx, c, http.MethodGet, "/v1/resources/"+url.PathEscape(name), nil)
}

// Can says what the gateway would answer. It does nothing.
func (c *Client) Can(ctx context.Context, q control.Question) (*control.Answer, error) {
	return get[control.Answer](ctx, c, http.MethodPost, "/v1/can", q)
}

// Ask asks for access to a resource.
func (c *Client) Ask(ctx context.Context, r control.AccessRequest) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests", r)
}

// Edit changes a request for access of one's own that waits.
func (c *Client) Edit(ctx context.Context, id string, change control.RequestChange) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests/"+url.PathEscape(id)+"/edit", change)
}

// Accept makes a request of one's own what an approver has proposed; hash is that of the proposal.
func (c *Client) Accept(ctx context.Context, id, hash string) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests/"+url.PathEscape(id)+"/accept", control.AcceptRequest{Hash: hash})
}

// Review says of access that somebody has taken without an approval, and which has ended, that it was in order, or a violation.
func (c *Client) Review(ctx context.Context, id string, d control.ReviewDecision) (*review.Request, error) {
	body := struct {
		decisionBody
		Violation bool `json:"violation,omitempty"`
	}{decisionBody{d.Decision, d.Password.Reveal(), d.Code.Reveal()}, d.Violation}
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests/"+url.PathEscape(id)+"/review", body)
}

// Cancel withdraws a request for access of one's own; what was granted ends.
func (c *Client) Cancel(ctx context.Context, id string) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests/"+url.PathEscape(id)+"/cancel", control.ReasonRequest{})
}

// Revoke takes back access that was granted, for a reason that its user is told.
func (c *Client) Revoke(ctx context.Context, id, reason string) (*review.Request, error) {
	return get[review.Request](ctx, c, http.MethodPost, "/v1/requests/"+url.PathEscape(id)+"/revoke", control.ReasonRequest{Reason: reason})
}

// Tokens lists one's access tokens, or everybody's.
func (c *Client) Tokens(ctx context.Context, all bool) ([]control.Token, error) {
	path := "/v1/tokens"
	if all {
		path += "?all=true"
	}
	var list control.TokenList
	err := c.call(ctx, http.MethodGet, path, nil, &list)
	return list.Tokens, err
}

// CreateToken makes an access token. Its secret is not shown again.
func (c *Client) CreateToken(ctx context.Context, r control.TokenRequest) (*control.NewToken, error) {
	return get[control.NewToken](ctx, c, http.MethodPost, "/v1/tokens", r)
}

// RevokeToken ends an access token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/tokens/"+url.PathEscape(id)+"/revoke", nil, nil)
}

// Users lists those who have logged in, or were written down.
func (c *Client) Users(ctx context.Context) ([]control.User, error) {
	var all control.UserList
	err := c.call(ctx, http.MethodGet, "/v1/users", nil, &all)
	return all.Users, err
}

// User describes one of them, by subject.
func (c *Client) User(ctx context.Context, subject string) (*control.User, error) {
	return get[control.User](ctx, c, http.MethodGet, "/v1/user?"+url.Values{"subject": {subject}}.Encode(), nil)
}

// Groups lists the groups that somebody is in.
func (c *Client) Groups(ctx context.Context) ([]control.Group, error) {
	var all control.GroupList
	err := c.call(ctx, http.MethodGet, "/v1/groups", nil, &all)
	return all.Groups, err
}

// Assign gives a user these groups, in place of those assigned before.
func (c *Client) Assign(ctx context.Context, r control.GroupsRequest) (*control.User, error) {
	return get[control.User](ctx, c, http.MethodPost, "/v1/user/groups", r)
}

// Disable has a user not log in any more, and ends her sessions.
func (c *Client) Disable(ctx context.Context, r control.UserRequest) (*control.User, error) {
	return get[control.User](ctx, c, http.MethodPost, "/v1/user/disable", r)
}

// Enable ends what Disable began.
func (c *Client) Enable(ctx context.Context, r control.UserRequest) (*control.User, error) {
	return get[control.User](ctx, c, http.MethodPost, "/v1/user/enable", r)
}

// LogoutUser ends all logins of a user and what these were given, and revokes her access
// tokens.
func (c *Client) LogoutUser(ctx context.Context, r control.UserRequest) (*control.LoggedOut, error) {
	return get[control.LoggedOut](ctx, c, http.MethodPost, "/v1/user/logout", r)
}

// Authorities lists those that sign certificates.
func (c *Client) Authorities(ctx context.Context) ([]control.Authority, error) {
	var all control.AuthorityList
	err := c.call(ctx, http.MethodGet, "/v1/authorities", nil, &all)
	return all.Authorities, err
}

// Rotate has another key of the authority for a purpose sign.
func (c *Client) Rotate(ctx context.Context, purpose string, r control.RotateRequest) (*control.Authority, error) {
	return get[control.Authority](ctx, c, http.MethodPost, "/v1/authorities/"+url.PathEscape(purpose)+"/rotate", r)
}

// Hosts lists the resources that are known by the key that they showed when they were first reached.
func (c *Client) Hosts(ctx context.Context) ([]control.Host, error) {
	var all control.HostList
	err := c.call(ctx, http.MethodGet, "/v1/hosts", nil, &all)
	return all.Hosts, err
}

// ForgetHost has all gateways forget by which key a resource is known. The reason must not be empty.
func (c *Client) ForgetHost(ctx context.Context, name, reason string) (*control.Host, error) {
	return get[control.Host](ctx, c, http.MethodPost, "/v1/hosts/"+url.PathEscape(name)+"/forget", control.ReasonRequest{Reason: reason})
}

// Alerts lists the rules over events of the record, of which channels are told.
func (c *Client) Alerts(ctx context.Context) ([]control.Alert, error) {
	var all control.AlertList
	err := c.call(ctx, http.MethodGet, "/v1/alerts", nil, &all)
	return all.Alerts, err
}

// TryAlert says what a rule would have done with what is on record. Nobody is told.
func (c *Client) TryAlert(ctx context.Context, q control.AlertQuestion) (*control.AlertTried, error) {
	return get[control.AlertTried](ctx, c, http.MethodPost, "/v1/alerts/try", q)
}

// Channels lists those by which people are told of requests.
func (c *Client) Channels(ctx context.Context) ([]review.ChannelStatus, error) {
	var all control.ChannelList
	err := c.call(ctx, http.MethodGet, "/v1/channels", nil, &all)
	return all.Channels, err
}

// DeadLetters lists what a channel was not told in the end.
func (c *Client) DeadLetters(ctx context.Context, channel string) ([]review.DeadLetter, error) {
	var all control.DeadLetterList
	err := c.call(ctx, http.MethodGet, "/v1/channels/"+url.PathEscape(channel)+"/dead", nil, &all)
	return all.DeadLetters, err
}

// Retry sends dead letters of a channel again: that of one notice, or all when that is empty. It returns how many.
func (c *Client) Retry(ctx context.Context, channel, notice string) (int, error) {
	out, err := get[control.Retried](ctx, c, http.MethodPost, "/v1/channels/"+url.PathEscape(channel)+"/retry", control.RetryRequest{Notice: notice})
	if err != nil {
		return 0, err
	}
	return out.Notices, nil
}

// Objects lists the objects of the configuration.
func (c *Client) Objects(ctx context.Context) (*control.ObjectList, error) {
	return get[control.ObjectList](ctx, c, http.MethodGet, "/v1/objects", nil)
}

// Apply changes objects of the store, or says what it would do. The revision is [revision.Waiting] when a second
// person has to approve it, and has no number when there is nothing to do.
func (c *Client) Apply(ctx context.Context, r control.ApplyRequest) (*control.Revision, error) {
	return get[control.Revision](ctx, c, http.MethodPost, "/v1/objects", r)
}

// Revisions lists revisions, the newest first: those before a number, or the newest when that is 0.
func (c *Client) Revisions(ctx context.Context, before int64, limit int) ([]control.Revision, error) {
	q := url.Values{}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var all control.RevisionList
	err := c.call(ctx, http.MethodGet, "/v1/revisions?"+q.Encode(), nil, &all)
	return all.Revisions, err
}

// Revision describes one of them.
func (c *Client) Revision(ctx context.Context, number int64) (*control.Revision, error) {
	return get[control.Revision](ctx, c, http.MethodGet, "/v1/revisions/"+strconv.FormatInt(number, 10), nil)
}

// ApproveRevision applies somebody else's revision that waits.
func (c *Client) ApproveRevision(ctx context.Context, number int64, r control.RevisionRequest) (*control.Revision, error) {
	return c.onRevision(ctx, number, "approve", r)
}

// RejectRevision has a revision that waits not applied.
func (c *Client) RejectRevision(ctx context.Context, number int64, r control.RevisionRequest) (*control.Revision, error) {
	return c.onRevision(ctx, number, "reject", r)
}

// RevertRevision takes a revision back, by another one, which it returns.
func (c *Client) RevertRevision(ctx context.Context, number int64, r control.RevisionRequest) (*control.Revision, error) {
	return c.onRevision(ctx, number, "revert", r)
}

func (c *Client) onRevision(ctx context.Context, number int64, verb string, r control.RevisionRequest) (*control.Revision, error) {
	return get[control.Revision](ctx, c, http.MethodPost, "/v1/revisions/"+strconv.FormatInt(number, 10)+"/"+verb, r)
}
