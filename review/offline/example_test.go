package offline_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/review/offline"
)

// A grant that was sealed before the store went away is used when its user and a keeper have signed
// the statement of that use.
func Example() {
	alice, olga := key(1), key(2)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	grant := &offline.Grant{
		ID: "b7", Subject: "alice", Key: authorized(alice), Resource: "vm1", Rule: "prod", Actions: []string{"connect"}, Seconds: 3600,
		Made: now.AddDate(0, -1, 0), By: "ada", NotAfter: now.AddDate(0, 1, 0),
	}
	statement, err := offline.Begin(grant, []byte("sealed"), "gateway", 1, "the store is down", 30*time.Minute, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := statement.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(statement.Subject, statement.Resource, statement.For(), "sign it with: ssh-keygen -Y sign -n", offline.Namespace)
	keepers := []offline.Keeper{{Name: "olga", Key: olga.PublicKey()}}
	_, err = offline.Signed(text, nil, grant, keepers, 1)
	fmt.Println(err)
	// Output:
	// alice vm1 30m0s sign it with: ssh-keygen -Y sign -n sallyport-break-glass
	// alice has not signed it, by the key that the grant names
}

func key(seed byte) ssh.Signer {
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize))))
	if err != nil {
		panic(err) // the seed is of the right length
	}
	return s
}

func authorized(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}
