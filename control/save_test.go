package control

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSavedName: the name of a file is one on every system, whatever the resource is called.
func TestSavedName(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for in, want := range map[string]string{
		"shop":                      "rows-shop-20260504-030201.csv",
		"../../etc/passwd":          "rows-------etc-passwd-20260504-030201.csv",
		"a\\b:c\"d\r\nx: y":         "rows-a-b-c-d--x--y-20260504-030201.csv",
		"shop.exe\u202efdp":         "rows-shop-exe-fdp-20260504-030201.csv",
		"büro":                      "rows-b-ro-20260504-030201.csv",
		"CON":                       "rows-CON-20260504-030201.csv",
		string(make([]byte, 10000)): "rows-" + strings.Repeat("-", 65) + "20260504-030201.csv",
	} {
		require.Equal(t, want, savedName(in, "csv", 1, at), "%q", in)
	}
	require.Equal(t, "rows-shop-20260504-030201-2.json", savedName("shop", "json", 2, at))
}
