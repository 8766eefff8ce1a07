package maskdata

import "strings"

// Vocabulary is what names are made of.
type Vocabulary struct {
	Given, Family, Places []string

	// To learn from only, besides what the samples for tests have.
	Organizations, Peoples, Nouns, Words, Labels, Sentences []string
	CyrillicGiven, CyrillicFamily                           []string
}

// testing names are rare enough, and of enough peoples, for none of them to be
// needed by training, whose program leaves them out of all that it learns from.
var testing = Vocabulary{
	Given: strings.Fields("Aurelio Bartholomew Calliope Dashiell Eudora Fitzgerald Gwendolen Hortensia Ignatius Jessamine Kasimir Leocadia Mortimer Nerissa Octavian Perpetua Quintus Rosamund Sylvester Thaddeus Ulysses Violetta Winifred Xanthe Yolande Zebedee " +
		"Abhishek Bhaskar Chitra Devendra Gopal Hemant Indira Jyoti Karthik Lalita Murali Padma Raghav Sarojini Tanvi Venkat Abdelaziz Bushra Fadi Ghassan Haifa Lubna Mahdi Nabil Qasim Rasha Suhail Wafa Bingbing Changming Guiying Jiaxin Liwei Shufen Tianyu Xiuying Zhiming " +
		"Chiyoko Fumiko Hisashi Kiyoshi Michiko Noboru Setsuko Tetsuya Wakana Byungho Eunkyung Hyejin Kyungsoo Sangwoo Kieu Thuan Uyen Abiola Chukwuemeka Dikembe Efua Kwabena Mbali Nnamdi Olumide Temitope Yaw Arkady Bogdana Fyodor Gennady Larisa Timofey Vsevolod " +
		"Bozena Czeslaw Ewelina Kazimierz Bohumil Drahomira Vojtech Arpad Gizella Zsuzsanna Asbjorn Gudmund Ingeborg Torbjorn Vilhelm Aarno Kyllikki Adelheid Burkhard Ekkehard Friedhelm Hildegard Lieselotte Apolline Barnabe Clotilde Gwenaelle Melisande Theophile " +
		"Anacleto Casimiro Encarnacion Eulalia Fermin Leticia Macarena Primitivo Remedios Aparecida Benedita Dinis Iracema Jandira Sebastiao Calogero Domitilla Ermenegildo Fiorella Ludovica Annelies Hanneke Wubbo Bulent Gulsen Ilknur Aristotelis Fotini Avigail Eliezer Caoilfhionn Muireann Tadhg Eilidh Angharad Llewellyn José Zoë Björn Łukasz Şebnem Ñusta Émile"),
	Family: strings.Fields("Abernathy Blackwood-Hume Cholmondeley Featherstone Grimshaw Higginbotham Inglethorpe Kettlewell Lanyon Micklethwait Oglethorpe Penhaligon Quarrington Ravenscroft Skeffington Thistlewood Umberville Wetherby Ablewhite Yardwright Zimbler O'Shaughnessy O'Meara McGillicuddy MacAllistair FitzWarren " +
		"Achrekar Bandyopadhyay Chattopadhyay Gavaskar Jambhekar Kshirsagar Lokhande Mukhopadhyay Padmanabhan Ramanujam Sabharwal Thirumurugan Vaidyanathan Abdelrahman Benhaddou El-Baradei Ghannouchi Kanafani Shammout Zubaidi Duanmu Gongsun Situ Zhuge Ximen Futagawa Kurosaki Minamoto Shiratori Tsukamoto Yagyu Namgung Sagong Seonwoo " +
		"Thongchai Agbaje Ezekwesili Gbadamosi Mazrui Nkrumah Ogunleye Uwimana Bezukhov Dolgoruky Golovkin Karamazov Oblonsky Vronskaya Brzezinski Czarnecki Wojciechowska Hrubesova Kratochvil Bartalsky Szentgyorgyi Bjornstad Gyllenhaal Oxenstierna Ylonen Achterberg Dinkelmann Eisenschmidt Guggenbichler Hohenfels Krautwurst Schwarzenbeck " +
		"Beauregard Castellane Desrosiers Fontenoy Larochelle Montclair Villeneuve Albornoz Bahamonde Echeverria Goikoetxea Lizarraga Urdangarin Bragantino Cascais Figueiroa Vasconcelos Cavalcaselle Guicciardini Montefeltro Sforzini Bommelaer Hoogstraten Kortenhorst Vandenbosch Zuiderveld Karabulut Osmanoglu Kyriakides Stavropoulou Ben-Ami Rosenzweig Müller-Lüdenscheidt Dvořáková Sørbye Ångström"),
	Places: strings.Fields("Albuquerque Bremen Coventry Dunedin Eindhoven Fresno Gdansk Halifax Izmir Jaipur Krakow Ljubljana Malaga Nantes Ostrava Perugia Quetta Rostock Sheffield Tacoma Utrecht Verona Wichita Yokohama Zaragoza Burundi Luxembourg Mongolia Rwanda Senegal Belize"),
}

// TestNames are all names of samples for tests.
func TestNames() []string { return append(append([]string{}, testing.Given...), testing.Family...) }

// plain is s without what is no ASCII letter.
func plain(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < 0x80 && (c|0x20) >= 'a' && (c|0x20) <= 'z' {
			b.WriteRune(c)
		}
	}
	if b.Len() < 2 {
		return "sam"
	}
	return b.String()
}

// person is a name as people write it.
func (m *Maker) person() string {
	g, f := pick(m, m.v.Given), pick(m, m.v.Family)
	switch m.r.IntN(20) {
	case 0, 1:
		return g + " " + m.fill("?") + ". " + f
	case 2:
		return g + " " + pick(m, m.v.Given) + " " + f
	case 3:
		return m.fill("?") + ". " + f
	case 4:
		return g + " " + m.one("van", "de", "von", "da", "bin", "van der", "de la", "al", "di") + " " + f
	case 5:
		return g + " " + f + "-" + pick(m, m.v.Family)
	case 6:
		return f + ", " + g
	case 7, 8:
		return g
	case 9:
		return strings.ToUpper(g + " " + f)
	case 10:
		return m.fill("?.?.") + " " + f
	case 11:
		return g + " " + f + m.one(" Jr.", " III", "")
	}
	return g + " " + f
}

func (m *Maker) organization() string {
	if list := m.v.Organizations; len(list) > 0 && m.chance(50) {
		return pick(m, list)
	}
	base := m.one(pick(m, m.v.Family), pick(m, m.v.Family)+" & "+pick(m, m.v.Family), m.one("North", "Blue", "Global", "First", "Summit", "Pacific", "United", "Bright", "Iron", "Silver", "Apex", "Delta", "Nova")+" "+m.one("Star", "Ridge", "Data", "Health", "Foods", "Energy", "Harbor", "Systems", "Logistics", "Media"), pick(m, m.v.Places)+" "+m.one("Steel", "Water", "Rail", "Motors"))
	return base + " " + m.one("Inc", "Inc.", "LLC", "Ltd", "Ltd.", "GmbH", "Corp", "Corporation", "Group", "Holdings", "Partners", "& Sons", "Bank", "University", "Hospital", "AG", "S.A.", "Foundation", "Associates", "Institute")
}

func (m *Maker) street() string {
	name := m.one(pick(m, m.v.Family), m.one("Oak", "Maple", "Main", "High", "Park", "Church", "Mill", "Station", "River", "Cedar", "Victoria", "King", "Elm", "Lake"))
	return m.fill(m.one("!#", "!##", "!###", "!#a")) + " " + m.one("", "", "North ", "W. ") + name + " " + m.one("Street", "St", "St.", "Road", "Rd", "Avenue", "Ave", "Ave.", "Lane", "Drive", "Dr", "Boulevard", "Blvd", "Court", "Way", "Place", "Terrace", "Square") + m.one("", "", "", ", Apt "+m.digits(1)+"B", " Suite "+m.digits(3), " Apt. "+m.digits(3))
}
