package masking

import (
	"crypto/aes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
)

// TestFF1 has the samples that NIST publishes for SP 800-38G.
func TestFF1(t *testing.T) {
	const key = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94"
	const tweak, tweak36 = "39383736353433323130", "3737373770717273373737"
	for _, c := range []struct {
		name       string
		size       int // of the key, in bits
		tweak      string
		radix      int
		plain, out string
	}{
		{"sample 1", 128, "", 10, "0123456789", "2433477484"},
		{"sample 2", 128, tweak, 10, "0123456789", "6124200773"},
		{"sample 3", 128, tweak36, 36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"},
		{"sample 4", 192, "", 10, "0123456789", "2830668132"},
		{"sample 5", 192, tweak, 10, "0123456789", "2496655549"},
		{"sample 6", 192, tweak36, 36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"},
		{"sample 7", 256, "", 10, "0123456789", "6657667009"},
		{"sample 8", 256, tweak, 10, "0123456789", "1001623463"},
		{"sample 9", 256, tweak36, 36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := hex.DecodeString(key[:c.size/4])
			require.NoError(t, err)
			f := ff1{}
			f.block, err = aes.NewCipher(k)
			require.NoError(t, err)
			f.tweak, err = hex.DecodeString(c.tweak)
			require.NoError(t, err)
			const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
			x := []byte(c.plain)
			for i := range x {
				x[i] = byte(strings.IndexByte(digits, x[i]))
			}
			require.NoError(t, f.encrypt(x, c.radix))
			got := make([]byte, len(x))
			for i := range x {
				got[i] = digits[x[i]]
			}
			require.Equal(t, c.out, string(got))
			require.NoError(t, f.decrypt(x, c.radix))
			for i := range x {
				got[i] = digits[x[i]]
			}
			require.Equal(t, c.plain, string(got))
		})
	}
}

func TestFormatOfValues(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	require.NoError(t, err)
	f := ff1{block: block, tweak: []byte(detect.USSSN)}
	for _, c := range []struct {
		in, form string // form is a pattern of what comes of it
	}{
		{"123-45-6789", `^\d{3}-\d\d-\d{4}$`},
		{"4111 1111 1111 1111", `^\d{4} \d{4} \d{4} \d{4}$`},
		{"GB82 WEST 1234", `^[0-9A-Z]{4} [0-9A-Z]{4} [0-9A-Z]{4}$`},
		{strings.Repeat("7", 96), `^\d{96}$`},
	} {
		v := []byte(c.in)
		require.True(t, f.format(v, false))
		require.Regexp(t, c.form, string(v))
		require.NotEqual(t, c.in, string(v))
		require.True(t, f.format(v, true))
		require.Equal(t, c.in, string(v))
	}
	for _, small := range []string{"", "12345", "abc", "Zoë Çelik 12345", strings.Repeat("7", 200)} {
		require.False(t, f.format([]byte(small), false), "X2: %q has too few values, or letters that are not counted", small)
	}
	seen := map[string]bool{}
	for n := range 20000 { // a permutation: no two values become one
		v := []byte{'1', '2', byte('0' + n/10000), byte('0' + n/1000%10), byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)}
		require.True(t, f.format(v, false))
		require.False(t, seen[string(v)])
		seen[string(v)] = true
	}
}

func BenchmarkFF1(b *testing.B) {
	block, err := aes.NewCipher(make([]byte, 32))
	require.NoError(b, err)
	f := ff1{block: block}
	v := []byte("4111111111111111")
	b.ReportAllocs()
	for b.Loop() {
		f.format(v, false)
	}
}
