package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
)

// TestExec: one statement or command runs by the login, and what it returns is for programs.
func TestExec(t *testing.T) {
	b := openTestbed(t, `CREATE TABLE notes (id int, text text); INSERT INTO notes VALUES (1, 'a "b", c'), (2, NULL), (3, '')`)
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	b.serve(t, fmt.Sprintf(`identity: {users: [{name: dora, groups: [dev], password: %q}]}
access: [{groups: [dev], allow: [connect, read, exec]}]
`, verifier))
	t.Setenv("SALLYPORT_TEST_MAIN", "1") // for ssh's ProxyCommand
	code, _, errs := sallyport(t, "secret\n", "login", b.url, "--user", "dora", "--ca", b.authority())
	require.Equal(t, exitOK, code, errs)

	const all = "SELECT id, text FROM notes ORDER BY id"
	require.Equal(t, "id,text\n1,\"a \"\"b\"\", c\"\n2,\n3,\n", must(t, "exec", "shop", "-c", all, "-o", "csv"))
	require.JSONEq(t, `{"apiVersion": "sallyport/v1", "kind": "RowList", "items": [{"id": "1", "text": "a \"b\", c"}, {"id": "2", "text": null}, {"id": "3", "text": ""}]}`,
		must(t, "exec", "shop", "-c", all, "-o", "json"))
	require.Equal(t, "{\"id\":\"1\",\"text\":\"a \\\"b\\\", c\"}\n{\"id\":\"2\",\"text\":null}\n{\"id\":\"3\",\"text\":\"\"}\n", must(t, "exec", "shop", "-c", all, "-o", "json", "--stream"))
	require.Contains(t, must(t, "exec", "shop", "-c", "SELECT 1 AS one"), "one")
	require.JSONEq(t, `{"apiVersion": "sallyport/v1", "kind": "RowList", "items": []}`, must(t, "exec", "shop", "-c", "SELECT 1 WHERE false", "-o", "json"))
	code, out, errs := sallyport(t, all+";\n", "exec", "shop", "-f", "-", "-o", "csv")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, 4, strings.Count(out, "\n"))

	// What is refused has the client's code, the reason, and prints nothing.
	for _, format := range []string{"table", "csv", "json"} {
		code, out, errs = sallyport(t, "", "exec", "shop", "-c", "DELETE FROM notes WHERE id = 1", "-o", format)
		require.NotEqual(t, exitOK, code)
		require.Empty(t, out)
		require.Contains(t, errs, "you may not delete")
	}
	code, out, errs = sallyport(t, "SELECT 1;\nSELECT 1, 2;\n", "exec", "shop", "-f", "-", "-o", "json")
	require.NotEqual(t, exitOK, code, out)
	require.Contains(t, errs, "more than one statement returned rows")
	require.Equal(t, "hello\n", must(t, "exec", "vm1", "-c", "echo hello"))
	code, _, _ = sallyport(t, "", "exec", "vm1", "-c", "exit 7")
	require.Equal(t, 7, code)
	code, _, errs = sallyport(t, "", "exec", "vm1", "-c", "-oProxyCommand=touch pwned")
	require.NotEqual(t, exitOK, code, errs)
	require.NoFileExists(t, "pwned")
	for _, args := range [][]string{
		{"exec", "vm1", "-c", "true", "-o", "json"},
		{"exec", "vm1", "-f", "x"},
		{"exec", "shop"},
		{"exec"},
		{"exec", "shop", "-c", "x", "-f", "y"},
		{"exec", "shop", "-c", "SELECT 1", "--stream"},
	} {
		code, _, errs = sallyport(t, "", args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, errs)
	}
	code, _, errs = sallyport(t, "", "exec", "nothing", "-c", "x")
	require.Equal(t, exitNotFound, code, errs)
}
