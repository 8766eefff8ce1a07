package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
)

// A bundle is read where there is neither a log nor a config file, and only as far as it is
// proven.
func TestBundleElsewhere(t *testing.T) {
	a := archive(t, 2)
	id := a.ids[1]
	code, exported, errs := sallyport(t, "", "sessions", "export", "-c", a.config, id)
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, errs, "holds the session's key in clear")
	shown := must(t, "sessions", "show", "-c", a.config, id)
	lines := must(t, "sessions", "show", "-c", a.config, "-o", "json", id)
	played := must(t, "sessions", "play", "-c", a.config, id)
	require.Contains(t, played, "pink elephant")
	key, err := os.ReadFile(filepath.Join(a.log, "log", "key.pub"))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Dir(a.config)))

	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	write("bundle", exported)
	write("key.pub", string(key))
	for _, c := range []struct{ verb, format, want string }{{"show", "text", shown}, {"show", "json", lines}, {"play", "", played}} {
		args := []string{"sessions", c.verb}
		if c.format != "" {
			args = append(args, "-o", c.format)
		}
		code, out, errs := sallyport(t, "", append(args, "bundle")...)
		require.Equal(t, exitOK, code, errs)
		require.Equal(t, c.want, out)
		require.Contains(t, errs, "proven: session "+id)
		require.Contains(t, errs, "not proven: that the public key in the bundle is the log's")
		code, out, errs = sallyport(t, "", append(args, "--key", "key.pub", filepath.Join(dir, "bundle"))...)
		require.Equal(t, exitOK, code, errs)
		require.Equal(t, c.want, out)
		require.Contains(t, errs, "proven: by the public key in key.pub")
		require.NotContains(t, errs, "not proven")
	}

	change := func(f func(b *audit.Bundle)) string {
		b := &audit.Bundle{}
		require.NoError(t, json.Unmarshal([]byte(exported), b))
		f(b)
		text, err := json.Marshal(b)
		require.NoError(t, err)
		return string(text)
	}
	other := archive(t, 1)
	otherKey := filepath.Join(other.log, "log", "key.pub")
	write("altered", change(func(b *audit.Bundle) { b.Record[len(b.Record)/2] ^= 1 }))
	write("cut", change(func(b *audit.Bundle) { b.Record = b.Record[:len(b.Record)-1] }))
	write("foreign", change(func(b *audit.Bundle) { b.Session = other.ids[0] }))
	write("misfit", change(func(b *audit.Bundle) { b.Key[0] ^= 1 }))
	write("locked", change(func(b *audit.Bundle) { b.Key = nil }))
	write("former", change(func(b *audit.Bundle) { b.Public = "" }))
	write("torn", exported[:len(exported)/2])
	write("text", "hello")
	for _, verb := range []string{"show", "play"} {
		for _, c := range []struct {
			args string
			code int
			errs string
		}{
			{"altered", exitError, "NOT AS SEALED"},
			{"cut", exitError, "NOT AS SEALED"},
			{"foreign", exitError, "NOT AS SEALED"},
			{"misfit", exitError, "NOT AS SEALED"},
			{"--key " + otherKey + " bundle", exitError, "NOT AS SEALED"},
			{"locked", exitError, "the bundle has no key"},
			{"torn", exitError, "no bundle"},
			{"text", exitError, "no bundle"},
			{dir, exitError, "directory"},
			{"former", exitUsage, "-key FILE"},
			{"nowhere", exitNotFound, "neither a session's identifier nor a bundle's file"},
			{"../../nowhere", exitNotFound, "neither"},
			{"--key key.pub -c " + other.config + " " + other.ids[0], exitUsage, "--key is for a bundle"},
			{"--key nowhere bundle", exitError, "nowhere"},
		} {
			code, out, errs := sallyport(t, "", append([]string{"sessions", verb}, strings.Fields(c.args)...)...)
			require.Equal(t, c.code, code, "%s %s: %s", verb, c.args, errs)
			require.Contains(t, errs, c.errs, c.args)
			require.Empty(t, out, c.args)
		}
		must(t, "sessions", verb, "--key", "key.pub", "former")
	}
}
