package prose

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEuropeanStreets: addresses stand between «».
func TestEuropeanStreets(t *testing.T) {
	for _, text := range []string{
		"Bitte senden Sie das Paket an «Hauptstraße 12, 10115 Berlin».",
		"Adresse: «Mozartstr. 9, 80336 München».",
		"Wir wohnen in der «Lindenallee 7a» seit Mai.",
		"Herr Weber, «BAHNHOFSTRASSE 21», hat bestellt.",
		"Ihr Termin ist am «Goetheplatz 3-5, 60311 Frankfurt am Main».",
		"Der Weg dorthin: «Birkenweg 4, 4052 Basel», erster Stock.",
		"Il habite «12 rue de la Paix, 75002 Paris» depuis mai.",
		"Livré au «8 bis, avenue de l'Opéra, 75001 Paris».",
		"L'ufficio si trova in «Via Roma 4, 00184 Roma».",
		"Pacco per Anna Bianchi, «Via Garibaldi 22» e basta.",
		"Vivo en «Calle Mayor 3, 28013 Madrid».",
		"La oficina: «Av. de la Constitución 23» en el centro.",
		"Morada: «Rua Augusta 100, 1100-053 Lisboa».",
		"Het kantoor is op «Kerkstraat 15, 1017 GC Amsterdam».",
		"Paketet ligger hos «Storgatan 5, 111 23 Stockholm».",
		"Adres: «ul. Marszałkowska 10/12, 00-590 Warszawa».",

		"Monitoring 12 hosts and Trading 5 stocks",
		"Via Email 3 times, we asked. Route 66 is long.",
		"In Section 3 place the parts as Figure 2 shows.",
		"Ring 12, 2024 Results of the Group",
		"The Avenue 5 has 3 Avenue hotels and 12 place settings",
		"It was the Straße that we took, 5 of us",
	} {
		t.Run(text, func(t *testing.T) {
			var plain []byte
			var want []string
			from := 0
			for i := 0; i < len(text); i++ {
				switch {
				case i+1 < len(text) && text[i:i+2] == "«":
					from = len(plain)
					i++
				case i+1 < len(text) && text[i:i+2] == "»":
					want = append(want, string(plain[from:]))
					i++
				default:
					plain = append(plain, text[i])
				}
			}
			var got []string
			for _, n := range Default().Find(nil, &Tagger{}, plain, nil) {
				if n.Kind == Street {
					got = append(got, string(plain[n.Start:n.End]))
				}
			}
			require.Equal(t, want, got)
		})
	}
}
