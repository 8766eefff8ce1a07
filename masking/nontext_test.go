package masking

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStreamsOfNoText: what a command writes that is no text passes as it is, and
// at once; text in any encoding, and lists with NULs between, are masked.
func TestStreamsOfNoText(t *testing.T) {
	random := make([]byte, 32<<20)
	r := rand.NewChaCha8([32]byte{})
	r.Read(random)
	require.True(t, string(random) == pass(t, newStream(t, "stdout"), string(random), 32<<10, false), "random bytes are as they were")

	const value = "ann@example.com"
	people := strings.Repeat("Ann,"+value+",4111111111111111\n", 100)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(random[:1<<20])
	w.Close()
	for name, data := range map[string]string{
		"gzip":              packed.String(),
		"program":           "\x7fELF\x02\x01\x01\x00\x00\x00" + strings.Repeat("x\x00Report bugs to "+value+"\x00", 200),
		"archive":           "file.csv\x00\x00\x00\x00\x00\x00\x000000644\x00" + people,
		"after a header":    strings.Repeat("HTTP/1.1 200 OK\r\n", 300) + string(random[:1<<20]) + value + string(random[:1<<20]),
		"byte after byte":   string(random[:8<<10]),
		"digits at its end": "\x01\x02" + "4111",
	} {
		for _, size := range []int{1, 1000, 32 << 10} {
			require.True(t, data == pass(t, newStream(t, "stdout"), data, size, true), "%s in pieces of %d", name, size)
		}
	}
	f := newStream(t, "stdout")
	out, err := f.Bytes(nil, []byte("\x01\x020000"))
	require.NoError(t, err)
	require.Equal(t, "\x01\x020000", string(out), "nothing waits")

	for name, text := range map[string]string{
		"plain": people, "NULs between": strings.ReplaceAll(people, "\n", "\x00"), "Latin-1": strings.ReplaceAll(people, "Ann", "Ren\xe9e"),
		"colours": strings.ReplaceAll(people, "Ann", "\x1b[1mAnn\x1b[0m"), "form feeds": "\f" + people,
	} {
		require.NotContains(t, pass(t, newStream(t, "stdout"), text, 1000, false), value, name)
	}
	require.NotContains(t, pass(t, newStream(t, "terminal"), "\x01\x02"+people, 1000, false), value, "a terminal is read by people")
}
