package corpus

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	list, err := Read(strings.NewReader("# one\n\nSELECT 1\nfor i in 1; do\n\techo\n\tdone\n# two\nA⏎B\n#!x\n"))
	require.NoError(t, err)
	require.Equal(t, []Case{
		{Line: 3, Part: "one", Text: "SELECT 1"},
		{Line: 4, Part: "one", Text: "for i in 1; do\necho\ndone"},
		{Line: 8, Part: "two", Text: "A\nB"},
		{Line: 9, Part: "two", Text: "#!x"},
	}, list)
	_, err = Read(strings.NewReader("\tx\n"))
	require.ErrorContains(t, err, "line 1")
	_, err = Read(strings.NewReader(strings.Repeat("x", maxLine+1)))
	require.Error(t, err)
}

func TestReadAttacks(t *testing.T) {
	list, err := ReadAttacks(strings.NewReader("# heading\n[no-wiping] the root\n! rm -rf /\n= ls\n\tx\n[other] y\n! [ -f x ]\n"))
	require.NoError(t, err)
	require.Equal(t, []Case{
		{Line: 3, Part: "the root", Text: "rm -rf /", Refused: true, Rule: "no-wiping"},
		{Line: 4, Part: "the root", Text: "ls\nx", Rule: "no-wiping"},
		{Line: 7, Part: "y", Text: "[ -f x ]", Refused: true, Rule: "other"},
	}, list)
	for _, text := range []string{"! x\n", "[r] c\nx y\n"} {
		_, err := ReadAttacks(strings.NewReader(text))
		require.Error(t, err, text)
	}
}
