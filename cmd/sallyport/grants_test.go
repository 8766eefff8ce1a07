package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// With the real psql: what was approved, and that it ran and nothing else, is proven elsewhere with the public key of the log.
func TestSignedApproval(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holding)
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int)", "-c", "INSERT INTO t VALUES (1), (2)")
	p := o.asks(t, "bob", "DELETE FROM t WHERE id = 1")
	r := o.waiting(t)
	code, _, errs := sallyport(t, "", "requests", "show", "-c", o.config, "--grant", r.ID)
	require.Equal(t, exitNotFound, code)
	require.Contains(t, errs, "it has no signed approval")
	code, _, errs = sallyport(t, password+"\n", "approve", "-c", o.config, "-u", "alice", r.ID)
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, p.Wait(), p.shown())

	grant, key := filepath.Join(o.dir, "grant"), filepath.Join(o.dir, "data", "audit", "log", "key.pub")
	signed := must(t, "requests", "show", "-c", o.config, "--grant", r.ID)
	require.NoError(t, os.WriteFile(grant, []byte(signed), 0o600))
	out := must(t, "verify", "--key", key, grant)
	for _, want := range []string{"has signed the approval of request " + r.ID, "for         bob\n", "what        statement\n", "approved by alice at ", "uses        1\n", "rows        1\n", r.Hash} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out+signed, "DELETE", "what it is takes the record")
	for _, change := range [][2]string{{`"requester":"bob"`, `"requester":"eve"`}, {`"uses":1`, `"uses":9`}, {`"by":"alice"`, `"by":"alicf"`}, {`"not_after":"2`, `"not_after":"3`}, {"— ", "— x"}} {
		require.Contains(t, signed, change[0])
		require.NoError(t, os.WriteFile(grant, []byte(strings.Replace(signed, change[0], change[1], 1)), 0o600))
		code, _, errs := sallyport(t, "", "verify", "--key", key, grant)
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "NOT AS SIGNED", change[0])
	}

	o.stop(t)
	out = must(t, "verify", "--key", key, filepath.Join(o.dir, "data", "audit"))
	require.Contains(t, out, "proven: what ran by 1 signed approval is what was approved")
	for _, s := range decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items {
		if !strings.Contains(must(t, "sessions", "show", "-c", o.config, "-o", "json", s.ID), `"approved":[`) {
			continue
		}
		bundle := filepath.Join(o.dir, "bundle")
		require.NoError(t, os.WriteFile(bundle, []byte(must(t, "sessions", "export", "-c", o.config, s.ID)), 0o600))
		out = must(t, "verify", "--key", key, bundle)
		require.Contains(t, out, "proven: what ran by 1 signed approval is what was approved")
		require.Contains(t, out, "not proven: that nothing ran by the same approval in another session")
		return
	}
	t.Fatal("no record has the approval")
}
