package masking

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// operators is what those who run machines read all day; public addresses, which may
// be somebody's, stand between ⟪ and ⟫.
const operators = `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
    inet6 ::1/128 scope host noprefixroute
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether a4:bf:01:3c:5d:7e brd ff:ff:ff:ff:ff:ff permaddr 3c:22:fb:01:02:03
    inet 10.20.30.40/24 brd 10.20.30.255 scope global dynamic eth0
    inet 192.168.1.17/24 brd 192.168.1.255 scope global secondary eth0
    inet 169.254.10.1/16 scope link
    inet6 fe80::a6bf:1ff:fe3c:5d7e/64 scope link
    inet6 fd12:3456:789a:1::17/64 scope global
    inet ⟪8.8.4.4⟫/24 scope global
    inet6 ⟪2a00:1450:4001:81b::200e⟫/64 scope global
3: docker0: <NO-CARRIER> link/ether 02:42:ac:11:00:02 brd ff:ff:ff:ff:ff:ff
10.20.30.1 dev eth0 lladdr 00:1b:21:3a:4d:5e REACHABLE
eth0      Link encap:Ethernet  HWaddr 00:1b:21:3a:4d:5e
        ether 00:1b:21:3a:4d:5e  txqueuelen 1000  (Ethernet)
nameserver 10.0.0.2
nameserver 172.16.0.53
nameserver fd00:ec2::253:1:2
web-7d9c5b6f4-x2x7p   1/1   Running   0   3d   10.244.1.17   node-2   <none>   <none>
node-2   Ready   worker   41d   v1.29.3   192.168.56.11   <none>   Ubuntu 22.04.4 LTS   5.15.0-105-generic
10.0.0.7 - - [09/Mar/2025:16:38:45 +0000] "GET /shop HTTP/1.1" 200 5316
⟪93.184.216.34⟫ - - [09/Mar/2025:16:38:45 +0000] "GET /shop HTTP/1.1" 200 5316
proxy: upstream 100.64.3.2:8080, peer 198.51.100.7, mapped ::ffff:10.0.0.7 and ⟪::ffff:8.8.4.4⟫
drivers send 127.0.0.1 as ::ffff:127.0.0.1 and 0.0.0.0 as ::ffff:0.0.0.0, and ::ffff:203.0.113.9 in documents
multicast 224.0.0.251, 239.255.255.250, docs 203.0.113.9 and 2001:DB8::1:2 and 3fff:0:1::5
vm 52:54:00:12:34:56, vmware 00:50:56:aa:bb:cc, docs 00:00:5e:00:53:2a, cisco 0050.56aa.bbcc
phone of Bob ⟪3c:22:fb:01:02:03⟫ and ⟪3c22.fb01.0203⟫, tablet ⟪A4-BF-01-3C-5D-7E⟫
172.15.0.1 is public: ⟪172.32.0.1⟫, and so is ⟪100.128.0.1⟫`

// TestAddressesOfNobody: what points at nobody stays, in text, in columns of text and in
// columns of addresses, and what may be somebody's does not.
func TestAddressesOfNobody(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	v := m.view(&proxy.Identity{}, &proxy.Resource{})
	for _, line := range strings.Split(strings.Replace(operators, "172.15.0.1 is", "⟪172.15.0.1⟫ is", 1), "\n") {
		text, want := line, []string(nil)
		for {
			before, rest, ok := strings.Cut(text, "⟪")
			if !ok {
				break
			}
			value, after, _ := strings.Cut(rest, "⟫")
			want, text = append(want, value), before+value+after
		}
		var got []string
		for _, f := range detect.Default().Find(nil, []byte(text)) {
			if f.Type != detect.Person && v.transform(f.Type) != Visible {
				got = append(got, text[f.Start:f.End])
			}
		}
		require.Equal(t, want, got, "%q", text)
	}
	for value, stays := range map[string]bool{"10.1.2.3": true, "192.168.4.0/24": true, "fe80::1:2:3": true, "127.0.0.1": true, "8.8.4.4": false, "2a00:1450:4001:81b::200e": false} {
		for _, name := range []string{"client_ip", "host", "x"} {
			column := proxy.SampledColumn{Name: name, Type: "text"}
			values := []string{value, value, value, value}
			require.Equal(t, stays, len(readColumn(t, fakeSampler{column, values}, column, values)) == 4, "%s %s", name, value)
			row := newRows(t, Config{}, "SELECT 1", plainColumn(name, oidInet, false))([]byte(value))
			require.Equal(t, stays, row[0] != nil, "%s %s", name, value)
		}
	}
	mixed := strings.Fields(strings.Repeat("8.8.4.4 ", 30) + "10.0.0.7")
	column := proxy.SampledColumn{Name: "client_ip", Type: "text"}
	require.Equal(t, []string{"10.0.0.7"}, readColumn(t, fakeSampler{column, mixed}, column, mixed), "each is judged by where it points")
}

// TestRulesForLocalAddresses: a rule that names addresses is about all of them, and one
// that names local ones about these.
func TestRulesForLocalAddresses(t *testing.T) {
	for _, c := range []struct {
		types          []detect.Type
		local, further string
	}{{nil, "10.0.0.7", "*.*.*.*"}, {[]detect.Type{detect.IP}, "[LOCAL_IP_ADDRESS]", "[IP_ADDRESS]"}, {[]detect.Type{detect.LocalIP}, "[LOCAL_IP_ADDRESS]", "*.*.*.*"}} {
		var rules []Rule
		if c.types != nil {
			rules = []Rule{{Types: c.types, With: Redact}}
		}
		row := newRows(t, Config{Rules: rules}, "SELECT x FROM t", plainColumn("x", oidText, false))
		require.Equal(t, c.local, string(row(b("10.0.0.7"))[0]), c.types)
		require.Equal(t, c.further, string(row(b("8.8.4.4"))[0]), c.types)
	}
}
