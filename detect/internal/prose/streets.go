package prose

import (
	"bytes"
	"strings"
)

// Street addresses as continental Europe writes them: the number behind a word that
// ends in -straße, behind a name that begins with Via or Calle, or before rue.

// endings are what words for streets end in, whether the word alone tells: for one
// that does not, a postcode must follow.
var endings = []struct {
	text  string
	alone bool
}{
	{"straße", true},
	{"strasse", true},
	{"str", false},
	{"gasse", true},
	{"allee", true},
	{"weg", false},
	{"platz", true},
	{"ring", false},
	{"damm", true},
	{"ufer", true},
	{"chaussee", true},
	{"steig", false},
	{"straat", true},
	{"laan", true},
	{"plein", true},
	{"gracht", true},
	{"kade", false},
	{"gatan", true},
	{"vägen", true},
	{"gata", true},
	{"vej", true},
	{"gade", false},
	{"veien", true},
	{"gate", false},
	{"katu", true},
	{"utca", true},
}

// before are words that begin the name of a street, with its number at the end.
var before = wordSet("via viale piazza corso vicolo calle avenida avda av paseo rua travessa praca ul ulica aleja plac ulice strada")

// french are words that follow the number. Those that English has, too, want a
// particle behind them.
var (
	french     = wordSet("rue boulevard bd allee chemin quai impasse faubourg avenue place route square cours")
	anglicised = wordSet("boulevard avenue place route square cours")
	repeated   = wordSet("bis ter")
	small      = wordSet("de du des la le les di del della dei delle degli dello da do dos das los las y e von der den dem zum zur am van het ten")
)

var via = hashOf("via")

// wordSet are the hashes of words, which are in small letters without accents.
func wordSet(list string) map[uint32]bool {
	m := map[uint32]bool{}
	for _, w := range strings.Fields(list) {
		m[hashOf(w)] = true
	}
	return m
}

func (t *Tagger) is(i int, sign byte) bool {
	return i < len(t.tokens) && t.tokens[i].hash == uint32(sign)+2 && t.tokens[i].flags&(flagWord|flagNumber) == 0
}

// houseNumber returns the token behind the number of a house at i, as 12, 7a, 10/12
// and 3-5, or i.
func (t *Tagger) houseNumber(i int) int {
	plain := func(i int) bool {
		return i < len(t.tokens) && t.tokens[i].flags&(flagNumber|flagTaken) == flagNumber && t.tokens[i].length <= 4 && t.digits(i) <= 3
	}
	if !plain(i) {
		return i
	}
	if (t.is(i+1, '/') || t.is(i+1, '-')) && plain(i+2) && t.tokens[i+2].start == t.tokens[i].end+1 {
		return i + 3
	}
	return i + 1
}

func (t *Tagger) digits(i int) (n int) {
	for _, c := range t.text[t.tokens[i].start:t.tokens[i].end] {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// town returns the token behind a postcode and a town at i, or i.
func (t *Tagger) town(i int) int {
	k := i
	if t.is(k, ',') {
		k++
	}
	if k >= len(t.tokens) || t.tokens[k].flags&(flagNumber|flagTaken) != flagNumber {
		return i
	}
	switch n := t.tokens[k].length; {
	case n == 4, n == 5:
		k++
	case n == 3 && k+1 < len(t.tokens) && t.tokens[k+1].flags&flagNumber != 0 && t.tokens[k+1].length == 2: // 111 23
		k += 2
	case n == 2 && t.is(k+1, '-') && k+2 < len(t.tokens) && t.tokens[k+2].length == 3: // 00-590
		k += 3
	default:
		return i
	}
	if t.is(k, '-') && k+1 < len(t.tokens) && t.tokens[k+1].length == 3 { // 1100-053
		k += 2
	}
	if k < len(t.tokens) && t.tokens[k].flags&flagAll != 0 && t.tokens[k].length == 2 { // 1017 GC
		k++
	}
	from := k
	for k < len(t.tokens) && k < from+3 && t.tokens[k].flags&flagWord != 0 && (t.tokens[k].flags&flagCapital != 0 || k > from && small[t.tokens[k].hash]) {
		k++
	}
	if k == from {
		return i
	}
	return k
}

// european returns the token behind a street address of these forms that begins at
// i, or i.
func (t *Tagger) european(i int) int {
	k := &t.tokens[i]
	if k.flags&flagTaken != 0 {
		return i
	}
	if k.flags&flagNumber != 0 {
		return t.numberFirst(i)
	}
	if k.flags&flagWord == 0 {
		return i
	}
	next := i + 1
	if t.is(next, '.') {
		next++
	}
	if k.flags&flagCapital != 0 {
		if end := t.houseNumber(next); end > next {
			if t.compound(i, next > i+1, end) {
				return max(end, t.town(end))
			}
			return i
		}
	}
	if k.length < 2 || k.length > 8 || !before[k.hash] || k.flags&flagCapital == 0 && next == i+1 {
		return i
	}
	end, capitals := t.streetName(next)
	if capitals == 0 {
		return i
	}
	common := k.hash == via // is a word of English, too
	for _, w := range t.tokens[next:end] {
		common = common && w.flags&flagCommon != 0
	}
	if t.is(end, ',') {
		end++
	}
	number := t.houseNumber(end)
	if number == end {
		return i
	}
	if c := t.town(number); c > number {
		return c
	}
	if common || number < len(t.tokens) && t.tokens[number].flags&(flagWord|flagNumber) != 0 && t.tokens[number].flags&flagCapital != 0 {
		return i // of what follows
	}
	return number
}

// compound reports whether the word i, behind which a number ends at end, names a
// street.
func (t *Tagger) compound(i int, dot bool, end int) bool {
	w := t.text[t.tokens[i].start:t.tokens[i].end]
	for _, e := range endings {
		n := len(w) - len(e.text)
		if n < 0 || !bytes.EqualFold(w[n:], []byte(e.text)) {
			continue
		}
		if n == 0 && (i == 0 || t.tokens[i-1].flags&flagCapital == 0) || n == 1 || n == 2 {
			return false
		}
		return e.alone || dot && e.text == "str" || t.town(end) > end
	}
	return false
}

// streetName returns the token behind the words of a street's name at i, and how
// many of them have capitals.
func (t *Tagger) streetName(i int) (end, capitals int) {
	end = i
	for k := i; k < len(t.tokens) && k < i+7; k++ {
		w := &t.tokens[k]
		if w.flags&flagWord == 0 || w.flags&flagTaken != 0 {
			break
		}
		switch text := t.text[w.start:w.end]; {
		case w.flags&flagCapital != 0, len(text) > 3 && (text[0] == 'l' || text[0] == 'd') && text[1] == '\'' && !bytes.ContainsAny(text[2:3], "abcdefghijklmnopqrstuvwxyz"):
			capitals++
			end = k + 1
		case small[w.hash]:
		default:
			return end, capitals
		}
	}
	return end, capitals
}

// numberFirst returns the token behind an address such as 12 bis, rue de la Paix,
// of which i is the number, or i.
func (t *Tagger) numberFirst(i int) int {
	k := t.houseNumber(i)
	if k == i {
		return i
	}
	if k < len(t.tokens) && t.tokens[k].flags&flagWord != 0 && t.tokens[k].length == 3 {
		if repeated[t.tokens[k].hash] {
			k++
		}
	}
	if t.is(k, ',') {
		k++
	}
	if k+1 >= len(t.tokens) || t.tokens[k].flags&flagWord == 0 || t.tokens[k].length > 9 {
		return i
	}
	w := t.tokens[k].hash
	if !french[w] || anglicised[w] && !small[t.tokens[k+1].hash] {
		return i
	}
	end, capitals := t.streetName(k + 1)
	if capitals == 0 {
		return i
	}
	return max(end, t.town(end))
}
