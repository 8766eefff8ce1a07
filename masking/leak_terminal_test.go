package masking

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/maskdata"
	"github.com/sallyport/sallyport/proxy"
)

// terminal returns the filters of both directions of a terminal.
func terminal(t testing.TB, width, height int) (in, out proxy.Filter) {
	t.Helper()
	h, _ := hooksFor(t, Config{})
	op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell, ID: 7}, Terminal: true}
	in, err := h.Flow(context.Background(), op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true})
	require.NoError(t, err)
	out, err = h.Flow(context.Background(), op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "terminal", Width: width, Height: height})
	require.NoError(t, err)
	return in, out
}

// shown is what a terminal shows of b, rows joined, with spaces where nothing is.
func shown(b string, width, height int) string {
	s := &screen{}
	s.resize(width, height)
	s.write([]byte(b), 0)
	var text strings.Builder
	for _, c := range s.cells {
		if c.r == 0 {
			c.r = ' '
		}
		text.WriteRune(c.r)
	}
	return text.String()
}

var fourDigits = regexp.MustCompile(`1234|2345|3456|4567|5678|6789|123-45|45-6789|4111`)

// onScreen writes text to a terminal in pieces, each followed by a pause, and
// returns what is on its screen.
func onScreen(t *testing.T, width int, pieces ...string) string {
	t.Helper()
	_, out := terminal(t, width, 24)
	var got []byte
	var err error
	for _, p := range pieces {
		got, err = out.Bytes(got, []byte(p))
		require.NoError(t, err)
		got, err = out.Idle(got)
		require.NoError(t, err)
	}
	got, err = out.End(got)
	require.NoError(t, err)
	return shown(string(got), width, 24)
}

func TestLeakT2OverwrittenLines(t *testing.T) {
	for name, text := range map[string]string{
		"backspace":         "4111x\b111111111111",
		"carriage return":   "xxxx111111111111\r4111",
		"progress":          "123-45-xxxx\r123-45-6789",
		"erase and write":   "1234\x1b[4D123-45-6789\r\x1b[K123-45-6789",
		"insert":            "123-6789\x1b[4D\x1b[3@45-",
		"delete":            "123-xx45-6789\x1b[9D\x1b[2P",
		"up and over":       "xxx-45-6789\r\n\x1b[A123",
		"tab":               "123-45-\r\t\b6789",
		"reverse line feed": "\n\n123-xx-6789\x1bM\x1bM\n\n\r\x1b[4C45",
	} {
		t.Run(name, func(t *testing.T) { require.NotRegexp(t, fourDigits, onScreen(t, 80, text)) })
	}
}

func TestLeakT3CursorAddressing(t *testing.T) {
	const v = "123-45-6789"
	var reverse strings.Builder
	for i := len(v) - 1; i >= 0; i-- {
		fmt.Fprintf(&reverse, "\x1b[5;%dH%c", i+1, v[i])
	}
	require.NotRegexp(t, fourDigits, onScreen(t, 80, reverse.String()), "digits from right to left")
	var columns strings.Builder
	for i := range len(v) {
		fmt.Fprintf(&columns, "\x1b[%dG%c\x1b[s\x1b[10;1Hx\x1b[u", i+1, v[i])
	}
	require.NotRegexp(t, fourDigits, onScreen(t, 80, columns.String()), "with other things in between")
	require.NotRegexp(t, fourDigits, onScreen(t, 80, "\x1b[?1049h\x1b[2J\x1b[3;1H123-\x1b[3;8H6789\x1b[3;5H45-"), "on the alternate screen")
	// With pauses, what was shown before the value was whole cannot be taken back;
	// the rest does not come.
	require.NotContains(t, onScreen(t, 80, "\x1b[5;8H6789", "\x1b[5;5H45-", "\x1b[5;1H123-"), "123-45-6789")
	// Scrolled away before anybody could read it.
	require.NotRegexp(t, fourDigits, onScreen(t, 80, "xxx-45-6789\r123"+strings.Repeat("\r\n", 30)))
}

func TestLeakT5SoftWraps(t *testing.T) {
	fill := strings.Repeat("word ", 15) // 75 columns
	for name, text := range map[string]string{
		"by the terminal":  fill + "123-45-6789 end",
		"by the program":   fill + "123-4\r\n5-6789 end",
		"by addressing":    fill + "123-4\x1b[2;1H5-6789 end",
		"on a narrow one":  fill + "4111 1111 1111 1111",
		"less, whole rows": "\x1b[H" + fill + "123-4\x1b[2H5-6789\x1b[K",
		"drawn from below": "\x1b[2;1H5-6789\x1b[1;1H" + fill + "123-4",
		"with colours":     fill + "\x1b[31m123-4\x1b[0m\r\n\x1b[32m5-6789\x1b[0m",
	} {
		t.Run(name, func(t *testing.T) {
			require.NotRegexp(t, fourDigits, onScreen(t, 80, text))
		})
	}
	_, out := terminal(t, 80, 24) // which becomes narrower
	require.NoError(t, out.Resize(20, 10))
	got, err := out.Bytes(nil, []byte("some more words 123-\x1b[2;1H45-6789 \r\n"))
	require.NoError(t, err)
	require.NotRegexp(t, fourDigits, shown(string(got), 20, 10))
}

// TestLeakT7Encoded has values behind base64 and hex, as programs print them.
func TestLeakT7Encoded(t *testing.T) {
	const text = "ssn 123-45-6789, mail ann@example.com\n"
	run := func(program string, args ...string) string {
		path, err := exec.LookPath(program)
		if err != nil {
			return ""
		}
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader(text)
		b, err := cmd.Output()
		require.NoError(t, err)
		return string(b)
	}
	for name, in := range map[string]string{
		"base64":     run("base64"),
		"in a line":  "key: " + base64.StdEncoding.EncodeToString([]byte("123-45-6789 is it")) + " ok\n",
		"URL":        base64.URLEncoding.EncodeToString([]byte("a>>b?? 123-45-6789")) + "\n",
		"no padding": base64.RawStdEncoding.EncodeToString([]byte("x 123-45-6789")) + "\n",
		"hex":        hex.EncodeToString([]byte("ssn 123-45-6789")) + "\n",
		"xxd":        run("xxd"),
		"xxd, plain": run("xxd", "-p"),
		"hexdump":    run("hexdump", "-C"),
		"od":         run("od", "-An", "-tx1"),
		"made xxd":   "00000000: 7373 6e20 3132 332d 3435 2d36 3738 392c  ssn 123-45-6789,\n",
		"made dump":  "00000000  73 73 6e 20 31 32 33 2d  34 35 2d 36 37 38 39 2c  |ssn 123-45-6789,|\n",
		"two lines":  "00000000: 6161 6161 6161 6161 2031 3233 2d34 352d  aaaaaaaa 123-45-\n00000010: 3637 3839 0a                             6789.\n",
	} {
		if in == "" {
			continue // the program is not there; the made ones are the same
		}
		for _, media := range []string{"terminal", "stdout"} {
			t.Run(name+"/"+media, func(t *testing.T) {
				got := pass(t, newStream(t, media), in, 4096, false)
				require.Len(t, got, len(in))
				require.NotRegexp(t, fourDigits, got)
				for _, w := range strings.Fields(got) {
					for _, decode := range []func(string) ([]byte, error){base64.StdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawStdEncoding.DecodeString, hex.DecodeString} {
						if b, err := decode(w); err == nil && len(b) > 4 {
							require.NotRegexp(t, fourDigits, string(b))
						}
					}
				}
				require.NotContains(t, strings.ReplaceAll(got, " ", ""), hex.EncodeToString([]byte("45-6789")))
			})
		}
	}
	for _, clean := range []string{"c29tZSBvcmRpbmFyeSB0ZXh0IHRoYXQgaXMgbG9uZw==\n", "drwxr-xr-x 2 root root 4096 Nov 25 08:04 deadbeef\n", "commit 0b12a0e7ec1a68e44912e68a489f0b12a0e7ec1a\n"} {
		require.Equal(t, clean, pass(t, newStream(t, "stdout"), clean, 4096, false))
	}
}

func TestLeakT8PrivateKeys(t *testing.T) {
	body := strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n", 30)
	for name, in := range map[string]string{
		"whole":     "-----BEGIN RSA PRIVATE KEY-----\n" + body + "-----END RSA PRIVATE KEY-----\nafter\n",
		"CRLF":      strings.ReplaceAll("-----BEGIN PRIVATE KEY-----\n"+body+"-----END PRIVATE KEY-----\nafter\n", "\n", "\r\n"),
		"no footer": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + body,
		"JSON":      `{"key":"` + strings.ReplaceAll("-----BEGIN PRIVATE KEY-----\n"+body+"-----END PRIVATE KEY-----\n", "\n", `\n`) + `","a":"after"}` + "\n",
		"indented":  "key: |\n  -----BEGIN EC PRIVATE KEY-----\n  " + strings.ReplaceAll(body, "\n", "\n  ") + "-----END EC PRIVATE KEY-----\nafter\n",
	} {
		for _, media := range []string{"terminal", "stdout"} {
			for _, size := range []int{1, 7, 100, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, media, size), func(t *testing.T) {
					got := pass(t, newStream(t, media), in, size, size == 100)
					require.NotContains(t, got, "MIIE")
					require.NotContains(t, got, "AoIBAQC7")
					if name != "no footer" {
						require.Contains(t, got, "after")
					}
				})
			}
		}
	}
	// It ends after 16 KiB, wherever its end is.
	endless := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("A", 20<<10) + "\nafter\n"
	require.Contains(t, pass(t, newStream(t, "stdout"), endless, 1000, false), "after")
}

// TestLeakT12Echo: what a user types is shown at once; of a value no four digits
// are sent, and of a number that is none all of them in the end.
func TestLeakT12Echo(t *testing.T) {
	typeIn := func(t *testing.T, keys string) string {
		in, out := terminal(t, 80, 24)
		var all []byte
		prompt, err := out.Bytes(nil, []byte("$ "))
		require.NoError(t, err)
		all = append(all, prompt...)
		rest, err := out.Idle(nil)
		require.NoError(t, err)
		all = append(all, rest...)
		for i := range len(keys) {
			_, err := in.Bytes(nil, []byte{keys[i]})
			require.NoError(t, err)
			echo, err := out.Bytes(nil, []byte{keys[i]})
			require.NoError(t, err)
			require.NotEmpty(t, echo, "the echo of %q is not held", keys[i])
			all = append(all, echo...)
		}
		_, err = in.Bytes(nil, []byte("\r"))
		require.NoError(t, err)
		all, err = out.Bytes(all, []byte("\r\nbash: not found\r\n"))
		require.NoError(t, err)
		all, err = out.Idle(all)
		require.NoError(t, err)
		return string(all)
	}
	got := typeIn(t, "echo 123-45-6789 x")
	require.NotRegexp(t, fourDigits, strings.ReplaceAll(got, "\b", ""), "in no order")
	require.Regexp(t, `\$ echo 123-\*\*-\*\*\*\* x`, shown(got, 80, 24))
	require.Regexp(t, `\$ kill 1234567 890123 `, shown(typeIn(t, "kill 1234567 890123"), 80, 24))
	require.Regexp(t, `\$ ls -la /etc/x86_64 `, shown(typeIn(t, "ls -la /etc/x86_64"), 80, 24))
	long := typeIn(t, strings.Repeat("a", 74)+" 123-45-6789")
	require.NotRegexp(t, fourDigits, long, "at the margin, where the cursor would not come back, it waits")
}

// TestTerminalWithoutTyping: what a program prints is not taken for an echo.
func TestTerminalWithoutTyping(t *testing.T) {
	in, out := terminal(t, 80, 24)
	_, err := in.Bytes(nil, []byte("cat x\r"))
	require.NoError(t, err)
	got, err := out.Bytes(nil, []byte("4111 1111 "))
	require.NoError(t, err)
	got, err = out.Bytes(got, []byte("1111 1111\r\n"))
	require.NoError(t, err)
	require.Equal(t, "**** **** **** 1111\r\n", string(got))
}

func FuzzScreen(f *testing.F) {
	for _, s := range []string{"a\x1b[5;8H6789", "\x1b[?1049h\x1b[2J", "\x1b[3;5r\x1b[L\x1b[M\x1bM\n\n\n", "\xe2\x82", "\x1b]0;t\x07x", "\x1b[99999999;9H\x1b[99999X\x1b[99999@", "\x1b[0S\x1b[99T\x1b[1;1r"} {
		f.Add([]byte(s), 5, 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, width, height int) {
		s := &screen{}
		s.resize(width, height)
		s.leave = func(row int) { s.read(row, row, func([]byte, []*cell) {}, nil, nil) }
		s.write(in, 0)
		s.resize(height, width)
		s.write(in, 0)
		s.read(0, s.height-1, func(text []byte, cells []*cell) { require.Len(t, cells, len(text)) }, nil, nil)
		for _, r := range s.rows {
			require.False(t, r.dirty)
		}
	})
}

func BenchmarkTerminal(b *testing.B) {
	text := []byte(strings.ReplaceAll(string(maskdata.Clean()), "\n", "\r\n"))
	_, out := terminal(b, 80, 24)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		for at := 0; at < len(text); at += 4 << 10 {
			dst, _ = out.Bytes(dst[:0], text[at:min(at+4<<10, len(text))])
		}
	}
}
