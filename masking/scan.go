package masking

import "github.com/sallyport/sallyport/masking/internal/prose"

// scan is the state of one pass. It is kept between passes so that none of it
// is allocated for one.
type scan struct {
	plan   *Scanner
	src    []byte
	out    []Finding
	first  int // where this pass's findings begin in out
	floor  int // findings begin at or after it
	seen   int // words that begin before it were looked at
	topics Topics

	// The chain of digit groups that is being looked at.
	groups [maxGroups]group
	digits [maxDigits]byte
	n      int // groups
	nd     int // digits

	// What stands before the last place that was asked for.
	around    surroundings
	aroundPos int

	word [maxWord]byte

	plain  bool // names in prose are not looked for
	tagger prose.Tagger
	names  []prose.Name
}

// run goes over src once. Every matcher returns where to go on, farther than
// where it was called, and looks back and ahead over a bounded number of bytes
// or over bytes that no other call sees; so the pass is linear for any input.
func (s *scan) run(dst []Finding, src []byte, topics Topics) []Finding {
	s.src, s.out, s.first, s.topics = src, dst, len(dst), topics
	s.floor, s.seen, s.aroundPos = 0, 0, -1
	n := len(src)
	class := &s.plan.class
	for i := 0; i < n; {
		for i+8 <= n {
			b := src[i : i+8 : i+8]
			if class[b[0]]|class[b[1]]|class[b[2]]|class[b[3]]|class[b[4]]|class[b[5]]|class[b[6]]|class[b[7]] != 0 {
				break
			}
			i += 8
		}
		for i < n && class[src[i]] == classNone {
			i++
		}
		if i >= n {
			break
		}
		switch class[src[i]] {
		case classDigit:
			i = s.number(i)
		case classAt:
			i = s.email(i, 1)
		case classColon:
			i = s.colon(i)
		case classEquals:
			i = s.assigned(i)
		case classPercent:
			if s.at(i+1) == '4' && s.at(i+2) == '0' { // an @ in a URL
				i = s.email(i, 3)
			} else {
				i++
			}
		case classCall:
			i = s.called(i)
		case classWide:
			i = s.wide(i)
		default:
			b, before, after := src[i], s.at(i-1), s.at(i+1)
			if s.plan.before[b][before/64]>>(before%64)&1|s.plan.after[b][after/64]>>(after%64)&1 == 0 {
				i++
			} else {
				i = s.literal(i)
			}
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
// whether it counts.
func (s *scan) accept(start int, weak bool, context Topics, score uint8, plain bool) (uint8, bool) {
	a := s.context(start)
	switch {
	case a.near&context != 0:
		return min(score+20, 100), true
	case weak && (a.all&context == 0 || a.near != 0):
		return 0, false
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

func isDigit(c byte) bool { return c-'0' < 10 }

func isUpper(c byte) bool { return c-'A' < 26 }

func isLower(c byte) bool { return c-'a' < 26 }

func isAlnum(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 26 }

func isHex(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 6 }
