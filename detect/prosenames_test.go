package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The names of fields are nobody's.
func TestNamesInKeys(t *testing.T) {
	detector, err := New(Config{})
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
		for _, f := range detector.Find(nil, []byte(text)) {
			if f.Type == Person {
				found += text[f.Start:f.End]
			}
		}
		require.Equal(t, want, found, text)
	}
}

// Days, months and standards are nobody, in whatever case, in what a server says and
// formats; people who are written like them stay.
func TestNamesOfNobody(t *testing.T) {
	detector, err := New(Config{})
	require.NoError(t, err)
	for text, want := range map[string]string{
		"invalid Unicode escape": "",
		"String constants with Unicode escapes cannot be used when standard_conforming_strings is off.": "",
		"Unicode escapes must be \\XXXX or \\+XXXXXX.":                                                  "",
		"TUESDAY   Tuesday   tuesday   TUE Tue tue DECEMBER  December  december  XII  DEC Dec dec":      "",
		"THURSDAY Thursday thursday FEBRUARY February february II":                                      "",
		"WEDNESDAY Wednesday wednesday OCTOBER October october X":                                       "",
		"two_phase requires a Boolean value":                                                            "",
		`header requires a Boolean value or "match"`:                                                    "",
		"more than one value returned by column XMLTABLE expression":                                    "",
		"Seq Scan on t":                            "",
		"  ->  Parallel Seq Scan on orders":        "",
		"Index Cond: (a = 1)":                      "",
		"  Recheck Cond: (a = 1)":                  "",
		"Hash Cond: (x.a = y.b)":                   "",
		"TID Cond: (ctid = '(0,1)'::tid)":          "",
		"  Presorted Key: a":                       "",
		"Filter: (name = 'Jan Kowalski'::text)":    "Jan Kowalski",
		"please call Anna Schneider on Tuesday":    "Anna Schneider",
		"please tell Jan Kowalski that it is late": "Jan Kowalski",
		"please tell June Carter that it is late":  "June Carter",
	} {
		found := ""
		for _, f := range detector.Find(nil, []byte(text)) {
			if f.Type == Person {
				found += text[f.Start:f.End]
			}
		}
		require.Equal(t, want, found, text)
	}
}

// A symbol of two letters after a word that names nobody is nobody, unless a label, a title, a
// greeting or a sentence says otherwise, or one of the two is a known name.
func TestSymbolsAreNobody(t *testing.T) {
	for text, want := range map[string]string{
		"Hafnium Nh, joule":                      "",
		"Radium Sc, volt":                        "",
		"Zinc Nb, lumen":                         "",
		"Aisle Qx, shelf 4":                      "",
		"Terminal Gz, gate four":                 "",
		"Route Bz, express":                      "",
		"unit\nHafnium Nh, joule":                "",
		"Owner: Hafnium Nh, joule":               "Hafnium Nh",
		"Hafnium Nh was late and she has called": "Hafnium Nh",
		"Mr Vy, manager":                         "Vy",
		"Dr Bo, cardiology":                      "Bo",
		"Yara Ng, manager":                       "Yara Ng",
		"Tran Vy, manager":                       "Tran Vy",
		"Anna Li, manager":                       "Anna Li",
		"Wei Xu, analyst":                        "Wei Xu",
		"Oyelaran Ty, manager":                   "Oyelaran Ty",
		"Contact: Oyelaran Ty":                   "Oyelaran Ty",
		"NGUYEN VY, manager":                     "NGUYEN VY",
		"Hafnium N., joule":                      "Hafnium N.",
	} {
		found := ""
		for _, f := range Default().Find(nil, []byte(text)) {
			if f.Type == Person {
				found += text[f.Start:f.End]
			}
		}
		require.Equal(t, want, found, text)
	}
}
