package main

import (
	"embed"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/brianvoe/gofakeit/v7"
)

//go:embed templates
var templates embed.FS

// template is a text with marks of what is to be filled in.
type template struct{ id, language, text string }

// readTemplates reads the templates of a file.
func readTemplates(name string) (list []template, err error) {
	b, err := templates.ReadFile("templates/" + name + ".txt")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		language, text, ok := strings.Cut(line, " ")
		if !ok {
			return nil, fmt.Errorf("template %q in %s: want a language and a text", line, name)
		}
		text = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(text)
		list = append(list, template{name + ":" + line, language, text})
	}
	return list, nil
}

// unseen tells in which half an id is: it depends on the id alone.
func unseen(id string) bool {
	h := fnv.New64a()
	h.Write([]byte(id))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return (x>>40)&1 == 1
}

// half returns those of list whose id is in the half.
func half[T any](list []T, id func(T) string, want bool) (in []T) {
	for _, x := range list {
		if unseen(id(x)) == want {
			in = append(in, x)
		}
	}
	return in
}

// filler fills templates.
type filler struct {
	r        *rand.Rand
	fake     *gofakeit.Faker
	people   []person
	innocent map[string][]string
	tokens   []token
	phones   map[string][]string // by locale
}

// languageOf are the languages of locales whose first two letters do not say it.
var languageOf = map[string]string{"nb": "no"}

func (p *person) language() string {
	l, _, _ := strings.Cut(p.Locale, "_")
	if other := languageOf[l]; other != "" {
		return other
	}
	return l
}

// someone returns a person for a template: half of those of English ones are of
// countries that speak it.
func (f *filler) someone(language string) *person {
	if language == "en" && f.r.IntN(2) == 0 {
		return &f.people[f.r.IntN(len(f.people))]
	}
	for {
		if p := &f.people[f.r.IntN(len(f.people))]; p.language() == language {
			return p
		}
	}
}

// fill makes a sample of t. Lines that begin with *N become N lines.
func (f *filler) fill(t template, group string, n int) sample {
	s := sample{ID: fmt.Sprintf("%s#%d", t.id, n), Group: group}
	var out strings.Builder
	locale := f.someone(t.language).Locale
	for i, line := range strings.Split(t.text, "\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		times := 1
		if len(line) > 2 && line[0] == '*' && line[1] >= '1' && line[1] <= '9' && line[2] == ' ' {
			times, line = int(line[1]-'0'), line[3:]
		}
		for k := range times {
			if k > 0 {
				out.WriteByte('\n')
			}
			f.line(&out, &s, line, f.neighbour(locale))
		}
	}
	s.Text = out.String()
	return s
}

// neighbour returns a person of the locale.
func (f *filler) neighbour(locale string) *person {
	for {
		if p := &f.people[f.r.IntN(len(f.people))]; p.Locale == locale {
			return p
		}
	}
}

// line fills one line. Each name of it after the first is of another person.
func (f *filler) line(out *strings.Builder, s *sample, line string, p *person) {
	seen := map[string]bool{}
	for {
		open := strings.Index(line, "{{")
		if open < 0 {
			break
		}
		if strings.HasPrefix(line[open:], "{{{") {
			open++
		}
		end := strings.Index(line[open:], "}}")
		mark := line[open+2 : open+end]
		out.WriteString(line[:open])
		line = line[open+end+2:]
		if seen[mark] {
			p, seen = f.neighbour(p.Locale), map[string]bool{}
		}
		seen[mark] = true
		value, typ := f.value(mark, p)
		if typ != "" {
			s.Spans = append(s.Spans, span{out.Len(), out.Len() + len(value), typ})
		}
		out.WriteString(value)
	}
	out.WriteString(line)
}

func (f *filler) one(list ...string) string { return list[f.r.IntN(len(list))] }

func (f *filler) text(kind string) string { return f.one(f.innocent[kind]...) }

func (f *filler) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[f.r.IntN(16)]
	}
	return string(b)
}

func (f *filler) of(set string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[f.r.IntN(len(set))]
	}
	return string(b)
}

const (
	upperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	base64Set   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)

func (f *filler) when() time.Time {
	return time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(f.r.IntN(900*86400)) * time.Second)
}

// value returns what a mark means, and its type: empty where it is innocent.
func (f *filler) value(mark string, p *person) (value, typ string) {
	switch mark {
	case "name":
		return p.Name, "PERSON"
	case "NAME":
		return strings.ToUpper(p.Name), "PERSON"
	case "given":
		return p.Given, "PERSON"
	case "GIVEN":
		return strings.ToUpper(p.Given), "PERSON"
	case "family":
		return p.Family, "PERSON"
	case "FAMILY":
		return strings.ToUpper(p.Family), "PERSON"
	case "urlname":
		return strings.ReplaceAll(url.QueryEscape(p.Name), "+", "%20"), ignore
	case "street":
		return p.Street, "STREET_ADDRESS"
	case "city":
		return p.City, "LOCATION"
	case "zip":
		return p.Zip, ignore
	case "company":
		return p.Company, ignore
	case "email":
		return p.Email, "EMAIL_ADDRESS"
	case "phone":
		return f.phone(p), "PHONE_NUMBER"
	case "born", "bornnum", "isodob":
		return f.birth(mark, p), "DATE_OF_BIRTH"
	case "card":
		return f.fake.CreditCardNumber(&gofakeit.CreditCardOptions{Gaps: f.r.IntN(2) == 0}), "CREDIT_CARD"
	case "iban":
		return f.iban(), "IBAN_CODE"
	case "ssn":
		n := f.fake.SSN()
		return n[:3] + "-" + n[3:5] + "-" + n[5:], "US_SSN"
	case "ip":
		return f.fake.IPv4Address(), ignore // many are of nobody
	case "mac":
		return f.fake.MacAddress(), ignore
	case "login":
		return strings.ToLower(strings.ReplaceAll(f.fake.Username(), " ", "")), ignore
	}
	if value, ok := f.secret(mark); ok {
		return value, "SECRET"
	}
	return f.plain(mark), ""
}

// phone is a number of the person's country, or of any for every fourth.
func (f *filler) phone(p *person) string {
	if list := f.phones[p.Locale]; len(list) > 0 && f.r.IntN(4) > 0 {
		return f.one(list...)
	}
	return f.one(f.phones[""]...)
}

func (f *filler) birth(mark string, p *person) string {
	t, err := time.Parse(time.DateOnly, p.Born)
	if err != nil {
		panic(err)
	}
	switch mark {
	case "isodob":
		return p.Born
	case "bornnum":
		return t.Format(f.one("02/01/2006", "01/02/2006", "02.01.2006", "2006/01/02", "2006-01-02"))
	}
	return t.Format(f.one("2006-01-02", "02.01.2006", "02/01/2006", "01/02/2006", "2 January 2006", "Jan 2, 2006", "2 Jan 2006"))
}

// iban makes a number whose check digits are right.
func (f *filler) iban() string {
	country := f.one("DE", "FR", "ES", "IT", "NL", "GB", "SE", "PL", "CH", "PT")
	digits := map[string]int{"DE": 18, "ES": 20, "SE": 20, "PL": 24, "PT": 21, "FR": 23, "CH": 17}
	body := f.of("0123456789", digits[country])
	switch country {
	case "IT":
		body = "X" + f.of("0123456789", 22)
	case "NL":
		body = "ABNA" + f.of("0123456789", 10)
	case "GB":
		body = "BARC" + f.of("0123456789", 14)
	}
	rest := 0
	for _, c := range body + country + "00" {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	number := fmt.Sprintf("%s%02d%s", country, 98-rest, body)
	if f.r.IntN(2) == 0 {
		return number
	}
	var groups []string
	for chunk := range slices.Chunk([]byte(number), 4) {
		groups = append(groups, string(chunk))
	}
	return strings.Join(groups, " ")
}

// plain fills in what is not sensitive.
func (f *filler) plain(mark string) string {
	digits := func(n int) string {
		return strconv.Itoa(1+f.r.IntN(9)) + f.of("0123456789", n-1)
	}
	t := f.when()
	switch mark {
	case "n":
		return strconv.Itoa(1 + f.r.IntN(99))
	case "id":
		return digits(7)
	case "pid":
		return digits(4)
	case "port":
		return strconv.Itoa(1024 + f.r.IntN(60000))
	case "digits12":
		return digits(12)
	case "uuid":
		return f.fake.UUID()
	case "hash":
		return f.hex(40)
	case "hash7":
		return f.hex(7)
	case "hex64":
		return f.hex(64)
	case "hex17":
		return f.hex(17)
	case "hex2":
		return f.hex(2)
	case "hexaddr":
		return f.hex(8)
	case "hexid":
		return strings.ToUpper(f.fake.LetterN(2)) + "-" + digits(5)
	case "hexbytes":
		return spaced(f.hex(32), 2, " ")
	case "hexwords":
		return spaced(f.hex(32), 4, " ")
	case "colonhex":
		return spaced(f.hex(36), 2, ":")
	case "upper16":
		return f.of(upperDigits, 16)
	case "w5":
		return f.of("abcdefghijklmnopqrstuvwxyz0123456789", 5)
	case "b64":
		return f.of(base64Set, 86)
	case "b64short":
		return f.of(base64Set, 43)
	case "ts":
		return t.Format(f.one(time.RFC3339, "2006-01-02 15:04:05,000", "2006-01-02T15:04:05.000Z", "2006/01/02 15:04:05"))
	case "epoch":
		return strconv.FormatInt(t.Unix(), 10)
	case "epochms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	case "syslog":
		return t.Format(time.Stamp)
	case "apache":
		return t.Format("02/Jan/2006:15:04:05 -0700")
	case "gitdate":
		return t.Format("Mon Jan 2 15:04:05 2006 -0700")
	case "isodate":
		return t.Format(time.DateOnly)
	case "date":
		return t.Format(f.one(time.DateOnly, "2 January 2006", "Jan 2", "02.01.2006", "Monday"))
	case "clock":
		return t.Format(f.one("15:04", "15:04:05"))
	case "amount":
		return f.one("$", "€", "USD ", "") + fmt.Sprintf("%.2f", f.r.Float64()*5000)
	case "amountnum":
		return fmt.Sprintf("%.2f", f.r.Float64()*5000)
	case "floatnum":
		return fmt.Sprintf("%.6f", f.r.Float64()*10)
	case "floatexp":
		return fmt.Sprintf("%.8e", f.r.Float64()*1e9)
	case "lat":
		return fmt.Sprintf("%.6f", f.r.Float64()*180-90)
	case "lon":
		return fmt.Sprintf("%.6f", f.r.Float64()*360-180)
	case "version":
		return f.fake.AppVersion()
	case "path":
		return strings.TrimPrefix(f.text("path"), "/")
	case "service":
		return strings.ToLower(strings.ReplaceAll(f.fake.HackerNoun()+"-"+f.fake.HackerNoun(), " ", "-"))
	case "w":
		return strings.ToLower(strings.Fields(f.fake.Noun())[0])
	case "camel":
		return gofakeitTitle(f.fake.HackerNoun()) + gofakeitTitle(f.fake.HackerNoun())
	case "status":
		return f.one("open", "CLOSED", "pending", "ACTIVE", "shipped", "t", "f")
	case "phrase":
		return f.text("phrase")
	case "catch":
		return f.text("catch")
	case "buzz":
		return f.text("buzz")
	case "product":
		return f.one(f.text("product"), f.fake.ProductName())
	case "job":
		return f.one(f.text("job"), f.fake.JobTitle())
	case "dept":
		return f.one("Sales", "Engineering", "HR", "Finance", "Support", "Logistics", "Legal")
	case "agent":
		return f.fake.UserAgent()
	case "isbn":
		return f.text("isbn")
	case "ENV":
		return strings.ToUpper(strings.ReplaceAll(f.fake.HackerNoun(), " ", "_"))
	case "secretref":
		return f.one("${DB_SECRET}", "$SECRET", "{{ vault.secret }}", "<redacted>", "********", "null")
	}
	panic("unknown mark " + mark)
}

func gofakeitTitle(s string) string {
	s = strings.ReplaceAll(s, " ", "")
	return strings.ToUpper(s[:1]) + s[1:]
}

// spaced parts s into groups of n.
func spaced(s string, n int, sep string) string {
	var groups []string
	for chunk := range slices.Chunk([]byte(s), n) {
		groups = append(groups, string(chunk))
	}
	return strings.Join(groups, sep)
}
