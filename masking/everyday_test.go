package masking

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// everyday is what commands and statements write that looks like something else.
const everyday = `Serial Number and key of a certificate:
    Signature Value:
        4c:3a:0a:8e:7b:d9:3c:6b:11:22:33:44:55:66:77:88:99:aa:
        4c:3a:0a:8e:7b:d9:3c:6b
    Signature Value:
        4c:3a:0a:8e:7b:d9:3c:6b:11:22:33:44:55:66:77:88:99:aa:
        d3:dc:6f:fb:b2:a5
ii  libkmod2:amd64            30+20221128-1              amd64        libkmod shared library
ii  ruby-activemodel          2:6.1.7.10+dfsg-1~deb12u4  all          toolkit for building modeling frameworks
ii  openssh-server            1:9.2p1-2+deb12u3          amd64        secure shell server
Depends: libc6 (>= 2.36), foo (= 1.2.3.4~rc1), bar (<< 5.6.7.8+b1)
chromium/stable 120.0.6099.109-1 amd64
Hello World
Hello World from here
Hi everyone, all is well
int4 -2147483648
text -2147483648
call -2147483647 and 2147483648
contact 4294967295
PWD=/srv/ann/src
OLDPWD=/var/lib/app2`

// TestEverydayOutput: such output passes as it is, as a text, line by line, and as a
// stream in pieces.
func TestEverydayOutput(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	require.Equal(t, everyday, string(m.AppendMasked(nil, []byte(everyday))))
	for _, media := range []string{"stdout", "terminal"} {
		for _, size := range []int{7, 40, 32 << 10} {
			text := strings.ReplaceAll(everyday, "\n", "\r\n")
			got := pass(t, newStream(t, media), text, size, false)
			require.Equal(t, text, got, "%s in pieces of %d", media, size)
		}
	}
	for _, name := range []string{"text", "contact", "x", "?column?", "min"} {
		for _, typ := range []uint32{oidText, oidInt4, oidInt8, oidNumeric} {
			for _, v := range []string{"-2147483648", "2147483647", "-9223372036854775808", "4294967295"} {
				require.Equal(t, v, string(newRows(t, Config{}, "SELECT x FROM t", plainColumn(name, typ, false))(b(v))[0]), name)
			}
		}
	}
	for _, text := range []string{"mac d3:dc:6f:fb:b2:a5", "d3:dc:6f:fb:b2:a5", "see 6.1.7.10, or 6.1.7.11", "call 415-555-2671", "contact: 4155552671", "tel +1 415 555 2671"} {
		require.NotEqual(t, text, string(m.AppendMasked(nil, []byte(text))))
	}
}
