package masking

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/masking/internal/prose"
)

// proseTypes are what is found in prose, by kind of name.
var proseTypes = [...]Type{prose.Person: Person, prose.Place: Location, prose.Company: Company, prose.Street: Address}

// proseScores are how certain they are.
var proseScores = [...]uint8{prose.Person: 60, prose.Place: 50, prose.Company: 55, prose.Street: 75}

// prose adds the names in prose that stand apart from what was found already.
// What has not three words is none.
func (s *scan) prose() {
	i := bytes.IndexByte(s.src, ' ')
	if i < 0 || !s.plan.prose.Candidate(s.src) || bytes.IndexByte(s.src[i+1:], ' ') < 0 {
		return
	}
	before := s.out[s.first:]
	k := 0
	taken := func(start, end int) bool {
		for k < len(before) && before[k].End <= start {
			k++
		}
		return k < len(before) && before[k].Start < end
	}
	s.names = s.plan.prose.Find(s.names[:0], &s.tagger, s.src, taken)
	k = 0
	added := false
	for _, n := range s.names {
		if t := proseTypes[n.Kind]; s.plan.wants(t) && !taken(n.Start, n.End) && !isKey(s.src, n.Start, n.End) {
			s.out = append(s.out, Finding{n.Start, n.End, t, proseScores[n.Kind]})
			added = true
		}
	}
	if added {
		slices.SortFunc(s.out[s.first:], func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	}
}

// isKey reports whether a name stands in a key of JSON, such as "Actual Startup
// Time": it names a field, and nobody.
func isKey(src []byte, start, end int) bool {
	const most = 64 // bytes of a key beside the name
	before, after := src[max(0, start-most):start], src[end:min(len(src), end+most)]
	open, shut := bytes.LastIndexByte(before, '"'), bytes.IndexByte(after, '"')
	if open < 0 || shut < 0 || bytes.IndexByte(after[:shut], '\n') >= 0 {
		return false
	}
	before, after = bytes.TrimRight(before[:open], " \t\r\n"), bytes.TrimLeft(after[shut+1:], " \t")
	return len(after) > 0 && after[0] == ':' && (len(before) == 0 || before[len(before)-1] == '{' || before[len(before)-1] == ',')
}
