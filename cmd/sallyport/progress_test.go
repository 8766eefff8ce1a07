package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	at := time.Unix(1000, 0)
	p := &progress{w: &b, what: "verifying", now: func() time.Time { return at }, begun: at}
	step := func(after time.Duration, done, all int) string {
		b.Reset()
		at = at.Add(after)
		p.tell(done, all)
		return b.String()
	}
	require.Empty(t, step(0, 0, 1000))
	require.Empty(t, step(400*time.Millisecond, 100, 1000), "quick work shows nothing")
	require.Equal(t, "\rverifying: 200 of 1000, 200 a second, 4s left", step(600*time.Millisecond, 200, 1000))
	require.Empty(t, step(50*time.Millisecond, 210, 1000), "not more often than eyes see")
	require.Equal(t, "\rverifying: 1000 of 1000, 500 a second, 0s left", strings.TrimRight(step(950*time.Millisecond, 1000, 1000), " "))
	next := step(time.Second, 0, 5)
	require.Equal(t, "\rverifying: 0 of 5", strings.TrimRight(next, " "), "the next part has a rate of its own")
	require.Equal(t, utf8.RuneCountInString("\rverifying: 1000 of 1000, 500 a second, 0s left"), utf8.RuneCountInString(next), "nothing of the line before is left")
	require.Contains(t, step(time.Second, 1, 5), "1 a second, 4s left")
	b.Reset()
	p.write("")
	require.Equal(t, "", strings.Trim(b.String(), " \r"))
	b.Reset()
	p.write("")
	require.Empty(t, b.String(), "there is no line to take away")
}

// Progress is for those who look on: who reads from a file or a pipe gets none.
func TestProgressOnTerminals(t *testing.T) {
	t.Setenv("TERM", "xterm")
	tell, end := (&cli{err: &bytes.Buffer{}}).progress("verifying")
	require.Nil(t, tell)
	end()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	tell, _ = (&cli{err: w}).progress("verifying")
	require.Nil(t, tell)
	master, terminal, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	defer terminal.Close()
	tell, _ = (&cli{err: terminal}).progress("verifying")
	require.NotNil(t, tell)
	t.Setenv("TERM", "dumb")
	tell, _ = (&cli{err: terminal}).progress("verifying")
	require.Nil(t, tell)
}
