package ssh_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// onLines gives the verdicts of typed lines that contain a word.
func onLines(verdicts map[string]proxy.Verdict) func(op proxy.Op) proxy.Verdict {
	return func(op proxy.Op) proxy.Verdict {
		if e, ok := op.(*proxy.Exec); ok && e.Kind == proxy.KindInput {
			for word, v := range verdicts {
				if strings.Contains(e.Command, word) {
					return v
				}
			}
		}
		return proxy.Verdict{}
	}
}

// inputs are the lines that the journal has.
func (r *rig) inputs() (lines []string) {
	for _, l := range r.journal.doneLines() {
		if line, ok := strings.CutPrefix(l, "input "); ok {
			lines = append(lines, line)
		}
	}
	return lines
}

// openTerminal runs a command at a terminal.
func (r *rig) openTerminal(command string) (in io.Writer, out *lockedBuffer, s *gossh.Session) {
	r.t.Helper()
	s, err := r.mustClient().NewSession()
	require.NoError(r.t, err)
	require.NoError(r.t, s.RequestPty("xterm", 24, 80, nil))
	in, err = s.StdinPipe()
	require.NoError(r.t, err)
	out = &lockedBuffer{}
	s.Stdout, s.Stderr = out, out
	require.NoError(r.t, s.Start(command))
	return in, out, s
}

// echoing is a terminal that draws what echo makes of its input, and counts how often
// input comes.
func echoing(r *rig, echo func(line string) string) (reads *atomic.Int64, got *lockedBuffer) {
	reads, got = &atomic.Int64{}, &lockedBuffer{}
	r.inFrontOf(func(_ *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
		go func() {
			b, line := make([]byte, 64<<10), []byte(nil)
			for {
				n, err := ch.Read(b)
				if err != nil {
					return
				}
				reads.Add(1)
				got.Write(b[:n])
				var drawn []byte
				for _, c := range b[:n] {
					if line = append(line, c); c == '\n' {
						drawn = append(drawn, echo(string(line))...)
						line = nil
					}
				}
				if len(line) > 0 && !bytes.Contains(line, []byte("secret")) {
					drawn, line = append(drawn, line...), nil
				}
				ch.Write(drawn)
			}
		}()
		for req := range requests {
			req.Reply(true, nil)
		}
	})
	return reads, got
}

// TestPasteRoundTrips: lines that come at once cost a few round trips and not one each, and
// each is on record.
func TestPasteRoundTrips(t *testing.T) {
	for name, line := range map[string]string{"words": "some words, number %d\n", "tabs": "\tif n == %d {\ty()\t}\n", "UTF-8": "größe %d 漢字\n", "long": strings.Repeat("x", 300) + "%d\n"} {
		t.Run(name, func(t *testing.T) {
			var reads *atomic.Int64
			var got *lockedBuffer
			r := newRig(t, func(r *rig) {
				r.handler.Grammar = &commandline.Grammar{}
				reads, got = echoing(r, func(line string) string { return strings.ReplaceAll(line, "\n", "\r\n") })
			})
			in, _, _ := r.openTerminal("sh")
			var text strings.Builder
			var want []string
			for i := range 700 {
				fmt.Fprintf(&text, line, i)
				want = append(want, strings.TrimSpace(fmt.Sprintf(line, i))+" → done")
			}
			io.WriteString(in, text.String())
			waitFor(t, "the lines", func() bool { return got.String() == text.String() })
			waitFor(t, "the record", func() bool { return len(r.inputs()) == len(want) })
			for i, line := range r.inputs() {
				require.Equal(t, want[i], line)
			}
			require.Less(t, reads.Load(), int64(70))
		})
	}
}

// TestPasteWithoutEcho: of lines that come at once, those that the terminal does not show
// are not on record.
func TestPasteWithoutEcho(t *testing.T) {
	var got *lockedBuffer
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		_, got = echoing(r, func(line string) string {
			if strings.Contains(line, "secret") {
				return "\r\n"
			}
			return line[:len(line)/2] + "output\r\n" + line[len(line)/2:] // which comes between
		})
	})
	in, _, _ := r.openTerminal("sh")
	text := "first command\nsecond command\nmy secret\nsecret2\nthe last command\n"
	io.WriteString(in, text)
	waitFor(t, "the lines", func() bool { return got.String() == text })
	waitFor(t, "the record", func() bool { return r.journal.has("the last command") })
	require.Equal(t, []string{"first command → done", "second command → done", "the last command → done"}, r.inputs())
}

// TestPasteJudged: of lines that come at once, none runs that is not allowed, and what waits
// or warns does so in its place.
func TestPasteJudged(t *testing.T) {
	decided := make(chan struct{})
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		r.gateway.Reviewer = proxytest.Reviewer{Message: "waits for oncall", Wait: until(decided)}
		r.journal.ask = onLines(map[string]proxy.Verdict{
			"forbidden": proxy.Deny(proxy.CauseGuardrail, "trip", "not this", ""), "held": proxytest.Hold("oncall"),
			"warned": {Action: proxy.ActionPass, Warn: "mind the gap"},
		})
	})
	in, out, s := r.openTerminal("sh")
	waitFor(t, "the first prompt", func() bool { return out.String() != "" }) // what is typed before it is drawn after it, as one line
	io.WriteString(in, "PS1='> '\n")
	waitFor(t, "the prompt", func() bool { return strings.HasSuffix(out.String(), "> ") })
	io.WriteString(in, "echo one''1\necho two''2\necho forbidden''3\necho four''4\necho warned''5\necho held''6\necho seven''7\nexit 3\n")
	waitFor(t, "the question", func() bool { return strings.Contains(out.String(), "sallyport: waits for oncall") })
	for _, shown := range []string{"one1", "two2", "sallyport: not this (rule trip)", "four4", "sallyport: mind the gap", "warned5"} {
		waitFor(t, shown, func() bool { return strings.Contains(out.String(), shown) })
	}
	require.NotContains(t, out.String(), "held6")
	close(decided)
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 3, exit.ExitStatus())
	require.Contains(t, out.String(), "held6")
	require.Contains(t, out.String(), "seven7")
	require.NotContains(t, out.String(), "forbidden3")
	require.Equal(t, []string{
		"PS1='> ' → done", "echo one''1 → done", "echo two''2 → done", "echo forbidden''3 → refused: not this (rule trip)", "echo four''4 → done",
		"echo warned''5 → done", "echo held''6 → done", "echo seven''7 → done", "exit 3 → done",
	}, r.inputs())
}

// TestPasteCompleted: where a line editor completes, lines that come at once are judged as
// completed, also after a terminal has drawn tabs.
func TestPasteCompleted(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		r.journal.ask = onLines(map[string]proxy.Verdict{"forbidden": proxy.Deny(proxy.CauseGuardrail, "trip", "not this", "")})
	})
	require.NoError(t, os.Mkdir(filepath.Join(r.dir, "forbidden"), 0o700))
	in, out, s := r.openTerminal("sh")
	io.WriteString(in, "cd "+r.dir+"; cat\n\ta\n\tb\n\tc\n\x04")
	waitFor(t, "cat", func() bool { return strings.Count(out.String(), "\tc") == 2 })
	io.WriteString(in, "exec env -i INPUTRC=/dev/null PS1='ready> ' bash --noprofile --norc -i\r")
	waitFor(t, "bash", func() bool { return strings.HasSuffix(out.String(), "ready> ") })
	io.WriteString(in, "bind 'set enable-bracketed-paste off'; echo o''k\r")
	waitFor(t, "bash", func() bool {
		return strings.Contains(out.String(), "ok\r\n") && strings.HasSuffix(out.String(), "ready> ")
	})
	io.WriteString(in, "ech\tone''1\nls -d forb\t\nech\ttwo''2\nexit 4\n")
	var exit *gossh.ExitError
	require.ErrorAs(t, s.Wait(), &exit)
	require.Equal(t, 4, exit.ExitStatus())
	require.Contains(t, r.inputs(), "echo one''1 → done")
	require.Contains(t, r.inputs(), "echo two''2 → done")
	require.Contains(t, r.inputs(), "ls -d forbidden/ → refused: not this (rule trip)", "%q", out)
}

// TestScriptWaits: the lines of a script before one that waits for a decision run
// meanwhile, and those after it do not.
func TestScriptWaits(t *testing.T) {
	decided := make(chan struct{})
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		r.gateway.Reviewer = proxytest.Reviewer{Message: "waits for oncall", Wait: until(decided)}
		r.journal.ask = onLines(map[string]proxy.Verdict{"held": proxytest.Hold("oncall")})
	})
	s, err := r.mustClient().NewSession()
	require.NoError(t, err)
	out := &lockedBuffer{}
	s.Stdin, s.Stdout = strings.NewReader("echo one\necho two\necho held\necho four\n"), out
	require.NoError(t, s.Start("bash"))
	waitFor(t, "the lines before", func() bool { return out.String() == "one\ntwo\n" })
	close(decided)
	require.NoError(t, s.Wait())
	require.Equal(t, "one\ntwo\nheld\nfour\n", out.String())
}

// TestScriptRoundTrips: the lines of a script are passed on together.
func TestScriptRoundTrips(t *testing.T) {
	var reads atomic.Int64
	got := &lockedBuffer{}
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		r.inFrontOf(func(_ *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
				if req.Type == "exec" {
					b := make([]byte, 64<<10)
					for {
						n, err := ch.Read(b)
						if err != nil {
							break
						}
						reads.Add(1)
						got.Write(b[:n])
					}
					exitWith(ch, 0)
				}
			}
		})
	})
	script := strings.Repeat("echo a line of a script\n", 5000) + "exit"
	require.Equal(t, result{}, r.run(strings.NewReader(script), "ssh", "-F", r.config(), "gw", "bash -s"))
	require.Equal(t, script, got.String())
	require.Less(t, reads.Load(), int64(500))
	require.Len(t, r.inputs(), 5001)
}
