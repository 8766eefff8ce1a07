// Command quality measures the detection on text of other hands: people, addresses and
// numbers that generators made, the forms of secrets that a scanner knows, templates that
// were written without the rules in sight, and public texts with names where they are.
//
// Templates, people and texts are parted in two by a hash of what they are called. Rules
// are tuned with one half in sight; what is reported of the other says how good they are.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/brianvoe/gofakeit/v7"

	"github.com/sallyport/sallyport/detect"
)

func main() {
	log.SetFlags(0)
	values := flag.String("values", "", "`file` that values.mjs has written")
	public := flag.String("public", "", "`folder` of public texts with names, as JSON lines of id, text and spans; by default there are none")
	reported := flag.Bool("unseen", false, "measure the half that rules are not tuned with")
	samples := flag.Int("n", 12, "texts of each template")
	misses := flag.String("misses", "", "write what went wrong for this `class`, such as PERSON, or group:class")
	flag.Parse()
	if err := run(*values, *public, *reported, *samples, *misses); err != nil {
		log.Fatal("quality: ", err)
	}
}

// groups are the files of templates.
var groups = []string{"tickets", "logs", "rows", "documents", "secrets"}

func run(values, public string, reported bool, n int, misses string) error {
	f, err := newFiller(values, reported)
	if err != nil {
		return err
	}
	r := &report{misses: misses, tallies: map[[2]string]*tally{}}
	for _, g := range groups {
		list, err := readTemplates(g)
		if err != nil {
			return err
		}
		for _, t := range half(list, func(t template) string { return t.id }, reported) {
			for i := range n {
				f.seed(fmt.Sprint(t.id, i))
				r.add(f.fill(t, g, i))
			}
		}
	}
	if public != "" {
		if err := readPublic(public, reported, r.add); err != nil {
			return err
		}
	}
	r.print()
	if misses == "" {
		columns(f)
	}
	return lookAlikes(f, r, reported)
}

// seed makes what is filled in next depend on s alone.
func (f *filler) seed(s string) {
	f.r = seeded(s)
	f.fake = gofakeit.New(f.r.Uint64())
}

func newFiller(values string, reported bool) (*filler, error) {
	people, texts, err := readValues(values)
	if err != nil {
		return nil, err
	}
	tokens, err := readTokens()
	if err != nil {
		return nil, err
	}
	f := &filler{innocent: map[string][]string{}}
	f.people = half(people, func(p person) string { return p.ID }, reported)
	f.tokens = half(tokens, func(t token) string { return t.id }, reported)
	for _, t := range half(texts, func(t innocent) string { return t.ID }, reported) {
		f.innocent[t.Kind] = append(f.innocent[t.Kind], t.Text)
	}
	locales := map[string]bool{}
	for _, p := range people {
		locales[p.Locale] = true
	}
	f.phones = makePhones(seeded(fmt.Sprint("phones", reported)), locales)
	return f, nil
}

// readPublic calls add with the texts of every file in the folder.
func readPublic(folder string, reported bool, add func(sample)) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil {
		return err
	}
	for _, file := range files {
		in, err := os.Open(file)
		if err != nil {
			return err
		}
		group := "public " + strings.TrimSuffix(filepath.Base(file), ".jsonl")
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 1<<22)
		for lines.Scan() {
			var x sample
			if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			// Sets of people: of what else they mark, one mark is not another's.
			for i := range x.Spans {
				if x.Spans[i].Type != "PERSON" && x.Spans[i].Type != ignore {
					x.Spans[i].Type = "OTHER"
				}
			}
			if x.Group = group; unseen(x.ID) == reported {
				add(x)
			}
		}
		in.Close()
		if err := lines.Err(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// report holds the figures by group and class.
type report struct {
	misses  string
	tallies map[[2]string]*tally
}

func (r *report) add(s sample) {
	var found []span
	for _, x := range detect.Default().Find(nil, []byte(s.Text)) {
		found = append(found, span{x.Start, x.End, string(x.Type)})
	}
	public := strings.HasPrefix(s.Group, "public")
	score(&s, found, func(class string, hit, missed, wrong int, what span) {
		if public && class != "PERSON" {
			return
		}
		for _, g := range []string{s.Group, "all"} {
			if g == "all" && public {
				continue
			}
			t := r.tallies[[2]string{g, class}]
			if t == nil {
				t = &tally{}
				r.tallies[[2]string{g, class}] = t
			}
			t.found += hit
			t.missed += missed
			t.wrong += wrong
		}
		if hit == 0 && (r.misses == class || r.misses == s.Group+":"+class) {
			word := "missed"
			if wrong > 0 {
				word = "wrong"
			}
			fmt.Printf("%s %s %q in %q\n", s.Group, word, s.Text[what.Start:what.End], s.Text)
		}
	})
}

func (r *report) print() {
	if r.misses != "" {
		return
	}
	fmt.Printf("%-32s %-12s %7s %10s %10s %7s\n", "texts", "class", "values", "recall", "precision", "F2")
	keys := slices.SortedFunc(maps.Keys(r.tallies), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	for _, k := range keys {
		t := r.tallies[k]
		fmt.Printf("%-32s %-12s %7d %10.3f %10.3f %7.3f\n", k[0], k[1], t.found+t.missed, t.recall(), t.precision(), t.f2())
	}
	var both tally
	for _, g := range []string{"tickets", "logs"} {
		if t := r.tallies[[2]string{g, "PERSON"}]; t != nil {
			both.found, both.missed, both.wrong = both.found+t.found, both.missed+t.missed, both.wrong+t.wrong
		}
	}
	fmt.Printf("%-32s %-12s %7d %10.3f %10.3f %7.3f\n", "tickets and logs", "PERSON", both.found+both.missed, both.recall(), both.precision(), both.f2())
}

// lookAlikes prints how often something is found in a megabyte of look-alikes.
func lookAlikes(f *filler, r *report, reported bool) error {
	list, err := readTemplates("lookalikes")
	if err != nil {
		return err
	}
	kinds := map[string][]string{}
	const each = 400
	for _, t := range half(list, func(t template) string { return t.id }, reported) {
		for i := range each {
			f.seed(fmt.Sprint(t.id, i))
			kinds[t.text] = append(kinds[t.text], f.fill(t, "", i).Text)
		}
	}
	for kind, texts := range f.innocent {
		kinds[kind] = texts
	}
	total, hits := 0, map[string]int{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		n, size := 0, 0
		for _, text := range kinds[kind] {
			size += len(text) + 1
			for _, x := range detect.Default().Find(nil, []byte(text)) {
				if r.misses == "look-alikes" || r.misses == "look-alikes:"+string(x.Type) {
					fmt.Printf("%s: %s %q in %q\n", kind, x.Type, text[x.Start:x.End], text)
				}
				hits[string(x.Type)]++
				n++
			}
		}
		total += size
		if r.misses == "" && n > 0 {
			fmt.Printf("look-alikes %-60.60q %6.0f/MB\n", kind, float64(n)*1e6/float64(size))
		}
	}
	if r.misses != "" {
		return nil
	}
	all := 0
	for _, typ := range slices.Sorted(maps.Keys(hits)) {
		fmt.Printf("look-alikes taken for %-24s %6.0f/MB\n", typ, float64(hits[typ])*1e6/float64(total))
		all += hits[typ]
	}
	fmt.Printf("look-alikes of %d bytes %6.0f/MB\n", total, float64(all)*1e6/float64(total))
	return nil
}

// columns prints of how many columns that are full of names, and of how many that are full
// of names of goods, companies, titles and towns, it is said that people are in them.
func columns(f *filler) {
	const values = 20
	forms := []struct {
		name string
		of   func(p *person) string
		want bool
	}{
		{"name", func(p *person) string { return p.Name }, true},
		{"NAME", func(p *person) string { return strings.ToUpper(p.Name) }, true},
		{"Family, Given", func(p *person) string { return p.Family + ", " + p.Given }, true},
		{"Family Given", func(p *person) string { return p.Family + " " + p.Given }, true},
		{"given", func(p *person) string { return p.Given }, true},
		{"family", func(p *person) string { return p.Family }, true},
		{"company", func(p *person) string { return p.Company }, false},
		{"town", func(p *person) string { return p.City }, false},
		{"product", func(*person) string { return f.plain("product") }, false},
		{"job", func(*person) string { return f.plain("job") }, false},
		{"phrase", func(*person) string { return f.plain("catch") }, false},
		{"vehicle", func(*person) string { return f.text("vehicle") }, false},
	}
	people := map[string][]*person{}
	for i := range f.people {
		p := &f.people[i]
		people[p.Locale] = append(people[p.Locale], p)
	}
	for _, form := range forms {
		said, missing := 0, []string{}
		locales := slices.Sorted(maps.Keys(people))
		for _, locale := range locales {
			f.seed(form.name + locale)
			var cells [][]byte
			for range values {
				cells = append(cells, []byte(form.of(people[locale][f.r.IntN(len(people[locale]))])))
			}
			t, _ := detect.Default().ColumnVerdict("c7", "text", cells)
			if t == detect.Person {
				said++
			}
			if (t == detect.Person) != form.want {
				missing = append(missing, locale)
			}
		}
		fmt.Printf("columns of %-14s taken for people: %2d of %d; otherwise than wanted: %s\n", form.name, said, len(locales), strings.Join(missing, " "))
	}
}
