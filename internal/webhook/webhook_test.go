package webhook

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestVector is the specification's own example of a signature.
func TestVector(t *testing.T) {
	k, err := ParseKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	got := Sign([]Key{k}, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)
}

// TestGuardAddresses: clouds' metadata is refused also where private addresses are allowed.
func TestGuardAddresses(t *testing.T) {
	for address, want := range map[string]struct{ public, private bool }{
		"93.184.215.14": {true, true}, "2606:2800:21f::1": {true, true},
		"127.0.0.1": {false, true}, "::1": {false, true}, "10.1.2.3": {false, true}, "172.16.0.1": {false, true}, "192.168.1.1": {false, true},
		"fd12::1": {false, true}, "::ffff:127.0.0.1": {false, true}, "100.64.0.1": {false, true}, "198.18.0.1": {false, true},
		"169.254.169.254": {}, "::ffff:169.254.169.254": {}, "169.254.1.1": {}, "fe80::1": {}, "fd00:ec2::254": {}, "100.100.100.200": {},
		"0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "ff02::1": {}, "0.1.2.3": {false, true}, "240.0.0.1": {false, true},
		"64:ff9b::7f00:1": {false, true}, "2002:7f00:1::": {false, true},
	} {
		a := netip.MustParseAddr(address)
		require.Equal(t, want.public, Guard{}.allows(a), address)
		require.Equal(t, want.private, Guard{Private: true}.allows(a), address)
	}
}

// TestRetryAfter: seconds or a time, and nothing of what is neither.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-7": 0, "": 0, "soon": 0, "99999999999999999999": 0, "9223372036": maxWait, "1.5": 0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2099 11:00:00 GMT": maxWait,
	} {
		require.Equal(t, want, RetryAfter(http.Header{"Retry-After": {text}}, now), text)
	}
}
