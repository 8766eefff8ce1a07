package detect

import (
	"encoding/binary"
	"math/bits"

	"github.com/sallyport/sallyport/detect/internal/prose"
)

// scan is the state of one pass. It is kept between passes so that none of it
// is allocated for one.
type scan struct {
	plan   *Detector
	src    []byte
	out    []Finding
	first  int // where this pass's findings begin in out
	floor  int // findings begin at or after it
	seen   int // words that begin before it were looked at
	topics Topics
	things bool // it is the value of a column of names of things

	// The chain of digit groups that is being looked at.
	groups [maxGroups]group
	digits [maxDigits]byte
	n      int // groups
	nd     int // digits

	// What stands before the last place that was asked for.
	around    surroundings
	aroundPos int

	word [maxWord]byte

	once bool // the first finding is enough
	room [1]Finding

	plain  bool // names in prose are not looked for
	tagger prose.Tagger
	names  []prose.Name
	block  *block // made with the first text that may have names
}

// run goes over src once. Every matcher returns where to go on, farther than
// where it was called, and looks back and ahead over a bounded number of bytes
// or over bytes that no other call sees; so the pass is linear for any input.
func (s *scan) run(dst []Finding, src []byte, topics Topics) []Finding {
	s.src, s.out, s.first, s.topics, s.things = src, dst, len(dst), topics&^aboutThing, topics&aboutThing != 0
	s.floor, s.seen, s.aroundPos = 0, 0, -1
	n := len(src)
	kinds := &s.plan.triggers.kinds
	for i := 0; i < n && (!s.once || len(s.out) == s.first); {
		kind := startsNone
		if i+8 <= n {
			w := binary.LittleEndian.Uint64(src[i:])
			four := uint32(kinds[uint16(w)]) | uint32(kinds[uint16(w>>16)])<<8 | uint32(kinds[uint16(w>>32)])<<16 | uint32(kinds[w>>48])<<24
			if four == 0 {
				i += 8
				continue
			}
			k := bits.TrailingZeros32(four) / 8
			i += 2 * k
			kind = uint8(four >> (8 * k))
		} else if kind = kinds[pairOf(src[i], s.at(i+1))]; kind == startsNone {
			i += 2
			continue
		}
		switch kind {
		case startsDigit:
			i = s.number(i)
		case startsDigit | startsSecond:
			i = s.number(i + 1)
		default:
			i = s.begins(i, kind)
		}
	}
	if len(s.plan.customs) > 0 {
		s.custom()
	}
	if s.plan.prose != nil && !s.plain && n > 8 {
		s.prose()
	}
	return s.out
}

// begins looks at what may begin at the pair of bytes at i and returns where to
// go on.
func (s *scan) begins(i int, kind uint8) int {
	if kind&startsLiteral != 0 {
		if to := s.literal(i, len(s.src)); to > i {
			return to
		}
	}
	if kind&startsSecond != 0 {
		if i++; i == len(s.src) {
			return i
		}
	}
	switch kind &^ (startsLiteral | startsSecond) {
	case startsDigit:
		return s.number(i)
	case startsAt:
		return s.email(i, 1)
	case startsColon:
		return s.colon(i)
	case startsEquals:
		return s.assigned(i)
	case startsPercent:
		if s.at(i+1) == '4' && s.at(i+2) == '0' { // an @ in a URL
			return s.email(i, 3)
		}
		return i + 1
	case startsCall:
		return s.called(i)
	case startsWide:
		return s.wide(i)
	}
	return i + 2
}

// emit adds a finding. Where it meets earlier ones, the surer stays; of equals,
// the longer.
func (s *scan) emit(start, end int, t Type, score uint8) {
	if !s.plan.wants(t) {
		return
	}
	for len(s.out) > s.first {
		last := &s.out[len(s.out)-1]
		if last.End <= start {
			break
		}
		if last.Start >= end || last.Score > score || last.Score == score && last.End-last.Start >= end-start {
			return
		}
		s.out = s.out[:len(s.out)-1]
	}
	s.out = append(s.out, Finding{start, end, t, score})
	s.floor = max(s.floor, end)
}

// context returns what stands before src[start].
func (s *scan) context(start int) *surroundings {
	if s.aroundPos == start {
		return &s.around
	}
	floor := 0
	if len(s.out) > s.first {
		floor = min(s.out[len(s.out)-1].End, start)
	}
	a := s.plan.words.before(s.src, start, floor)
	a.near |= s.topics
	a.all |= s.topics
	if t := s.topics; t&notPeople != 0 && t&^notPeople == 0 {
		a.issued, a.label = true, true
	}
	s.around, s.aroundPos = a, start
	return &s.around
}

// accept returns the score of a value that begins at start under a rule, and
// whether it counts. What was checked counts less after the name of a thing, but
// a name is never a veto.
func (s *scan) accept(start int, weak bool, context Topics, score uint8, plain, checked bool) (uint8, bool) {
	a := s.context(start)
	switch {
	case a.near&context != 0:
		return min(score+20, 100), true
	case weak && (a.all&context == 0 || a.near != 0):
		return 0, false
	case checked && !weak && (a.label || a.issued):
		return score - min(score-1, 20), true
	case plain && (a.label || a.issued && score < 85), a.label && score < 80:
		return 0, false // order 1234567890
	case a.all&context != 0:
		return min(score+10, 100), true
	}
	return score, true
}

// at returns the byte at i, or 0 outside of src.
func (s *scan) at(i int) byte {
	if uint(i) < uint(len(s.src)) {
		return s.src[i]
	}
	return 0
}
