package detect

import (
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCodes: what is in base64, hex and dumps is found where it is wanted, and other
// words stay.
func TestCodes(t *testing.T) {
	secret := []byte("mail ann.lee@example.com now")
	standard, long := base64.StdEncoding.EncodeToString(secret), hex.EncodeToString(secret)
	for _, c := range []struct {
		text string
		want Type
	}{
		{standard, Email},
		{base64.RawURLEncoding.EncodeToString(secret), Email},
		{long, Email},
		{base64.StdEncoding.EncodeToString([]byte("the parcel is on its way")), ""},
		{hex.EncodeToString([]byte("the parcel is on its way")), ""},
		{standard + " and more", ""},
		{"short", ""},
		{"", ""},
	} {
		d := Codes{Detector: Default(), Wants: func(t Type) bool { return t == Email }}
		got, ok := d.Word([]byte(c.text))
		require.Equal(t, c.want, got, c.text)
		require.Equal(t, c.want != "", ok, c.text)
		d.Wants = func(Type) bool { return false }
		_, ok = d.Word([]byte(c.text))
		require.False(t, ok, c.text)
	}
}

func TestCodesInTexts(t *testing.T) {
	d := Codes{Detector: Default(), Wants: func(Type) bool { return true }}
	word := base64.StdEncoding.EncodeToString([]byte("mail ann.lee@example.com now"))
	text := "before " + word + " bob.ray@example.com"
	found := d.Find(Default().Find(nil, []byte(text)), []byte(text))
	require.Len(t, found, 2)
	require.Equal(t, word, text[found[0].Start:found[0].End])
	require.Equal(t, "bob.ray@example.com", text[found[1].Start:found[1].End])
	dump := hex.Dump([]byte("mail ann.lee@example.com now, and write it down")) // three lines
	found = d.Find(nil, []byte(dump))
	shown := []byte(dump)
	for _, f := range found {
		for k := f.Start; k < f.End; k++ {
			shown[k] = '*'
		}
	}
	require.NotContains(t, string(shown), "lee@")
	require.NotContains(t, string(shown), hex.EncodeToString([]byte("l"))+" "+hex.EncodeToString([]byte("e")))
	require.Contains(t, string(shown), "write it")
	require.True(t, d.IsDump([]byte(dump), 0, 78))
	require.False(t, d.IsDump([]byte("not a line of a dump"), 0, 20))
}
