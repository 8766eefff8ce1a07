package identity

// Change says that what somebody may do has changed, so that live sessions follow
// within a second. A gateway asks its Refresher again for the sessions that it names,
// or ends them.
type Change struct {
	// Subject is whose sessions it is about; empty: everybody's.
	Subject string
	// Login limits the change to the sessions of one login, by its identifier in
	// ClaimLogin; empty: all of the subject's.
	Login string
	// Ended says that the sessions have to end. Otherwise groups have changed.
	Ended bool
	// Reason is shown to clients whose session ends.
	Reason string
}

// Claims of identities that the packages below identity set.
const (
	// ClaimLogin identifies the login that an identity came from.
	ClaimLogin = "login"
	// ClaimToken identifies the access token that proved an identity.
	ClaimToken = "token"
	// ClaimIssuer is the issuer of an identity that a provider has proven.
	ClaimIssuer = "iss"
)
