package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesInCellsAndLogs: what is between ⟦ and ⟧ is found as a person, and nothing
// else of the text.
func TestNamesInCellsAndLogs(t *testing.T) {
	for _, c := range []string{
		"5120077\t⟦DORIS HAMPTON⟧\tactive\n5120078\t⟦RALPH NOVAK⟧\tclosed",
		"5120077\t⟦Doris Hampton⟧\t2024-05-06",
		"5120077|⟦Doris Hampton⟧|active\n5120078|⟦Chizoba Taiwo⟧|closed\n5120079|⟦Oliver Stone⟧|open",
		" 5120077 | ⟦Doris Hampton⟧ | active\n 5120078 | ⟦Ralph Novak⟧ | closed",
		"5120077;⟦Doris Hampton⟧;active",
		"⟦Hampton, Doris⟧\t5120077\t12.50\n⟦Novak, Ralph⟧\t5120078\t13.50",
		"1,\"⟦Hampton, Doris⟧\",Sales\n2,\"⟦Novak, Ralph⟧\",Legal",
		"5120077\t⟦Hampton⟧\t⟦Doris⟧\tx\n5120078\t⟦Novak⟧\t⟦Ralph⟧\tx\n5120079\t⟦Stone⟧\t⟦Oliver⟧\tx",
		"5120077\t⟦田中太郎⟧\tx\n5120078\t⟦山本花子⟧\tx",
		"2024-05-06T10:20:30Z INFO deployed by ⟦Doris Hampton⟧ service=web version=1.2.3",
		"2024-05-06 10:20:30 WARN login failed for user \"⟦Doris Hampton⟧\" from 10.1.2.3",
		"2024-05-06 10:20:30,123 [12] created account for ⟦Chizoba Taiwo⟧ id=5120077",
		"2024-05-06T10:20:30Z INFO Benutzer ⟦Wibke Reinhardt⟧ angemeldet von 10.1.2.3",
		"eb60755 (⟦Doris Hampton⟧ 2023-03-16 11) return nil",
		"Author: ⟦Zxavora Qilm⟧ <a@example.com>",
		"cc ⟦Zxavora Qilm⟧ <a@example.com>, \"⟦Hampton, Doris⟧\" <b@example.com>",
		`{"first":"⟦Doris⟧","last":"⟦Zxavora⟧","n":1}`,
		`{"姓名":"⟦傅越彬⟧","n":1}`,
	} {
		text, want := c, []string(nil)
		for {
			before, rest, ok := strings.Cut(text, "⟦")
			if !ok {
				break
			}
			value, after, _ := strings.Cut(rest, "⟧")
			want = append(want, value)
			text = before + value + after
		}
		var got []string
		for _, f := range Default().Find(nil, []byte(text)) {
			if f.Type == Person {
				got = append(got, text[f.Start:f.End])
			}
		}
		require.Equal(t, want, got, "%q", text)
	}
	for _, text := range []string{
		"5120077\tBlue Lamp\tactive\n5120078\tRed Chair\tclosed", "5120077|Senior Data Analyst|Sales", "web-1\tRUNNING\t3d\nweb-2\tPENDING\t4d", "2024-05-06\tLondon\t12\n2024-05-07\tParis\t13",
		"2024-05-06T10:20:30Z INFO Starting Server on port 8080", "2024-05-06 10:20:30 ERROR Connection Refused by host 10.1.2.3", "eb60755 Merge Branch 'main' 2023-03-16", "a,b,c\n1,Internal Server Error,2\n",
		"Model;Price;Stock\nCordless Drill;12;3\n",
	} {
		for _, f := range Default().Find(nil, []byte(text)) {
			require.NotEqual(t, Person, f.Type, "%q in %q", text[f.Start:f.End], text)
		}
	}
}

// TestBirthDatesInRows: old dates next to names are dates of birth; other dates are not.
func TestBirthDatesInRows(t *testing.T) {
	for text, want := range map[string]string{
		"DORIS HAMPTON\t12/05/1971\tx\nRALPH NOVAK\t03/11/1984\tx":           "12/05/1971 03/11/1984",
		"5120077\tDoris Hampton\t1971-05-12":                                 "1971-05-12",
		"Doris Hampton;12.05.1971;x\nRalph Novak;3 Nov 1984;x":               "12.05.1971 3 Nov 1984",
		"Doris Hampton\tMay 12, 1971\tx\nRalph Novak\tNovember 3, 1984\tx":   "May 12, 1971 November 3, 1984",
		"Doris Hampton\t2024-05-12\tx\nRalph Novak\t2023-11-03\tx":           "",
		"Blue Lamp\t1971-05-12\tx\nRed Chair\t1984-11-03\tx":                 "",
		"Doris Hampton\t1971-05-12 10:20:30\tx\nRalph Novak\t10.1.2.1971\tx": "",
	} {
		var got []string
		for _, f := range Default().Find(nil, []byte(text)) {
			if f.Type == BirthDate {
				got = append(got, text[f.Start:f.End])
			}
		}
		require.Equal(t, want, strings.Join(got, " "), "%q", text)
	}
}

// TestPhonesInRows: columns of what telephone numbers look like, next to names, are such.
func TestPhonesInRows(t *testing.T) {
	for text, want := range map[string]string{
		"Doris Hampton\t612 34 10 19\nRalph Novak\t612 34 88 56":          "612 34 10 19,612 34 88 56",
		"Doris Hampton|8 (301) 123-51-39|x\nRalph Novak|8 (301) 123-66|x": "8 (301) 123-51-39,8 (301) 123-66",
		"Doris Hampton\t5120077\nRalph Novak\t5120078":                    "",
		"Doris Hampton\t1234.50\nRalph Novak\t99999.12":                   "",
		"Blue Lamp\t612 34 10 19\nRed Chair\t612 34 88 56":                "",
	} {
		var got []string
		for _, f := range Default().Find(nil, []byte(text)) {
			if f.Type == Phone {
				got = append(got, text[f.Start:f.End])
			}
		}
		require.Equal(t, want, strings.Join(got, ","), "%q", text)
	}
}

// TestPlacesInFields: what fields of towns and streets hold is found as such.
func TestPlacesInFields(t *testing.T) {
	for text, want := range map[string]string{
		`{"city":"Prosaccochester","n":1}`:              "LOCATION Prosaccochester",
		`{"town": "Wilbury St. Mary", "n": 1}`:          "LOCATION Wilbury St. Mary",
		"Wohnort: Emmelmannstadt\nx":                    "LOCATION Emmelmannstadt",
		`{"address":{"line1":"Treptower Weg 29c"}}`:     "STREET_ADDRESS Treptower Weg 29c",
		`<city>Prosaccochester</city>`:                  "LOCATION Prosaccochester",
		`{"street":"63 Adalbert des Grands Augustins"}`: "STREET_ADDRESS 63 Adalbert des Grands Augustins",
		`{"city":null,"town":12,"street":""}`:           "",
		"city = getCity(x)":                             "",
	} {
		got := ""
		for _, f := range Default().Find(nil, []byte(text)) {
			got += string(f.Type) + " " + text[f.Start:f.End]
		}
		require.Equal(t, want, got, "%q", text)
	}
}
