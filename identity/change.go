package identity

import "github.com/sallyport/sallyport/proxy"

// Change says that what somebody may do has changed, so that live sessions follow
// within a second. A gateway asks its Refresher again for the sessions that it
// concerns, or ends them.
type Change struct {
	// Subject is whose sessions it is about; empty: everybody's.
	Subject string
	// Login limits the change to the sessions of one login, by its identifier in
	// ClaimLogin; empty: all of the subject's.
	Login string
	// Token limits the change to the sessions that one access token has proven, by its
	// identifier in ClaimToken; empty: all of the subject's.
	Token string
	// Certificate limits the change to the sessions that one certificate has proven, by its
	// identifier in ClaimCertificate; empty: all of the subject's.
	Certificate string
	// Ended says that the sessions have to end. Otherwise groups have changed.
	Ended bool
	// Reason is shown to clients whose session ends.
	Reason string
}

// Concerns reports whether the change is about a session of id. What happens to a human
// happens to the agents that act for her.
func (c *Change) Concerns(id *proxy.Identity) bool {
	return (c.Subject == "" || c.Subject == id.Subject || c.Subject == id.OnBehalfOf) &&
		(c.Login == "" || c.Login == id.Claims[ClaimLogin]) && (c.Token == "" || c.Token == id.Claims[ClaimToken]) &&
		(c.Certificate == "" || c.Certificate == id.Claims[ClaimCertificate])
}

// Claims of identities that the packages below identity set.
const (
	// ClaimLogin identifies the login that an identity came from.
	ClaimLogin = "login"
	// ClaimToken identifies the access token that proved an identity.
	ClaimToken = "token"
	// ClaimCertificate identifies the certificate that proved an identity.
	ClaimCertificate = "certificate"
	// ClaimIssuer is the issuer of an identity that a provider has proven.
	ClaimIssuer = "iss"
	// ClaimPassword names the choice of a password that proved a local user; it is missing
	// where her definition's did.
	ClaimPassword = "password_choice"
	// ClaimMethods are the methods by which somebody has proven herself, as RFC 8176 names
	// them, with spaces between. A provider says them, or a second factor here.
	ClaimMethods = "amr"
	// ClaimCreator is who has made a service or an agent, or answers for it, and ClaimTokenCreator who has made the access token that
	// proved it. Neither decides about what it asks for.
	ClaimCreator      = "creator"
	ClaimTokenCreator = "token_creator"
)

// MethodsFactor is ClaimMethods of a password and a code of an app.
const MethodsFactor = "pwd otp mfa"
