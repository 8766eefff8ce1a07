package tunnel

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A length that a peer says is compared before memory is taken.
func TestALongFrameTakesNoMemory(t *testing.T) {
	head := []byte{0xff, 0xff, 0xff, 0xff, byte(kindHello)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, _, err := readFrame(bytes.NewReader(head), maxBody)
		require.ErrorIs(t, err, errFrame)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	_, err := frame(kindHello, make([]byte, maxBody+1))
	require.ErrorIs(t, err, errFrame)
	_, _, err = readFrame(bytes.NewReader([]byte{0, 0, 0, 2, 1, 'x'}), maxBody)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{"\x00\x00\x00\x00\x04", "\x00\x00\x00\x02\x01{}", "\x00\x00\x00\x30\x0d" + strings.Repeat("x", 48), "\xff\xff\xff\xff\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		k, body, err := readFrame(r, maxBody)
		if err != nil {
			return
		}
		if len(body) > maxBody {
			t.Fatalf("a body of %d bytes", len(body))
		}
		again, err := frame(k, body)
		if err != nil || !bytes.Equal(again, b[:len(b)-r.Len()]) {
			t.Fatalf("got %q of %q: %v", again, b, err)
		}
	})
}

// What was decoded keeps its limits, and is the same once encoded.
func FuzzMessage(f *testing.F) {
	for i, s := range []string{
		`{"version":1,"oldest":1,"instance":"a"}`, `{"version":1,"gateway":"g","beat":-1,"gateways":["a:1"]}`, `{"id":"AAAA","code":"busy","text":"\u001b"}`,
		`{"id":"AAAAAAAAAAAAAAAAAAAAAA==","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","address":"x:1","within":9223372036854775807}`,
		`{"id":"AAAAAAAAAAAAAAAAAAAAAA=="}`, `{"gateways":[]}`, `{"request":"AA=="}`, `{"id":"a","secret":"b"}`, `{"chain":["AA=="],"roots":[]}`,
	} {
		f.Add(uint8(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		switch which % 9 {
		case 0:
			decoded[hello](t, b)
		case 1:
			if m, ok := decoded[welcome](t, b); ok {
				if d := m.Beat.within(minBeat, maxBeat); d < minBeat || d > maxBeat {
					t.Fatalf("a beat of %s", d)
				}
			}
		case 2:
			if m, ok := decoded[why](t, b); ok {
				if s := clean(m.Text); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Fatalf("%q is not safe to show", s)
				}
			}
		case 3:
			if m, ok := decoded[dial](t, b); ok {
				if d := m.Within.within(minBeat, maxWithin); d < minBeat || d > maxWithin {
					t.Fatalf("a time of %s", d)
				}
			}
		case 4:
			decoded[cancel](t, b)
		case 5:
			decoded[gateways](t, b)
		case 6:
			decoded[renew](t, b)
		case 7:
			decoded[enrol](t, b)
		case 8:
			decoded[issued](t, b)
		}
	})
}

func decoded[M any, P interface {
	*M
	checker
}](t *testing.T, b []byte) (M, bool) {
	m, err := decode[M, P](b)
	if err != nil {
		return m, false
	}
	one, err := json.Marshal(m)
	require.NoError(t, err)
	again, err := decode[M, P](one)
	require.NoError(t, err)
	two, err := json.Marshal(again)
	require.NoError(t, err)
	require.Equal(t, string(one), string(two))
	return m, true
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		rules   string
		allowed []string
		refused []string
	}{
		{"", nil, []string{"10.0.0.1:5432", "127.0.0.1:1", "[::1]:1"}},
		{"10.0.0.0/8:5432,6000-6010", []string{"10.1.2.3:5432", "10.1.2.3:6000", "10.1.2.3:6010", "[::ffff:10.1.2.3]:5432"}, []string{"10.1.2.3:5433", "10.1.2.3:6011", "11.0.0.1:5432"}},
		{"192.0.2.7", []string{"192.0.2.7:1", "192.0.2.7:65535"}, []string{"192.0.2.8:1"}},
		{"0.0.0.0/0", []string{"8.8.8.8:53", "10.0.0.1:1"}, []string{"127.0.0.1:1", "169.254.169.254:80", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::1]:1", "[2001:db8::1]:1", "[::ffff:127.0.0.1]:1", "100.100.100.200:80", "168.63.129.16:80"}},
		{"100.64.0.0/10", []string{"100.64.0.1:1"}, []string{"100.100.100.200:80"}},
		{"100.100.100.200:80", []string{"100.100.100.200:80"}, []string{"100.100.100.200:81"}},
		{"0.0.0.0/0 127.0.0.1:80", []string{"127.0.0.1:80"}, []string{"127.0.0.1:81", "127.0.0.2:80"}},
		{"169.254.169.0/24:80", []string{"169.254.169.254:80"}, []string{"169.254.1.1:80"}},
		{"::/0", []string{"[2001:db8::1]:1"}, []string{"[::1]:1", "[::]:1", "[fe80::1]:1", "[ff02::1]:1", "[fd00:ec2::254]:80", "[fd20:ce::254]:80", "[64:ff9b:1::a00:1]:80", "[64:ff9b::a9fe:a9fe]:80", "[64:ff9b::a00:1]:80", "[2002:a9fe:a9fe::1]:80", "[::10.0.0.1]:80", "10.0.0.1:1"}},
		{"::/0 0.0.0.0/0", []string{"[64:ff9b::a00:1]:80"}, []string{"[64:ff9b::a9fe:a9fe]:80", "[64:ff9b::7f00:1]:80"}},
		{"::1", []string{"[::1]:1"}, []string{"[::2]:1"}},
		{"[2001:db8::]/32:22", []string{"[2001:db8::7]:22"}, []string{"[2001:db8::7]:23", "[2001:db9::7]:22"}},
		{"[2001:db8::7]:22", []string{"[2001:db8::7]:22"}, []string{"[2001:db8::8]:22"}},
		{"2001:db8::/32", []string{"[2001:db8::7]:22"}, []string{"[fe80::1%eth0]:22"}},
	} {
		a, err := ParseAllow(strings.Fields(c.rules)...)
		require.NoError(t, err, c.rules)
		for _, at := range c.allowed {
			require.True(t, a.Permits(netip.MustParseAddrPort(at)), "%s should allow %s", c.rules, at)
		}
		for _, at := range c.refused {
			require.False(t, a.Permits(netip.MustParseAddrPort(at)), "%s should refuse %s", c.rules, at)
		}
	}
	var none *Allow
	require.False(t, none.Permits(netip.MustParseAddrPort("10.0.0.1:1")))
}

func TestRulesThatAreNone(t *testing.T) {
	for _, rule := range []string{
		"", "*", "db.internal:5432", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:9-2", "10.0.0.0/8:x", "10.0.0.0/8:1,",
		"[::1", "[::1]x:2", "[::1]:", "fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:0:0/96", "10.0.0.0/8:80 ", "010.0.0.1",
	} {
		_, err := ParseAllow(rule)
		require.Error(t, err, rule)
	}
}

func FuzzAllow(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8:5432,6-7", "[2001:db8::]/32:22", "::1", "0.0.0.0/0"} {
		f.Add(s, []byte{127, 0, 0, 1}, uint16(80))
	}
	f.Fuzz(func(t *testing.T, rule string, ip []byte, port uint16) {
		a, err := ParseAllow(rule)
		if err != nil {
			return
		}
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		to := netip.AddrPortFrom(addr, port)
		// An address is allowed in both of its forms, or in none.
		if addr.Is4() && a.Permits(to) != a.Permits(netip.AddrPortFrom(netip.AddrFrom16(addr.As16()), port)) {
			t.Fatalf("%s judges the forms of %s differently", rule, to)
		}
		if a.Permits(to) && addr.Unmap().IsLoopback() && !a.rules[0].network.Addr().IsLoopback() {
			t.Fatalf("%s leads to the agent's own machine", rule)
		}
	})
}
