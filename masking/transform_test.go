package masking

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/pgvalue"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

func withKey(t testing.TB) *Masker {
	t.Helper()
	m, err := New(Config{Key: testKey, Detokenise: []string{"privacy"}})
	require.NoError(t, err)
	return m
}

// TestTransformsOfTexts has every transform but the default one.
func TestTransformsOfTexts(t *testing.T) {
	m := withKey(t)
	for _, c := range []struct {
		name string
		typ  detect.Type
		how  treatment
		in   string
		want string // a pattern
	}{
		{"keep", detect.Person, treatment{Options: Options{KeepFirst: 2, KeepLast: 1}}, "Montgomery", `^Mo\*{7}y$`},
		{"X3 keep of a short value", detect.Person, treatment{Options: Options{KeepLast: 4}}, "Roger", `^\*{5}$`},
		{"keep of a secret", detect.Password, treatment{Options: Options{KeepLast: 4}}, "correct horse", `^\*{8}$`},
		{"fixed", detect.Email, treatment{Fixed, Options{Text: "n/a"}}, "a@b.co", `^n/a$`},
		{"pseudonym", detect.Person, treatment{Transform: Pseudonym}, "Ann", `^PERSON-[0-9a-f]{4}-[0-9a-f]{16}$`},
		{"token", detect.Person, treatment{Transform: Tokenise}, "Ann", `^tok_[0-9a-f]{4}_[0-9A-Za-z_-]{35}$`},
		{"encrypted", detect.Card, treatment{Transform: Encrypt}, "4111-1111-1111-1111", `^\d{4}-\d{4}-\d{4}-\d{4}$`},
		{"encrypted, too small", detect.USSSN, treatment{Transform: Encrypt}, "12-34", `^\*\*-\*\*$`},
		{"encrypted secret", detect.Secret, treatment{Transform: Encrypt}, "1234567890", `^\*{8}$`},
		{"same shape", detect.Passport, treatment{Transform: SameShape}, "AB-123456 x", `^[A-Z]{2}-\d{6} [a-z]$`},
		{"same shape, other scripts", detect.Person, treatment{Transform: SameShape}, "Zoë", `^\*{3}$`},
		{"shifted", detect.BirthDate, treatment{Transform: Shift}.withDefaults(), "1980-02-03", `^19(79|80)-\d\d-\d\d$`},
		{"shifted, no date", detect.BirthDate, treatment{Transform: Shift}.withDefaults(), "3 Feb 1980", `^\* \*{3} \*{4}$`},
		{"truncated", detect.BirthDate, treatment{Transform: Truncate}.withDefaults(), "1980-02-03", `^1980-01-01$`},
		{"truncated to a decade", detect.BirthDate, treatment{Truncate, Options{Unit: "decade"}}, "1987-02-03T04:05:06Z", `^1980-01-01T00:00:00Z$`},
		{"truncated to a month", detect.BirthDate, treatment{Truncate, Options{Unit: "month"}}, "1987-02-03 04:05:06+02", `^1987-02-01 00:00:00\+02$`},
		{"bucket", Column, treatment{Transform: Bucket}.withDefaults(), "37", `^30-39$`},
		{"bucket of a negative number", Column, treatment{Transform: Bucket}.withDefaults(), "-1", `^-10--1$`},
		{"bucket of a text", Column, treatment{Transform: Bucket}.withDefaults(), "many", `^\*{4}$`},
		{"domain", detect.Email, treatment{Transform: KeepDomain}, "ann@example.com", `^\*{4}@example.com$`},
		{"domain of something else", detect.Email, treatment{Transform: KeepDomain}, "ann", `^\*{3}$`},
		{"network", detect.IP, treatment{Transform: KeepNetwork}.withDefaults(), "10.20.30.40", `^10\.20\.0\.0$`},
		{"network with its length", detect.IP, treatment{KeepNetwork, Options{Bits: 8}}, "10.20.30.40/24", `^10\.0\.0\.0/8$`},
		{"network of IPv6", detect.IP, treatment{Transform: KeepNetwork}.withDefaults(), "2001:db8:1::1", `^2001:db8::$`},
		{"network of a name", detect.IP, treatment{Transform: KeepNetwork}.withDefaults(), "host.example", `^\*{4}\.\*{7}$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(m.appendMasked([]byte("before "), []byte(c.in), c.typ, c.how))
			require.Regexp(t, c.want, got[len("before "):])
			require.Equal(t, got, string(m.appendMasked([]byte("before "), []byte(c.in), c.typ, c.how)), "equal values become equal")
		})
	}
}

// TestTransformsOfCells has columns of every type that another value than NULL
// can be in, in both formats. The result must be valid for the type.
func TestTransformsOfCells(t *testing.T) {
	date := func(s string) []byte {
		d, err := time.Parse(time.DateOnly, s)
		require.NoError(t, err)
		return binary.BigEndian.AppendUint32(nil, uint32(d.Sub(pgvalue.Epoch())/(24*time.Hour)))
	}
	stamp := func(s string) []byte {
		d, err := time.Parse(time.DateTime, s)
		require.NoError(t, err)
		return binary.BigEndian.AppendUint64(nil, uint64(d.Sub(pgvalue.Epoch())/time.Microsecond))
	}
	m := withKey(t)
	for _, c := range []struct {
		name   string
		oid    uint32
		binary bool
		how    treatment
		in     []byte
		want   any // nil is NULL, a pattern, or bytes
	}{
		{"int8 encrypted", oidInt8, false, treatment{Transform: Encrypt}, b("123456789"), `^[1-9]\d{8}$`},
		{"int8 binary encrypted", oidInt8, true, treatment{Transform: Encrypt}, int8Of(123456789), 8},
		{"int4 at its end", oidInt4, false, treatment{Transform: Encrypt}, b("2147483647"), `^[12]\d{9}$`},
		{"int4 too small", oidInt4, false, treatment{Transform: Encrypt}, b("12345"), nil},
		{"int2", oidInt2, true, treatment{Transform: SameShape}, []byte{0x30, 0x39}, 2},
		{"int8 same shape", oidInt8, false, treatment{Transform: SameShape}, b("-123456789"), `^-[1-9]\d{8}$`},
		{"int8 hashed", oidInt8, false, treatment{Transform: Hash}, b("123456789"), nil},
		{"int8 redacted", oidInt8, true, treatment{Transform: Redact}, int8Of(1), nil},
		{"int8 partial", oidInt8, false, treatment{}, b("123456789"), nil},
		{"int4 bucket", oidInt4, false, treatment{Bucket, Options{Size: 1000}}, b("57123"), `^57000$`},
		{"int4 binary bucket", oidInt4, true, treatment{Bucket, Options{Size: 1000}}, []byte{0, 0, 0xdf, 0x23}, []byte{0, 0, 0xde, 0xa8}},
		{"int2 bucket below the least", oidInt2, false, treatment{Bucket, Options{Size: 30000}}, b("-32000"), nil},
		{"int4 fixed", oidInt4, false, treatment{Fixed, Options{Text: "7"}}, b("57123"), `^7$`},
		{"int4 fixed text", oidInt4, false, treatment{Fixed, Options{Text: "seven"}}, b("57123"), nil},
		{"int2 fixed too large", oidInt2, true, treatment{Fixed, Options{Text: "70000"}}, []byte{0, 1}, nil},
		{"numeric bucket", oidNumeric, false, treatment{Bucket, Options{Size: 100}}, b("1234.56"), `^1200$`},
		{"numeric binary bucket", oidNumeric, true, treatment{Bucket, Options{Size: 10000}}, numericOf, appendBinaryNumeric(nil, 4111111111110000)},
		{"numeric encrypted", oidNumeric, false, treatment{Transform: Encrypt}, b("4111111111111111"), `^[1-9]\d{15}$`},
		{"numeric fraction", oidNumeric, false, treatment{Transform: Encrypt}, b("4111.1111"), nil},
		{"date shifted", oidDate, false, treatment{Transform: Shift}.withDefaults(), b("1980-02-03"), `^19(79|80)-\d\d-\d\d$`},
		{"date binary truncated", oidDate, true, treatment{Transform: Truncate}.withDefaults(), date("1980-02-03"), date("1980-01-01")},
		{"P41 date in another style", oidDate, false, treatment{Transform: Truncate}.withDefaults(), b("03.02.1980"), nil},
		{"infinite date", oidDate, true, treatment{Transform: Shift}.withDefaults(), []byte{0x7f, 0xff, 0xff, 0xff}, nil},
		{"infinite date in text", oidDate, false, treatment{Transform: Shift}.withDefaults(), b("infinity"), nil},
		{"date fixed", oidDate, true, treatment{Fixed, Options{Text: "1970-01-01"}}, date("1980-02-03"), date("1970-01-01")},
		{"date fixed by a text", oidDate, false, treatment{Fixed, Options{Text: "never"}}, b("1980-02-03"), nil},
		{"date redacted", oidDate, false, treatment{Transform: Redact}, b("1980-02-03"), nil},
		{"timestamp binary truncated", oidTimestamp, true, treatment{Truncate, Options{Unit: "day"}}, stamp("1980-02-03 04:05:06"), stamp("1980-02-03 00:00:00")},
		{"timestamptz", oidTimestampTZ, false, treatment{Truncate, Options{Unit: "month"}}, b("1980-02-03 04:05:06.789+05:30"), `^1980-02-01 00:00:00\+05:30$`},
		{"uuid", oidUUID, false, treatment{Transform: Pseudonym}, b("12345678-1234-4234-8234-123456789012"), `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
		{"uuid binary", oidUUID, true, treatment{Transform: Hash}, make([]byte, 16), 16},
		{"uuid redacted", oidUUID, false, treatment{Transform: Redact}, b("12345678-1234-4234-8234-123456789012"), nil},
		{"inet", oidInet, false, treatment{Transform: KeepNetwork}.withDefaults(), b("10.1.2.3"), `^10\.1\.0\.0$`},
		{"inet binary", oidInet, true, treatment{Transform: KeepNetwork}.withDefaults(), []byte{2, 32, 0, 4, 10, 1, 2, 3}, []byte{2, 32, 0, 4, 10, 1, 0, 0}},
		{"cidr binary", oidCIDR, true, treatment{Transform: KeepNetwork}.withDefaults(), []byte{2, 24, 1, 4, 10, 1, 2, 0}, []byte{2, 16, 1, 4, 10, 1, 0, 0}},
		{"inet redacted", oidInet, false, treatment{Transform: Redact}, b("10.1.2.3"), nil},
		{"json redacted", 114, false, treatment{Transform: Redact}, b(`{"a":1}`), `^"\[US_SSN\]"$`},
		{"jsonb binary fixed", oidJSONB, true, treatment{Fixed, Options{Text: `"é\`}}, b("\x01{}"), []byte("\x01\"\\\"é\\\\\"")},
		{"json partial", 114, false, treatment{}, b(`{"a":1}`), nil},
		{"bytea", oidBytea, false, treatment{Transform: Hash}, b(`\x00`), nil},
		{"binary, of no known type", 0, true, treatment{Transform: Redact}, b("x"), nil},
		{"varchar binary", 1043, true, treatment{Transform: Redact}, b("x"), `^\[US_SSN\]$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			shape := proxy.ShapeColumn{Type: c.oid, Binary: c.binary}
			col := column{kind: kindOf(&shape), oid: c.oid, binary: c.binary, typ: detect.USSSN, with: c.how}
			col.null = col.noText()
			got, ok := m.appendCell(nil, &col, c.in)
			switch want := c.want.(type) {
			case nil:
				require.False(t, ok, "%q", got)
			case int:
				require.True(t, ok)
				require.Len(t, got, want)
				require.NotEqual(t, c.in, got)
			case string:
				require.True(t, ok)
				require.Regexp(t, want, string(got))
				require.NotEqual(t, string(c.in), string(got))
			case []byte:
				require.True(t, ok)
				require.Equal(t, want, got)
			}
		})
	}
}

// TestLeakX1EqualPseudonyms: one value under one key is one pseudonym, in every
// masker, and another under another key.
func TestLeakX1EqualPseudonyms(t *testing.T) {
	one, same := withKey(t), withKey(t)
	other, err := New(Config{Key: []byte("another key of 16+")})
	require.NoError(t, err)
	for _, how := range []Transform{Hash, Pseudonym, Tokenise, Encrypt, SameShape} {
		of := func(m *Masker, v string, typ detect.Type) string {
			return string(m.appendMasked(nil, []byte(v), typ, treatment{Transform: how}))
		}
		require.Equal(t, of(one, "123-45-6789", detect.USSSN), of(same, "123-45-6789", detect.USSSN), how)
		require.NotEqual(t, of(one, "123-45-6789", detect.USSSN), of(other, "123-45-6789", detect.USSSN), how)
		require.NotEqual(t, of(one, "123-45-6789", detect.USSSN), of(one, "123-45-6780", detect.USSSN), how)
		require.NotEqual(t, of(one, "123-45-6789", detect.USSSN), of(one, "123-45-6789", detect.NationalID), "%s: by type", how)
	}
}

// TestLeakX2SmallDomains: without the key, hashing all values leads nowhere, and
// what would need one is refused without one.
func TestLeakX2SmallDomains(t *testing.T) {
	a, err := New(Config{})
	require.NoError(t, err)
	b, err := New(Config{})
	require.NoError(t, err)
	require.NotEqual(t, a.appendMasked(nil, []byte("1980-02-03"), detect.BirthDate, treatment{Transform: Hash}),
		b.appendMasked(nil, []byte("1980-02-03"), detect.BirthDate, treatment{Transform: Hash}), "there is no hash without a key")
	for _, with := range []Transform{Pseudonym, Tokenise, Encrypt} {
		_, err := New(Config{Rules: []Rule{{Columns: []string{"ssn"}, With: with}}})
		require.ErrorContains(t, err, "key")
	}
	for _, typ := range []detect.Type{detect.BirthDate, detect.CardCode, detect.Person, detect.Password} {
		_, err := New(Config{Key: testKey, Rules: []Rule{{Types: []detect.Type{typ}, With: Encrypt}}})
		require.Error(t, err, typ)
	}
}

// TestLeakX3ShortValues: at most half of a value is kept, of whatever length.
func TestLeakX3ShortValues(t *testing.T) {
	m := withKey(t)
	for n := range 24 {
		v := []byte("123456789012345678901234"[:n])
		for first := range 5 {
			for last := range 5 {
				kept := 0
				for _, c := range m.appendMasked(nil, v, detect.License, treatment{Options: Options{KeepFirst: first, KeepLast: last}}) {
					if c != '*' {
						kept++
					}
				}
				require.LessOrEqual(t, kept*2, n)
			}
		}
	}
	_, err := New(Config{Rules: []Rule{{Types: []detect.Type{detect.USSSN}, Options: Options{KeepLast: 5}}}})
	require.ErrorContains(t, err, "more than half")
}

// TestLeakX4TokensAreTurnedBackByPermission: only members of the groups turn
// tokens back, every try is told, and a token that was changed does not open.
func TestLeakX4TokensAreTurnedBackByPermission(t *testing.T) {
	m, err := New(Config{Key: testKey, Detokenise: []string{"privacy"}})
	require.NoError(t, err)
	notes := &proxytest.Notes{}
	ledger := &proxy.Gateway{Interceptors: []proxy.Interceptor{notes}}
	alice, officer := &proxy.Identity{Subject: "alice"}, &proxy.Identity{Subject: "olga", Groups: []string{"privacy"}}
	token := m.appendMasked(nil, []byte("Ann Ä. Smith"), detect.Person, treatment{Transform: Tokenise})
	require.NotContains(t, string(token), "Ann")
	value, typ, err := m.Detokenise(t.Context(), ledger, officer, token)
	require.NoError(t, err)
	require.Equal(t, "Ann Ä. Smith", string(value))
	require.Equal(t, detect.Person, typ)
	_, _, err = m.Detokenise(t.Context(), ledger, alice, token)
	require.ErrorIs(t, err, ErrNotPermitted)
	_, _, err = m.Detokenise(t.Context(), ledger, nil, []byte("x"))
	require.ErrorIs(t, err, ErrNotPermitted)
	agent := &proxy.Identity{Subject: "bot", Groups: []string{"privacy"}, Kind: proxy.Agent, OnBehalfOf: "olga"}
	_, _, err = m.Detokenise(t.Context(), ledger, agent, token)
	require.ErrorIs(t, err, ErrNotPermitted, "an agent turns nothing back, for nobody")
	told := notes.All(proxy.NoteDetokenised)
	require.Len(t, told, 4)
	require.Equal(t, []any{"olga", "PERSON", nil}, []any{told[0].Identity.Subject, told[0].Type, told[0].Err})
	require.Equal(t, []any{"alice", "", ErrNotPermitted}, []any{told[1].Identity.Subject, told[1].Type, told[1].Err})
	for i := range token { // any byte
		bad := append([]byte(nil), token...)
		bad[i] ^= 1
		_, _, err := m.Detokenise(t.Context(), ledger, officer, bad)
		require.Error(t, err)
	}
	other, err := New(Config{Key: []byte("another key of 16+"), Detokenise: []string{"privacy"}})
	require.NoError(t, err)
	_, _, err = other.Detokenise(t.Context(), ledger, officer, token)
	require.ErrorIs(t, err, ErrOtherKey)
	for _, no := range []string{"", "tok_", "tok_zz", "hello"} {
		_, _, err = m.Detokenise(t.Context(), ledger, officer, []byte(no))
		require.ErrorIs(t, err, ErrNoToken)
	}
	notes.Err = errors.New("no record")
	_, _, err = m.Detokenise(t.Context(), ledger, officer, token)
	require.ErrorContains(t, err, "no record", "what cannot be recorded is not turned back")
	_, _, err = m.Detokenise(t.Context(), &proxy.Gateway{}, officer, token)
	require.ErrorIs(t, err, proxy.ErrUnrecorded)
	require.Equal(t, hidden, string(m.appendMasked(nil, make([]byte, maxTokenised+1), detect.Person, treatment{Transform: Tokenise})))
}

// TestRulesThatHideNothing are refused when they are loaded.
func TestRulesThatHideNothing(t *testing.T) {
	columns := []string{"p.x"}
	for name, c := range map[string]struct {
		rule Rule
		want string
	}{
		"shift of texts":        {Rule{Types: []detect.Type{detect.Email}, With: Shift}, "for columns and for the type DATE_OF_BIRTH"},
		"shift of all":          {Rule{With: Shift}, "for columns"},
		"truncated texts":       {Rule{Types: []detect.Type{detect.Person}, With: Truncate}, "for columns"},
		"domain of a card":      {Rule{Types: []detect.Type{detect.Card}, With: KeepDomain}, "for columns"},
		"network of all":        {Rule{With: KeepNetwork}, "for columns"},
		"bucket of a type":      {Rule{Types: []detect.Type{detect.Card}, With: Bucket}, "numbers"},
		"encrypt all":           {Rule{With: Encrypt}, "needs columns or types"},
		"fixed without text":    {Rule{With: Fixed}, "needs a text"},
		"text of a hash":        {Rule{With: Hash, Options: Options{Text: "x"}}, "belongs to fixed"},
		"days of a bucket":      {Rule{Columns: columns, With: Bucket, Options: Options{Days: 3}}, "belongs to shift"},
		"keep of redact":        {Rule{With: Redact, Options: Options{KeepLast: 4}}, "belongs to partial"},
		"keep too much":         {Rule{Options: Options{KeepFirst: 5, KeepLast: 5}}, "0 to 8"},
		"keep of a password":    {Rule{Types: []detect.Type{detect.Password}, Options: Options{KeepLast: 2}}, "no characters"},
		"six and four":          {Rule{Types: []detect.Type{detect.Card}, Options: Options{KeepFirst: 6, KeepLast: 2}}, "more than half"},
		"negative":              {Rule{Options: Options{KeepFirst: -1}}, "0 to 8"},
		"bucket of one":         {Rule{Columns: columns, With: Bucket, Options: Options{Size: 1}}, "at least 2"},
		"unit":                  {Rule{Columns: columns, With: Truncate, Options: Options{Unit: "week"}}, "unknown unit"},
		"days":                  {Rule{Columns: columns, With: Shift, Options: Options{Days: 99999}}, "1 to 3650"},
		"all bits":              {Rule{Columns: columns, With: KeepNetwork, Options: Options{Bits: 32}}, "1 to 24"},
		"options without a use": {Rule{Off: true, Options: Options{Bits: 8}}, "other settings"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Key: testKey, Rules: []Rule{c.rule}})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestStricter(t *testing.T) {
	for _, c := range []struct{ a, b, want treatment }{
		{treatment{Transform: Visible}, treatment{}, treatment{}},
		{treatment{}, treatment{Transform: Null}, treatment{Transform: Null}},
		{treatment{Transform: Tokenise}, treatment{Transform: Hash}, treatment{Transform: Hash}},
		{treatment{Options: Options{KeepLast: 4}}, treatment{Options: Options{KeepLast: 2}}, treatment{Options: Options{KeepLast: 2}}},
		{treatment{Bucket, Options{Size: 10}}, treatment{Bucket, Options{Size: 100}}, treatment{Bucket, Options{Size: 100}}},
		{treatment{KeepNetwork, Options{Bits: 8}}, treatment{KeepNetwork, Options{Bits: 16}}, treatment{KeepNetwork, Options{Bits: 8}}},
		{treatment{Truncate, Options{Unit: "decade"}}, treatment{Truncate, Options{Unit: "day"}}, treatment{Truncate, Options{Unit: "decade"}}},
	} {
		require.Equal(t, c.want, stricter(c.a, c.b))
		require.Equal(t, c.want, stricter(c.b, c.a))
	}
}
