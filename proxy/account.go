package proxy

import (
	"fmt"
	"regexp"
	"strings"
)

// AccountUser in the place of an account's user name has each person use an account of her own: it is
// called like a local user, or like the subject of a provider's user without the provider.
const AccountUser = "{user}"

// accountName is a name that is an account's on hosts and in databases alike.
var accountName = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,30}[a-z0-9_]$`)

// reservedAccounts are those of hosts and databases themselves, which are nobody's own.
var reservedAccounts = map[string]bool{
	"root": true, "daemon": true, "bin": true, "sys": true, "sync": true, "mail": true, "news": true, "backup": true, "nobody": true, "www-data": true,
	"admin": true, "sshd": true, "systemd-network": true, "messagebus": true, "postgres": true, "mysql": true, "mariadb.sys": true, "sallyport": true,
}

// Personal reports whether the account is of each person's own.
func (a Account) Personal() bool { return a.Username == AccountUser }

// For returns the account as id uses it. An account of each person's own needs a subject that can be a name: lower-case letters,
// digits and "_", "-" and "." within, 2 to 32 of them, and none that hosts and databases have themselves. The error is fit for users.
func (a Account) For(id *Identity) (Account, error) {
	if !a.Personal() {
		return a, nil
	}
	_, own, provided := strings.Cut(id.Subject, "/")
	if !provided {
		own = id.Subject
	}
	if !accountName.MatchString(own) || reservedAccounts[own] {
		return Account{}, fmt.Errorf("each user has an account of her own here, and %q cannot be the name of one", own)
	}
	a.Username = own
	return a, nil
}
