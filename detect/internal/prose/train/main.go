// Command train makes the model of package prose from the lists in data and from
// sentences that it makes of them: go run ./detect/internal/prose/train
package main

import (
	"embed"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect/internal/prose"
	"github.com/sallyport/sallyport/internal/maskdata"
)

//go:embed data
var data embed.FS

func main() {
	out := flag.String("o", "detect/internal/prose/names.model", "`file` to write")
	n := flag.Int("n", 80000, "examples")
	times := flag.Int("times", 4, "how often to go over them")
	flag.Parse()
	b := train(*n, *times).Append(nil)
	if err := os.WriteFile(*out, b, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d bytes\n", *out, len(b))
}

// list reads the words of a file, but for comments and those in without.
func list(name string, without map[string]bool) (words []string) {
	b, err := data.ReadFile("data/" + name)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for w := range strings.FieldsSeq(line) {
			w = strings.ReplaceAll(w, "_", " ")
			if !without[strings.ToLower(w)] {
				words = append(words, w)
			}
		}
	}
	return words
}

// lines reads the lines of a file, but for comments.
func lines(name string) (all []string) {
	b, err := data.ReadFile("data/" + name)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.ReplaceAll(strings.TrimSpace(line), `\n`, "\n"); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// apart is s with spaces around its signs, as corpora have them.
func apart(s maskdata.Sample) maskdata.Sample {
	var b strings.Builder
	at := make([]int, len(s.Text)+1)
	inside := func(i int) bool {
		return slices.ContainsFunc(s.Spans, func(p maskdata.Span) bool { return i >= p.Start && i < p.End })
	}
	for i := range len(s.Text) {
		at[i] = b.Len()
		c := s.Text[i]
		sign := strings.IndexByte(".,;:!?()\"", c) >= 0 && !inside(i)
		possessive := c == '\'' && i+1 < len(s.Text) && s.Text[i+1] == 's' && !inside(i)
		if (sign || possessive) && i > 0 && s.Text[i-1] != ' ' {
			b.WriteByte(' ')
			at[i] = b.Len() - 1
		}
		b.WriteByte(c)
		if sign && i+1 < len(s.Text) && s.Text[i+1] != ' ' && s.Text[i+1] != '\n' {
			b.WriteByte(' ')
		}
	}
	at[len(s.Text)] = b.Len()
	out := maskdata.Sample{Text: b.String()}
	for _, p := range s.Spans {
		start, end := at[p.Start], at[p.End]
		for end > start && out.Text[end-1] == ' ' {
			end--
		}
		out.Spans = append(out.Spans, maskdata.Span{Start: start, End: end, Type: p.Type})
	}
	return out
}

// telling returns the words of names that say by themselves what they name: long ones
// that are in none of the other lists.
func telling(names []string, others ...[]string) (words []string) {
	other := map[string]bool{}
	for _, list := range others {
		for _, w := range list {
			other[strings.ToLower(w)] = true
		}
	}
	for _, n := range names {
		parts := strings.Fields(n)
		for _, w := range parts {
			if (len(parts) == 1 || len(w) > 3) && !other[strings.ToLower(w)] {
				words = append(words, w)
			}
		}
	}
	return words
}

func train(n, times int) *prose.Model {
	held := map[string]bool{}
	for _, w := range maskdata.TestNames() {
		held[strings.ToLower(w)] = true
	}
	world := slices.Concat(list("world.txt", held), list("givenworld.txt", held), list("givenmore.txt", held))
	worldFamily := slices.Concat(list("worldfamily.txt", held), list("familyworld.txt", held), list("familymore.txt", held))
	cyrillic := list("russian.txt", nil)
	parted := slices.Index(cyrillic, "=")
	given := slices.Concat(list("given.txt", held), world, cyrillic[:parted])
	family := slices.Concat(list("family.txt", held), worldFamily, cyrillic[parted+1:])
	regions := slices.Concat(list("places.txt", nil), list("regions.txt", nil), list("exonyms.txt", nil))
	allPlaces := slices.Concat(regions, list("cities.txt", nil))
	organizations := list("organizations.txt", nil)
	r := rand.New(rand.NewPCG(1, 1990))
	// A fifth of the names is left out of the gazetteers while learning, so that
	// words around unknown names are learned as well.
	known := func(words []string) (some []string) {
		for _, w := range words {
			if r.IntN(5) > 0 {
				some = append(some, w)
			}
		}
		return some
	}
	plain := list("words.txt", nil)
	peoples := list("peoples.txt", nil)
	nouns := list("nouns.txt", nil)
	common := slices.Concat(plain, peoples, nouns, list("morewords.txt", nil))
	places := slices.Concat(telling(regions, plain), telling(list("cities.txt", nil), plain, given))
	companies := telling(organizations, common, given, family)
	family = telling(family)
	// Names are common and rare: half of the examples take one of the first.
	often := func(census, world []string) []string {
		top := census[:min(2000, len(census))]
		return slices.Concat(census, world, world, world, world, top, top, top)
	}
	v := &maskdata.Vocabulary{
		Given: often(list("given.txt", held), world), Family: often(list("family.txt", held), worldFamily),
		Places: slices.Concat(regions, regions, regions, allPlaces), Organizations: organizations, Peoples: peoples, Nouns: nouns, Words: plain,
		CyrillicGiven: cyrillic[:parted], CyrillicFamily: cyrillic[parted+1:], Labels: list("labels.txt", nil), Sentences: lines("sentences.txt"),
	}
	m := maskdata.NewTraining(7, v)
	var examples []prose.Example
	add := func(s maskdata.Sample) {
		if r.IntN(4) == 0 {
			s = apart(s)
		}
		x := prose.Example{Text: s.Text}
		for _, p := range s.Spans {
			switch p.Type {
			case "PERSON":
				x.Names = append(x.Names, prose.Name{Start: p.Start, End: p.End, Kind: prose.Person})
			case "LOCATION":
				x.Names = append(x.Names, prose.Name{Start: p.Start, End: p.End, Kind: prose.Place})
			case "ORGANIZATION":
				x.Names = append(x.Names, prose.Name{Start: p.Start, End: p.End, Kind: prose.Company})
			}
		}
		examples = append(examples, x)
	}
	for i := range n {
		switch {
		case i%8 == 0:
			add(m.Structured())
		case i%8 == 1:
			add(m.Headline(common))
		case i%40 == 2:
			add(m.Foreign())
		default:
			add(m.Prose())
		}
	}
	lists := prose.Lists{Given: known(given), Family: known(family), Common: common, Places: known(places), Companies: known(companies)}
	learned := prose.Learn(lists, examples, times, r.Perm)
	return learned.With(prose.Lists{Given: given, Family: family, Common: common, Places: places, Companies: companies})
}
