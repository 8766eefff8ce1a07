package masking

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

const mailValue = "ann@example.com"

var people = strings.Repeat("Ann,"+mailValue+",4111111111111111,123-45-6789\n", 12)

func randomBytes(n int, seed byte) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// TestStreamsOfNoText: what a command writes that is no text passes as it is.
func TestStreamsOfNoText(t *testing.T) {
	random := randomBytes(16<<20, 0)
	require.True(t, random == pass(t, newStream(t, "stdout"), random, 32<<10, false), "random bytes are as they were")

	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range []string{"etc/hosts", "notes/2024-05-06.txt", "src/main.c"} {
		body := strings.Repeat("int main(void) { return 0; } /* 12345 */\n", 50)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, Uid: 1000, Uname: "ann", Gname: "staff"}))
		w.Write([]byte(body))
	}
	require.NoError(t, w.Close())
	for name, data := range map[string]string{
		"gzip":            gzipped(people + random[:128<<10]),
		"gzip of text":    gzipped(people),
		"tar":             archive.String(),
		"after a header":  strings.Repeat("HTTP/1.1 200 OK\r\n", 300) + random[:128<<10],
		"short":           "\x01\x02a@b.de\x03\x04" + random[:100],
		"byte after byte": random[:8<<10],
		"letters of more than one byte by accident": random[:4<<10] + "7\xe1\x16Ql@ĸ.Ƿϗ`I\x8b\x02" + random[4<<10:8<<10],
	} {
		for _, size := range []int{1, 1000, 32 << 10} {
			require.True(t, data == pass(t, newStream(t, "stdout"), data, size, true), "%s in pieces of %d", name, size)
		}
	}
	f := newStream(t, "stdout")
	for _, message := range []string{"\x01\x02000", "\x00\x00\x00\x05\x01hello", "\x1e\x80{\"id\":1}"} {
		out, err := f.Bytes(nil, []byte(message))
		require.NoError(t, err)
		require.Equal(t, message, string(out), "a message of a program's own protocol does not wait")
	}
}

// TestSpoiledStreamsSaySo: a value that is hidden where there is no text ends the command with
// an error, so that nobody takes a file for whole that is not. Text never does.
func TestSpoiledStreamsSaySo(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "people.csv", Size: int64(len(people)), Mode: 0o644}))
	w.Write([]byte(people))
	require.NoError(t, w.Close())
	program := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 90) + randomBytes(4096, 3) + "usage: prog\x00report bugs to ann.smithers@example.com\x00" + randomBytes(4096, 4)
	for _, c := range []struct {
		name, data string
		spoiled    bool
	}{
		{"text", people, false},
		{"text in colours", strings.ReplaceAll(people, "Ann", "\x1b[1mAnn\x1b[0m"), false},
		{"Latin-1", strings.ReplaceAll(people, "Ann", "Ren\xe9e"), false},
		{"lists with NULs", strings.ReplaceAll(people, "\n", "\x00"), false},
		{"a program", program, true},
		{"an archive", archive.String(), true},
		{"text, then a program", strings.Repeat("a line of a log\n", 2000) + program, true},
		{"a program without values", strings.ReplaceAll(program, "@", " at "), false},
		{"random bytes", randomBytes(1<<20, 5), false},
	} {
		for _, size := range []int{1, 700, 32 << 10} {
			f := newStream(t, "stdout")
			var out []byte
			var err error
			for b := []byte(c.data); len(b) > 0; b = b[min(size, len(b)):] {
				out, err = f.Bytes(out, b[:min(size, len(b))])
				require.NoError(t, err)
			}
			out, err = f.End(out)
			require.Len(t, out, len(c.data))
			if c.spoiled {
				require.ErrorIs(t, err, errNotText, "%s in pieces of %d", c.name, size)
				require.ErrorContains(t, err, "scp or sftp")
			} else {
				require.NoError(t, err, "%s in pieces of %d", c.name, size)
			}
		}
	}
}

// TestStreamsThatBeginOtherwise: text is masked whatever stands before it.
func TestStreamsThatBeginOtherwise(t *testing.T) {
	wide := func(bom string, low, high int) string {
		var b strings.Builder
		b.WriteString(bom)
		for _, c := range utf16.Encode([]rune("Żółć " + people)) {
			pair := [2]byte{}
			pair[low], pair[high] = byte(c), byte(c>>8)
			b.Write(pair[:])
		}
		return b.String()
	}
	var utf32 strings.Builder
	for _, c := range people {
		utf32.WriteString(string([]byte{byte(c), 0, 0, 0}))
	}
	random := randomBytes(64<<10, 1)
	for name, text := range map[string]string{
		"plain":                people,
		"NUL first":            "\x00" + people,
		"controls first":       "\x01\x02\x03" + people,
		"gzip's magic":         "\x1f\x8b\x08\x00" + people,
		"a program's magic":    "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + people,
		"tar's header":         "file.csv" + strings.Repeat("\x00", 92) + "000644 \x00" + strings.Repeat("\x00", 149) + "ustar  \x00" + strings.Repeat("\x00", 247) + people,
		"after a whole gzip":   gzipped(people) + people,
		"after random bytes":   random + "\n" + people,
		"blocks by turns":      random[:512] + people + random[512:9000] + people + random[9000:],
		"a control a line":     strings.ReplaceAll(people, "\n", "\x01\n"),
		"controls around each": strings.ReplaceAll(people, ",", "\x01\x02,\x03\x04"),
		"random around each":   strings.ReplaceAll(people, "\n", "\n"+random[:100]+"\n"),
		"NULs between":         strings.ReplaceAll(people, "\n", "\x00"),
		"NULs for fields":      strings.ReplaceAll(people, ",", "\x00\x00\x00\x00"),
		"Latin-1":              strings.ReplaceAll(people, "Ann", "Ren\xe9e"),
		"colours":              strings.ReplaceAll(people, "Ann", "\x1b[1mAnn\x1b[0m"),
		"form feeds":           "\f" + people,
		"UTF-16, little":       wide("\xff\xfe", 0, 1),
		"UTF-16, big":          wide("\xfe\xff", 1, 0),
		"UTF-32":               utf32.String(),
	} {
		for _, media := range []string{"stdout", "stderr", "terminal"} {
			for _, size := range []int{1, 13, 1000, 32 << 10} {
				got := pass(t, newStream(t, media), text, size, false)
				require.Len(t, got, len(text))
				got = strings.ReplaceAll(got, "\x00", "")
				require.NotContains(t, got, mailValue, "%s/%s/%d", name, media, size)
				require.NotContains(t, got, "@e", "%s/%s/%d", name, media, size)
				require.NotRegexp(t, fourDigits, got, "%s/%s/%d", name, media, size)
			}
		}
	}
	// On a terminal, controls that show nothing do not part a value either.
	for _, part := range []string{"\x00", "\x07", "\x7f", "\x0f\x0e"} {
		text := "ssn " + strings.Join(strings.Split("123-45-6789", ""), part) + "\r\n"
		for _, size := range []int{1, 2, 1000} {
			require.NotRegexp(t, fourDigits, shown(pass(t, newStream(t, "terminal"), text, size, true), 80, 24), "%q", part)
		}
	}
}

func FuzzStreamNoText(f *testing.F) {
	f.Add([]byte("\x01\x02"), []byte("\x00"))
	f.Add([]byte("\x1f\x8b\x08\x00"), []byte("\xff\xfe"))
	f.Add([]byte("\x1b["), []byte("\x1b[2K\b"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		text := string(before) + "\n123-45-6789\n" + string(after)
		for _, media := range []string{"stdout", "terminal"} {
			got := pass(t, newStream(t, media), text, 1+len(before)%7, false)
			require.Len(t, got, len(text))
			require.NotContains(t, got, "\n123-45-6789\n", media)
		}
	})
}

func BenchmarkStreamNoText(b *testing.B) {
	data := []byte(randomBytes(1<<20, 0))
	f := newStream(b, "stdout")
	b.SetBytes(int64(len(data)))
	var out []byte
	for b.Loop() {
		for at := 0; at < len(data); at += 32 << 10 {
			out, _ = f.Bytes(out[:0], data[at:at+32<<10])
		}
	}
}
