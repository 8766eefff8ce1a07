package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSSHOutputThatBeginsOtherwise: nothing that comes before text keeps it from
// being masked.
func TestSSHOutputThatBeginsOtherwise(t *testing.T) {
	m := openMachine(t, "[connect, exec, file-read]", "", "")
	people := strings.Repeat("7,Ann,ann@example.com,4111111111111111,123-45-6789\n", 500)
	require.NoError(t, os.WriteFile(m.file("people"), []byte(people), 0o600))
	for _, tt := range []struct{ name, command string }{
		{"a NUL", `printf '\0'; cat @`},
		{"control characters", `printf '\001\002\003'; cat @`},
		{"gzip's magic", `printf '\037\213\010\0'; cat @`},
		{"a program's magic", `printf '\177ELF\002\001\001\0\0\0\0\0\0\0\0\0'; cat @`},
		{"a whole gzip", `gzip -c @; cat @`},
		{"random bytes", `head -c 100000 /dev/urandom; cat @`},
		{"blocks by turns", `for i in 1 2 3; do head -c 9000 /dev/urandom; echo; cat @; head -c 100 /dev/zero; done`},
		{"a program, then text on stderr", `printf '\177ELF\002\001' >&2; cat @ >&2`},
		{"a control character a line", `tr '\n' '\001' <@`},
		{"NULs for ends of lines", `tr '\n' '\0' <@`},
		{"UTF-16", `iconv -t UTF-16 @`},
		{"UTF-16, big", `iconv -t UTF-16BE @`},
		{"UTF-32", `iconv -t UTF-32LE @`},
		{"base64", `base64 @`},
		{"a dump", `xxd @ || od -An -tx1 @`},
		{"an archive that no rule was asked about", `tar cf - @ | cat; true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := *m
			m.t = t
			got := m.shell("gw", "$SSH $H '"+strings.ReplaceAll(strings.ReplaceAll(tt.command, "@", "'"+m.file("people")+"'"), "'", `'\''`)+"' 2>&1")
			require.Greater(t, len(got.Out), len(people)/2, got.Err)
			text := strings.ReplaceAll(got.Out, "\x00", "")
			for _, v := range []string{"ann@example", "41111111", "123-45", "45-6789", "YW5uQGV4YW1wbGUu", "6578616d706c65", "6578 616d 706c 65", "65 78 61 6d 70 6c 65"} {
				require.NotContains(t, text, v)
			}
		})
	}
}
