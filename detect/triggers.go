package detect

import (
	"math"
	"slices"
	"strings"
)

// triggers says what may begin at two neighbouring bytes. The text is gone over
// by pairs, at whatever place that begins, so a literal is entered under one pair
// at an even place of it and one at an odd.
type triggers struct {
	kinds [1 << 16]uint8 // by pair; 0 is nothing
	lists [1 << 13][]place
}

// place is where in a literal a pair of bytes stands.
type place struct {
	pair    uint16
	literal uint16 // in Detector.literals
	at      int16  // of the pair's first byte; -1 is before the literal
	beside  int8   // where from the pair's first byte another byte of the literal stands,
	other   byte   // and what it is; 0 is nowhere
}

// placeOf returns the place of a pair that stands at text[at].
func (l *literal) placeOf(pair uint16, n, at int) place {
	x := place{pair: pair, literal: uint16(n), at: int16(at)}
	if k := at + 2; k < len(l.text) {
		x.beside, x.other = 2, l.text[k]
	} else if k := at - 1; k >= 0 {
		x.beside, x.other = -1, l.text[k]
	}
	return x
}

// Kinds of pairs: what the first byte begins or, with startsSecond, the other one;
// and whether there are literals in whose midst the two may stand.
const (
	startsNone uint8 = iota
	startsDigit
	startsAt
	startsColon
	startsEquals
	startsPercent
	startsCall
	startsWide // a lead byte of other scripts' digits

	startsSecond  uint8 = 0x40
	startsLiteral uint8 = 0x80
)

func pairOf(a, b byte) uint16 { return uint16(a) | uint16(b)<<8 }

func (t *triggers) list(pair uint16) *[]place {
	return &t.lists[(pair^pair>>7)%uint16(len(t.lists))]
}

// newTriggers enters what single bytes begin.
func newTriggers() *triggers {
	t := &triggers{}
	for a := range 256 {
		for b := range 256 {
			k := startOf(byte(a), true, byte(b))
			if k == startsNone {
				if k = startOf(byte(b), false, byte(a)); k != startsNone {
					k |= startsSecond
				}
			}
			t.kinds[pairOf(byte(a), byte(b))] = k
		}
	}
	return t
}

// startOf returns what c begins beside another byte, which follows it or stands
// before it.
func startOf(c byte, follows bool, other byte) uint8 {
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return startsDigit
	case '@':
		return startsAt
	case ':':
		return startsColon
	case '=', '>':
		if follows || endsKey[other] {
			return startsEquals
		}
	case '%':
		if !follows || other == '4' {
			return startsPercent
		}
	case '(':
		if !follows || other == '"' || other == '\'' {
			return startsCall
		}
	case 0xD9, 0xDB, 0xE0, 0xEF, 0xF0:
		if !follows || other >= 0x80 {
			return startsWide
		}
	}
	return startsNone
}

// endsKey are the bytes that may stand before the sign of an assignment to a
// secret.
var endsKey = func() (t [256]bool) {
	for _, c := range []byte(`"' \]g`) {
		t[c] = true
	}
	for n := range len(secretEnds) * 64 {
		if secretEnds[n/64]&(1<<(n%64)) != 0 {
			for c := n & 31; c < 256; c += 32 {
				t[c] = true
			}
		}
	}
	return t
}()

// add enters the literals. Where one begins with another both have the same pairs,
// so that the longer is looked for first.
func (t *triggers) add(literals []literal) {
	at := make([][2]int, len(literals))
	for n := range slices.Backward(literals) { // the shortest first
		l := &literals[n]
		at[n] = l.places()
		for k := len(literals) - 1; k > n; k-- {
			if strings.HasPrefix(l.text, literals[k].text) {
				at[n] = at[k]
				break
			}
		}
	}
	for n := range literals {
		for _, i := range at[n] {
			literals[n].pairs(i, func(a, b byte) {
				pair := pairOf(a, b)
				t.kinds[pair] |= startsLiteral
				list := t.list(pair)
				*list = append(*list, literals[n].placeOf(pair, n, i))
			})
		}
	}
}

// places returns where the two pairs begin by which l is found, one at an even and
// one at an odd place: those that text has the least of. What is gone over as a
// whole, such as a number, may end in the midst of l; so they begin no later than
// its first such byte, and no earlier than where a word ends that l goes on with.
func (l *literal) places() (at [2]int) {
	first := 0
	if l.least > 0 || isDigit(l.text[0]) {
		for isAlnum(l.text[first]) {
			first++
		}
	}
	last := first
	for last < len(l.text)-1 && startOf(l.text[last], false, 'd') == startsNone && startOf(l.text[last], true, '"') == startsNone {
		last++
	}
	least := [2]float64{math.Inf(1), math.Inf(1)}
	for i := first - 1; i <= last; i++ {
		sum := 0.0
		l.pairs(i, func(a, b byte) { sum += frequency(a, b) })
		if k := i & 1; sum < least[k] {
			least[k], at[k] = sum, i
		}
	}
	return at
}

// pairs tells of the bytes that may stand at text[at] and behind it.
func (l *literal) pairs(at int, each func(a, b byte)) {
	second := make([]byte, 0, 256)
	for b := range 256 {
		if l.may(at+1, byte(b)) {
			second = append(second, byte(b))
		}
	}
	for a := range 256 {
		if !l.may(at, byte(a)) {
			continue
		}
		for _, b := range second {
			each(byte(a), b)
		}
	}
}

// may reports whether c may stand at text[at], which may be the byte before the
// text, or the one behind.
func (l *literal) may(at int, c byte) bool {
	switch {
	case at < 0 && l.least > 0:
		return l.front[c]
	case at < 0 && l.prior != "":
		return strings.IndexByte(l.prior, c) >= 0
	case at < 0:
		return !isAlnum(l.text[0]) || !isAlnum(c) || c == 'n' || c == 't' || c == 'r' // of an escape
	case at < len(l.text):
		return l.text[at] == c
	}
	return l.min == 0 || l.body[c]
}

// usual is what text and rows are made of, in small.
const usual = `The order was shipped to the customer on Friday, and a copy of the invoice will be sent again if there is no answer. Please let us know whether
the returned parts should have been replaced; thank you for your patience, which we appreciate. In this report all sections, tables and pages are listed.
2024-05-06 12:34:56.789 INFO [main] request 18234 took 120ms, status=200 path=/api/v1/orders/92 user_agent="Mozilla/5.0 (X11; Linux x86_64)"
2026-01-17T08:09:10Z WARN  retry 3 of 5 after timeout: connection to app-server-01.internal:8443 was lost, code: -14, pid 4072
{"id": 90561, "status": "pending", "total": 17.95, "currency": "EUR", "items": [{"sku": "AB-1234", "qty": 2}], "active": true, "note": null}
18,blue umbrella,23.50,2023-11-28,"London, UK",yes|f47ac10b-58cc-4372-a567-0e02b2c3d479|d41d8cd98f00b204e9800998ecf8427e|-0.37|1.5e-7
10.2.0.4 - - [09/Mar/2025:16:38:45 +0000] "GET /shop/list.html?page=7&sort=name HTTP/1.1" 200 5316 https://www.example.com/help
func (s *Reader) next() (int, error) { if err := s.fill(); err != nil { return 0, fmt.Errorf("read %d: %w", s.pos, err) } }
    const value = options.find(key => key.name === 'color'); // see README.md
SELECT o.id, count(*) AS n FROM orders o JOIN users u ON u.id = o.user_id WHERE o.state = 'open' GROUP BY 1 ORDER BY 2 DESC LIMIT 50;
<li class="item"><a href="/about">About the company</a></li> -- Best regards, The Support Team ---- ==== #3 (see above) 100% & more`

// usualLetters are the pairs of letters that English has the most of.
const usualLetters = "thheinerandreonatennedtiesortoofedisitalarsttontngsehaasouiolevecomedehirricoicneearaceillibemasiomurlaeldtatrwaetutlonoutchlidiilelusssecshowoweshoghexulolamtsirfopaimwhsuprpeplunupceeirsactprpoctndleacmodavibaviaiayfeckkeevgefigipsmilyminsepivityobrtvogrspgahotetyagemaofiosap"

var usualPairs, usualBytes = func() (pairs [1 << 16]float64, single [256]float64) {
	for i := range len(usual) - 1 {
		pairs[pairOf(usual[i], usual[i+1])]++
		single[usual[i]]++
	}
	for i := 0; i+1 < len(usualLetters); i += 2 {
		pairs[pairOf(usualLetters[i], usualLetters[i+1])] += 2000 / float64(20+i)
	}
	return
}()

// frequency estimates how much of text a pair is, and so what it costs to look at
// each. Digits are like one another, and are looked at anyway.
func frequency(a, b byte) float64 {
	const plain, anyway = 0.1, 0.3
	if isDigit(a) && isDigit(b) {
		return 3
	}
	f := usualPairs[pairOf(a, b)] + plain*usualBytes[a]*usualBytes[b]/float64(len(usual))
	switch {
	case isDigit(a):
		for d := byte('0'); d <= '9'; d++ {
			f += usualPairs[pairOf(d, b)] / 10
		}
		f *= anyway
	case isDigit(b):
		for d := byte('0'); d <= '9'; d++ {
			f += usualPairs[pairOf(a, d)] / 10
		}
		f *= anyway
	}
	return f
}
