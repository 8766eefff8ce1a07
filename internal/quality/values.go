package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/nyaruka/phonenumbers"
)

// person is one of values.mjs.
type person struct {
	ID, Locale, Given, Family, Name, Street, City, Zip, Phone, Email, Company, Born string
}

type innocent struct{ ID, Kind, Text string }

// readValues reads what values.mjs has written.
func readValues(file string) (people []person, texts []innocent, err error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var x struct {
			person
			Kind, Text string
		}
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		if x.Kind != "" {
			texts = append(texts, innocent{x.ID, x.Kind, x.Text})
		} else {
			people = append(people, x.person)
		}
	}
	return people, texts, lines.Err()
}

// regions are the countries of locales that do not end with theirs.
var regions = map[string]string{
	"de": "DE", "fr": "FR", "es": "ES", "sv": "SE", "it": "IT", "pl": "PL", "nl": "NL", "da": "DK", "fi": "FI", "hu": "HU", "ro": "RO", "hr": "HR", "tr": "TR", "vi": "VN",
	"ru": "RU", "uk": "UA", "el": "GR", "ja": "JP", "ko": "KR", "ar": "EG", "he": "IL",
}

// makePhones makes numbers that libphonenumber holds to be valid, in the forms in which
// it writes them: of the country of each locale, and, under the name "", of all countries
// with their prefix.
func makePhones(r *rand.Rand, locales map[string]bool) map[string][]string {
	m := map[string][]string{}
	const each = 60
	for _, region := range slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions())) {
		for _, n := range variants(r, region, 4) {
			m[""] = append(m[""], phonenumbers.Format(n, phonenumbers.INTERNATIONAL), phonenumbers.Format(n, phonenumbers.E164))
		}
	}
	for _, locale := range slices.Sorted(maps.Keys(locales)) {
		region := regions[locale]
		if region == "" && len(locale) >= 5 {
			region = locale[3:5]
		}
		for _, n := range variants(r, region, each) {
			m[locale] = append(m[locale], phonenumbers.Format(n, phonenumbers.INTERNATIONAL), phonenumbers.Format(n, phonenumbers.NATIONAL))
		}
	}
	return m
}

// variants returns n valid numbers of the region that differ from its examples in their
// last digits.
func variants(r *rand.Rand, region string, n int) (list []*phonenumbers.PhoneNumber) {
	for range n * 4 {
		kind := phonenumbers.MOBILE
		if r.IntN(2) == 0 {
			kind = phonenumbers.FIXED_LINE
		}
		example := phonenumbers.GetExampleNumberForType(region, kind)
		if example == nil {
			continue
		}
		text := []byte(phonenumbers.Format(example, phonenumbers.E164))
		for i := len(text) - 4; i < len(text); i++ {
			text[i] = byte('0' + r.IntN(10))
		}
		x, err := phonenumbers.Parse(string(text), region)
		if err != nil || !phonenumbers.IsValidNumber(x) {
			continue
		}
		if list = append(list, x); len(list) == n {
			break
		}
	}
	return list
}

func seeded(s string) *rand.Rand {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, uint64(len(s))))
}
