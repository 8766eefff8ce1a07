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
	n := flag.Int("n", 60000, "examples")
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
			if !without[strings.ToLower(w)] {
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
	given := slices.Concat(list("given.txt", held), list("world.txt", held))
	family := slices.Concat(list("family.txt", held), list("worldfamily.txt", held))
	places := list("places.txt", nil)
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
	common := list("words.txt", nil)
	// Names are common and rare: half of the examples take one of the first.
	often := func(census, world []string) []string {
		top := census[:min(2000, len(census))]
		return slices.Concat(census, world, world, world, world, top, top, top)
	}
	v := &maskdata.Vocabulary{Given: often(list("given.txt", held), list("world.txt", held)), Family: often(list("family.txt", held), list("worldfamily.txt", held)), Places: places}
	m := maskdata.NewTraining(7, v)
	var examples []prose.Example
	add := func(s maskdata.Sample) {
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
	lists := prose.Lists{Given: known(given), Family: known(family), Common: common, Places: known(places)}
	learned := prose.Learn(lists, examples, times, r.Perm)
	return learned.With(prose.Lists{Given: given, Family: family, Common: common, Places: places})
}
