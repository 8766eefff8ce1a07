package main

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// Sessions are held and erased while the gateway runs, by those who may, and when none
// runs; the key is not kept with the records, and is changed.
func TestServeErase(t *testing.T) {
	t.Setenv("AUDIT_KEY", base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
	t.Setenv("NEXT_KEY", base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210")))
	o := openOffice(t, `
audit: {key: env:AUDIT_KEY, retention: [{resources: [shop], days: 1}]}
control: [{users: ["`+control.Self()+`"], allow: [list, hold, erase]}]
`)
	o.psql(t, "alice", "-c", "SELECT 1")
	o.psql(t, "alice", "-c", "SELECT 2")
	o.psql(t, "alice", "-c", "SELECT 3")
	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json", "-u", "alice")).Items
	require.Len(t, list, 3)
	id := list[0].ID
	must(t, "sessions", "hold", "-c", o.config, "--reason", "case 17", id)
	code, _, errs := sallyport(t, "", "sessions", "erase", "-c", o.config, "--reason", "x", id)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "is held")
	code, _, _ = sallyport(t, "", "sessions", "erase", "-c", o.config, id)
	require.Equal(t, exitUsage, code, "a reason is needed")
	code, _, _ = sallyport(t, "", "sessions", "erase", "-c", o.config, "--reason", "x", "0000000000000000000000000z")
	require.Equal(t, exitNotFound, code)
	must(t, "sessions", "erase", "-c", o.config, "--reason", "article 17", list[1].ID)
	o.stop(t)

	_, err := os.Stat(o.dir + "/data/audit/master.key")
	require.ErrorIs(t, err, os.ErrNotExist)
	must(t, "sessions", "release", "-c", o.config, "--reason", "closed", id)
	must(t, "sessions", "erase", "-c", o.config, "--reason", "article 17", id)
	b, err := os.ReadFile(o.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.config, []byte(replaceOnce(t, string(b), "key: env:AUDIT_KEY", "key: env:NEXT_KEY, old_keys: [env:AUDIT_KEY]")), 0o600))
	require.Contains(t, must(t, "sessions", "rekey", "-c", o.config), "sealed with the current key")
	require.NoError(t, os.WriteFile(o.config, []byte(replaceOnce(t, string(b), "key: env:AUDIT_KEY", "key: env:NEXT_KEY")), 0o600))
	list = decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items
	erased := 0
	for _, s := range list {
		if s.End == "erased" {
			erased++
		}
	}
	require.Equal(t, 2, erased)
	require.NotContains(t, must(t, "verify", o.dir+"/data/audit"), "NOT AS SEALED")
}
