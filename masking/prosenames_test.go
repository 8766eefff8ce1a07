package masking

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The names of fields are nobody's.
func TestNamesInKeys(t *testing.T) {
	scanner, err := NewScanner(ScannerConfig{})
	require.NoError(t, err)
	for text, want := range map[string]string{
		`{"Async Capable": false, "Actual Startup Time": 0.014, "Temp Read Blocks": 0}`:                   "",
		"[\n  {\n    \"Plan\": {\n      \"Async Capable\": false,\n      \"Actual Startup Time\": 0.00\n": "",
		`{"signed by": "Anna Schneider of the board", "note": 1}`:                                         "Anna Schneider",
		`"Anna Schneider": she said that this was hers`:                                                   "",
		`He wrote "Anna Schneider" and then left the room`:                                                "Anna Schneider",
		`Anna Schneider: where is my parcel, please?`:                                                     "Anna Schneider",
	} {
		found := ""
		for _, f := range scanner.Scan(nil, []byte(text)) {
			if f.Type == Person {
				found += text[f.Start:f.End]
			}
		}
		require.Equal(t, want, found, text)
	}
}
