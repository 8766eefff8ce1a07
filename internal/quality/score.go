package main

// span is a part of a text, of a type.
type span struct {
	Start, End int
	Type       string
}

// ignore is the type of what may be reported or not.
const ignore = "IGNORE"

// sample is a text of which it is known what is sensitive.
type sample struct {
	ID    string
	Group string
	Text  string
	Spans []span
}

// tally counts values that were found, were not, and what was reported wrongly.
type tally struct{ found, missed, wrong int }

func (t tally) recall() float64    { return part(t.found, t.found+t.missed) }
func (t tally) precision() float64 { return part(t.found, t.found+t.wrong) }

// f2 weighs recall twice as much as precision.
func (t tally) f2() float64 {
	return part(5*t.found, 5*t.found+4*t.missed+t.wrong)
}

func part(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// classes are types that count as one: it matters that a number is hidden, not whether
// it is called an account or a card.
var classes = func() map[string]string {
	m := map[string]string{}
	for class, types := range map[string][]string{
		"PERSON":   {"PERSON"},
		"PLACE":    {"LOCATION", "ADDRESS", "STREET_ADDRESS"},
		"ORG":      {"ORGANIZATION"},
		"EMAIL":    {"EMAIL_ADDRESS"},
		"PHONE":    {"PHONE_NUMBER"},
		"CARD":     {"CREDIT_CARD"},
		"IBAN":     {"IBAN_CODE"},
		"BIRTH":    {"DATE_OF_BIRTH"},
		"ADDRESS":  {"IP_ADDRESS", "LOCAL_IP_ADDRESS"},
		"HARDWARE": {"MAC_ADDRESS", "LOCAL_MAC_ADDRESS"},
		"SECRET":   {"PASSWORD", "SECRET", "API_TOKEN", "CLOUD_KEY", "JWT", "PRIVATE_KEY", "CARD_VERIFICATION_CODE"},
	} {
		for _, t := range types {
			m[t] = class
		}
	}
	return m
}()

func class(typ string) string {
	if c, ok := classes[typ]; ok {
		return c
	}
	return typ
}

// overlaps reports whether two spans have at least half of what they cover together.
func overlaps(a, b span) bool {
	return 2*(min(a.End, b.End)-max(a.Start, b.Start)) >= max(a.End, b.End)-min(a.Start, b.Start)
}

func meets(a, b span) bool { return a.Start < b.End && b.Start < a.End }

// score compares what was reported with what is there, by class, and tells of each miss.
func score(s *sample, reported []span, count func(class string, found, missed, wrong int, what span)) {
	var left []span
	for _, p := range reported {
		free := false
		for _, g := range s.Spans {
			free = free || g.Type == ignore && meets(p, g)
		}
		if !free {
			left = append(left, p)
		}
	}
	used := make([]bool, len(left))
	for _, g := range s.Spans {
		if g.Type == ignore {
			continue
		}
		hit := false
		for i, p := range left {
			if !used[i] && class(p.Type) == class(g.Type) && overlaps(p, g) {
				used[i], hit = true, true
				break
			}
		}
		if hit {
			count(class(g.Type), 1, 0, 0, g)
		} else {
			count(class(g.Type), 0, 1, 0, g)
		}
	}
	for i, p := range left {
		if !used[i] {
			count(class(p.Type), 0, 0, 1, p)
		}
	}
}
