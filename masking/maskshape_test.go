package masking

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// What every transform shows of a value is recognised as a mask, and real values are not
// taken for one, as far as the form tells them apart.
func TestMasksAreRecognised(t *testing.T) {
	m, err := New(Config{Key: []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	const text, integer, bigint = 25, oidInt4, oidInt8
	for _, c := range []struct {
		typ  detect.Type
		oid  uint32
		with treatment
		real []string
		want likeness // of masks; of real values noMask, or perhaps where masks are
	}{
		{detect.Email, text, treatment{}, []string{"doris@example.com", "a@b.de", "jo@x", "x.y+z@mail.example.co.uk"}, maskOnly},
		{detect.Person, text, treatment{}, []string{"Doris", "Li", "J", "Doris O'Hampton-Smith", "Żółć"}, maskOnly},
		{detect.Card, text, treatment{}, []string{"4111 1111 1111 1111", "4111111111111111"}, maskOnly},
		{detect.Phone, text, treatment{}, []string{"+1 (555) 123-4567", "030 123456"}, maskOnly},
		{detect.IBAN, text, treatment{}, []string{"DE89 3704 0044 0532 0130 00"}, maskOnly},
		{detect.USSSN, text, treatment{}, []string{"123-45-6789"}, maskOnly},
		{detect.Password, text, treatment{}, []string{"Cobalt!Fox88", "**bold**", "a*b*c", "*", "!*"}, maskOnly},
		{Column, text, treatment{Partial, Options{KeepFirst: 3, KeepLast: 1}}, []string{"abcdefghij", "ab"}, maskOnly},
		{Column, text, treatment{Transform: Hash}, []string{"Doris", "0123456789abcde"}, maskOnly},
		{Column, text, treatment{Transform: Pseudonym}, []string{"Doris", "PERSON-3f2a", "a-3f2a-0123456789abcdef"}, maskOnly},
		{Column, text, treatment{Transform: Tokenise}, []string{"Doris", "tok_ens", "tok_abcd_short"}, maskOnly},
		{Column, text, treatment{Transform: Redact}, []string{"Doris", "[sic]", "[NOTE]"}, maskOnly},
		{Column, text, treatment{Fixed, Options{Text: "hidden here"}}, []string{"Doris", "hidden"}, maskOnly},
		{detect.Email, text, treatment{Transform: KeepDomain}, []string{"doris@example.com", "n/a"}, maskOnly},
		{Column, text, treatment{Bucket, Options{Size: 10}}, []string{"37", "31-39", "5-10", "-7"}, maskOnly},
		{detect.BirthDate, text, treatment{Truncate, Options{Unit: "year"}}, []string{"1980-02-03", "soon"}, perhaps},
		{detect.IP, text, treatment{KeepNetwork, Options{Bits: 16}}, []string{"10.20.30.40", "2001:db8::1"}, perhaps},
		{detect.BirthDate, text, treatment{Shift, Options{Days: 30}}, []string{"1980-02-03"}, perhaps},
		{detect.Card, text, treatment{Transform: Encrypt}, []string{"4111111111111111"}, perhaps},
		{detect.Person, text, treatment{Transform: SameShape}, []string{"Doris"}, perhaps},
		{Column, bigint, treatment{}, []string{"123456789"}, perhaps},
		{Column, text, treatment{Transform: Null}, []string{"Doris"}, perhaps},
		{Column, integer, treatment{Bucket, Options{Size: 10}}, []string{"37"}, perhaps},
		{Column, bigint, treatment{Transform: Encrypt}, []string{"123456789"}, perhaps},
		{Column, oidDate, treatment{Truncate, Options{Unit: "month"}}, []string{"1980-02-03"}, perhaps},
		{Column, oidDate, treatment{}, []string{"1980-02-03"}, perhaps},
		{Column, oidUUID, treatment{Transform: Hash}, []string{"01890a5d-ac96-774b-bcce-b302099a8057", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, maskOnly},
		{Column, oidJSONB, treatment{Transform: Redact}, []string{`{"a": 1}`, `"x"`}, maskOnly},
		{Column, oidJSONB, treatment{Transform: Pseudonym}, []string{`{"a": 1}`}, maskOnly},
		{Column, 1007, treatment{}, []string{"{1,2}"}, perhaps},
	} {
		col := column{kind: kindOf(&proxy.ShapeColumn{Type: c.oid}), oid: c.oid, whole: true, typ: c.typ, with: c.with.withDefaults()}
		col.null = col.noText()
		for _, v := range c.real {
			mask, ok := m.appendCell(nil, &col, []byte(v))
			if !ok {
				mask = nil
				require.True(t, col.showsNull(), "%s %s %q", c.typ, c.with.Transform, v)
			}
			got := m.shows(&col, mask, false)
			require.GreaterOrEqual(t, got, min(c.want, maskOnly), "%s %s: %q is shown as %q", c.typ, c.with.Transform, v, mask)
			if c.with.Transform != Encrypt && c.with.Transform != SameShape && c.with.Transform != Shift {
				require.Equal(t, noMask, m.shows(&col, []byte(v), false), "%s %s: %q is real", c.typ, c.with.Transform, v)
			}
			require.LessOrEqual(t, m.shows(&col, []byte(v), false), perhaps)
		}
		require.Equal(t, when(col.showsNull(), perhaps), m.shows(&col, nil, false))
		require.Equal(t, noMask, m.shows(&col, []byte{}, false))
	}
}

// What is shown of values that are found in texts is found again, and what people write with
// asterisks is not.
func TestMasksInTexts(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	v := m.view(nil, nil)
	for _, text := range []string{
		"write to a**@*******.com", "<a**.***@****.com>", `{"mail":"a**@*******.com"}`, "card **** **** **** 1111, ok", "************1111",
		"call +* (***) ***-**67", "***-**-****", "password: ********", "password=********\n", `{"password": "********"}`, `{"ssn": "***-**-****"}`,
		"signed by D**** *******.", `{"last_name": "S*******"}`, "iban DE** **** **** **** **30", "mailto:a**@*******.com",
	} {
		require.True(t, v.holdsMask([]byte(text)), text)
	}
	for _, text := range []string{
		"**bold** and ***more***", "* one\n* two", "***", "* * *", "-----*****-----", "rated ***** by 5", "***** 5", "2 ** 10 * 3", "/* comment */", "/*** doc ***/",
		"SELECT * FROM t", "f**k", "A**", "F***", "**Note:** see", "a*b*c@example.com", "**me@example.com**", "*@example.com", "********", "glob /var/**/*.log", "10.*.*.*",
		"*:*", "0 */5 * * *", "*/10 * * * * root", "key: **value**", `{"stars": "*****"}`, "[sic] [EMAIL_ADDRESS]", "tok_en", "a-b-c", "phone: *69", "** 12 **", "Total****: 12",
	} {
		require.False(t, v.holdsMask([]byte(text)), text)
	}
	m, err = New(Config{Rules: []Rule{{With: Redact}}})
	require.NoError(t, err)
	require.True(t, m.view(nil, nil).holdsMask([]byte("write to [EMAIL_ADDRESS], please")))
}

func FuzzHoldsMask(f *testing.F) {
	for _, s := range []string{"a**@*.com", "************1111", "D*** **", "x=********", "[A]", "tok_0000_", "{\"a\":\"**\"}"} {
		f.Add(s)
	}
	m, err := New(Config{Rules: []Rule{{With: Redact}}})
	require.NoError(f, err)
	v := m.view(nil, nil)
	c := column{kind: kindText, whole: true, typ: Column}
	f.Fuzz(func(_ *testing.T, s string) {
		v.holdsMask([]byte(s))
		eachElement([]byte(s), func(e []byte) { v.holdsMask(e) })
		for how := range transformEnd {
			c.with = treatment{Transform: how}.withDefaults()
			m.shows(&c, []byte(s), false)
			m.shows(&c, []byte(s), true)
		}
	})
}
