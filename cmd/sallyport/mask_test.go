package main

import (
	"os"
	"path/filepath"
	"strings"
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

	code, out, _ = sallyport(t, `{"name": "payment_ref", "db_type": "bigint", "values": [4111111111111111, 5555555555554444, 378282246310005]}
{"name": "ext_id", "db_type": "bigint", "values": [4111111111111112, 4111111111111111, 4111111111111113, 4111111111111114, 4111111111111115]}
`, "mask", "--columns", "--explain")
	require.Equal(t, exitOK, code)
	require.Equal(t, `{"i":0,"name":"payment_ref","type":"CREDIT_CARD","whole":true,"seen":3,"reasons":[{"says":"3 of 3 that look like CREDIT_CARD pass its check, which 1 in 10 would by chance","weight":5.5},{"says":"it holds numbers","weight":-1},{"says":"its name is that of a thing","weight":-0.25}]}
{"i":1,"name":"ext_id","type":"","whole":false,"seen":5,"reasons":[{"says":"1 of 5 that look like CREDIT_CARD pass its check, which 1 in 10 would by chance","weight":-0.7},{"says":"it holds numbers","weight":-1},{"says":"its name is that of an id","weight":-0.25}]}
`, out)

	code, out, _ = sallyport(t, "name,pan,note\nAnn Lee,4111111111111111,\"call, ann@example.com\"\nBob Ray,x,\n", "mask", "--format", "csv")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `^name,pan,note\n[^,]+,\*{12}1111,"call, \S{15}"\n`, out)
	require.NotContains(t, out, "ann@")

	code, out, _ = sallyport(t, `{"b": [1, null, true, "x\u0061nn@example.com"], "ssn": 123456789, "user": {"password": "abc"}, "a\tb": 1.50}`, "mask", "--format", "json")
	require.Equal(t, exitOK, code)
	require.Equal(t, `{"b":[1,null,true,"x***@*******.com"],"ssn":null,"user":{"password":"********"},"a\tb":1.50}`+"\n", out)

	jsonl := filepath.Join(t.TempDir(), "a.jsonl")
	require.NoError(t, os.WriteFile(jsonl, []byte("{\"ssn\":\"123-45-6789\"}\n\n{\"a\":1}\n"), 0o600))
	require.Equal(t, "{\"ssn\":\"***-**-****\"}\n{\"a\":1}\n", must(t, "mask", jsonl))

	for _, bad := range []struct {
		in, says string
		args     []string
	}{
		{"{\"a\": 1}\n{", "line 2", []string{"mask", "--format", "jsonl"}},
		{"{\"a\": 1}\n{}", "more than one value", []string{"mask", "--format", "json"}},
		{"a,b\n1\n", "record on line 2", []string{"mask", "--format", "csv"}},
		{"{\"id\": 1, \"text\": \"x\"}\n\n{\"id\": 2}\n", "line 3", []string{"mask", "--explain", "--jsonl"}},
		{"", "unknown format", []string{"mask", "--format", "xml"}},
	} {
		code, _, errs := sallyport(t, bad.in, bad.args...)
		require.NotEqual(t, exitOK, code)
		require.Contains(t, errs, bad.says)
	}

	code, _, errs := sallyport(t, "nonsense", "mask", "--columns")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "line 1")
	code, _, _ = sallyport(t, "", "mask", "--jsonl")
	require.Equal(t, exitUsage, code)
	code, _, _ = sallyport(t, "", "mask", "/nonexistent")
	require.Equal(t, exitNotFound, code)
}

// Keys that are not known are said to be ignored, once each; the columns are judged.
func TestMaskColumnsUnknownKeys(t *testing.T) {
	line := `{"name": "email", "dbtype": "text", "values": ["a@example.org", "b@example.org", "c@example.org"]}` + "\n"
	code, out, errs := sallyport(t, line+line, "mask", "--columns")
	require.Equal(t, exitOK, code)
	require.Equal(t, 2, strings.Count(out, "\n"))
	require.Equal(t, "sallyport: column 1: the unknown key \"dbtype\" is ignored: want name, db_type and values\n", errs)
	_, _, errs = sallyport(t, strings.ReplaceAll(line, "dbtype", "db_type"), "mask", "--columns")
	require.Empty(t, errs)
}
