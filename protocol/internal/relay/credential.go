package relay

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Visiting is the visit of a session that others have opened, for its credential.
func Visiting(s *proxy.Session) *Visit { return &Visit{session: s} }

// Credential is the account's; nil where it has none.
func (v *Visit) Credential(ctx context.Context) (*proxy.Credential, error) {
	s := v.session
	if s.Target.Account.Secret == "" {
		return nil, nil
	}
	v.leasing.Lock()
	defer v.leasing.Unlock()
	if c, ok := s.Leased(); ok && !v.stale {
		return &c, nil
	}
	c, err := s.Credential(ctx, v.stale)
	if err != nil {
		return nil, err
	}
	v.stale = false
	return &c, nil
}

// Refused notes that the application has refused the credential: the next request has a fresh one. That
// happens now and then only, since an application may refuse somebody for another reason.
func (v *Visit) Refused() {
	v.leasing.Lock()
	defer v.leasing.Unlock()
	if now := time.Now(); now.Sub(v.renewed) > refreshEvery {
		v.stale, v.renewed = true, now
	}
}

const refreshEvery = 30 * time.Second
