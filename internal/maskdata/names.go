package maskdata

import "strings"

// vocabulary is what names are made of.
type vocabulary struct {
	given, family []string
}

var testing = vocabulary{
	given:  strings.Fields("Ann Bob Priya Kenji Olga Mateus Fatima Björn Chloé Siobhan Kwame Mei Thandiwe Luca Zoltan"),
	family: strings.Fields("Lee Smith Patel Tanaka Ivanova Souza Hassan Lindqvist Dubois Murphy Mensah Chen Ndlovu Rossi Nagy"),
}

func training() *vocabulary { return &testing }

// plain is s without what is no ASCII letter.
func plain(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < 0x80 {
			b.WriteRune(c)
		}
	}
	return b.String()
}
