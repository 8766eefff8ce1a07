package proxy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// AccountUser in the place of an account's user name has each person use an account of her own: it is
// called like a local user, or like the subject of a provider's user without the provider.
const AccountUser = "{user}"

// accountName is a name that is an account's on hosts and in databases alike.
var accountName = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,30}[a-z0-9_]$`)

// Personal reports whether the account is of each person's own.
func (a Account) Personal() bool { return a.Username == AccountUser }

// For returns an account of r as id uses it. An account of each person's own needs a subject that can be a name: lower-case letters,
// digits and "_", "-" and "." within, 2 to 32 of them, and none of Reserved. The error is fit for users.
func (r *Resource) For(id *Identity, a Account) (Account, error) {
	if !a.Personal() {
		return a, nil
	}
	_, own, provided := strings.Cut(id.Subject, "/")
	if !provided {
		own = id.Subject
	}
	if !accountName.MatchString(own) || slices.Contains(r.Reserved, own) {
		return Account{}, fmt.Errorf("each user has an account of her own here, and %q cannot be the name of one", own)
	}
	a.Username = own
	return a, nil
}
