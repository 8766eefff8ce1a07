// Package identitytest tests authenticators: [TestAuthenticator] and [TestRefresher] are
// what every one has to hold, whatever it asks. [StartProvider] starts a real OpenID
// provider for tests of logins.
package identitytest
