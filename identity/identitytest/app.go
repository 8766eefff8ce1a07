package identitytest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"testing"
	"time"
)

// App is the app on somebody's phone that shows codes (RFC 6238).
type App struct{ key []byte }

// NewApp returns an app that has read an address, otpauth://….
func NewApp(t *testing.T, address string) *App {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		t.Fatal("the address is not one that an app reads")
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil || len(key) == 0 {
		t.Fatal("the address has no secret that an app reads")
	}
	return &App{key}
}

// Code is what the app shows at a time.
func (a *App) Code(at time.Time) string {
	m := hmac.New(sha1.New, a.key)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := m.Sum(nil)
	from := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[from:])&0x7fffffff%1_000_000)
}
