package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMask(t *testing.T) {
	code, out, _ := sallyport(t, "mail ann@example.com\nand bob@example.com\n", "mask")
	require.Equal(t, exitOK, code)
	require.NotContains(t, out, "ann@example.com")
	require.Regexp(t, `^mail \S{15}\nand \S{15}\n$`, out)

	file := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(file, []byte("ü ann@example.com"), 0o600))
	require.JSONEq(t, `{"id":"","text":"ü ann@example.com","spans":[{"start":3,"end":18,"type":"EMAIL_ADDRESS"}]}`, must(t, "mask", "--explain", file))

	code, out, _ = sallyport(t, `{"id": 7, "text": "x ann@example.com"}

{"id": "b", "text": "nothing"}
`, "mask", "--explain", "--jsonl")
	require.Equal(t, exitOK, code)
	require.Equal(t, `{"id":7,"text":"x ann@example.com","spans":[{"start":2,"end":17,"type":"EMAIL_ADDRESS"}]}
{"id":"b","text":"nothing","spans":[]}
`, out)

	code, out, _ = sallyport(t, `{"name": "a", "db_type": "text", "values": ["ann@example.com", "bob@example.com", null, "eve@example.com"]}
{"name": "qty", "db_type": "int", "values": [1, 2, 3]}
{"name": "iban", "values": []}
`, "mask", "--columns")
	require.Equal(t, exitOK, code)
	require.Equal(t, "{\"i\":0,\"type\":\"EMAIL_ADDRESS\"}\n{\"i\":2,\"type\":\"IBAN_CODE\"}\n", out)

	code, _, errs := sallyport(t, "nonsense", "mask", "--columns")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "line 1")
	code, _, _ = sallyport(t, "", "mask", "--jsonl")
	require.Equal(t, exitUsage, code)
	code, _, _ = sallyport(t, "", "mask", "/nonexistent")
	require.Equal(t, exitNotFound, code)
}
