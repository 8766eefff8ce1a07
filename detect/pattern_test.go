package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPatterns(t *testing.T) {
	p, err := New(Config{Patterns: []Pattern{
		{Type: "EMPLOYEE", Regexp: `EMP-\d{6}`},
		{Type: "CONTRACT", Regexp: `(?i)contract\s+(?P<value>[a-z]{2}\d{4})`},
		{Type: "CHECKED", Regexp: `CK\d{8}`, Validator: "luhn"},
		{Type: "LOCKER", Regexp: `\b\d{4}\b`, Context: []string{"locker", "Spind"}},
		{Type: "PROJECT", Words: []string{"Blue Heron", "nightfall", "überläufer"}},
		{Type: "GRADE", Columns: []string{"pay_grade"}},
	}})
	require.NoError(t, err)
	for _, c := range []struct {
		text string
		want string // the value between « and », of the type before it
	}{
		{"x EMP-123456 y", "EMPLOYEE «EMP-123456»"},
		{"emp-123456", ""},
		{"Contract ab1234 of 2024", "CONTRACT «ab1234»"},
		{"CK79927399", ""},
		{"CK12345674", "CHECKED «CK12345674»"},
		{"locker 1234", "LOCKER «1234»"},
		{"Spind: 1234", "LOCKER «1234»"},
		{"year 1234", ""},
		{"about BLUE HERON and more", "PROJECT «BLUE HERON»"},
		{"about Blue Herons", ""},
		{"Nightfall.", "PROJECT «Nightfall»"},
		{"ein überläufer kam", "PROJECT «überläufer»"},
		{"midnightfall", ""},
	} {
		found := p.Find(nil, []byte(c.text))
		if c.want == "" {
			require.Empty(t, found, c.text)
			continue
		}
		require.Len(t, found, 1, c.text)
		require.Equal(t, c.want, string(found[0].Type)+" «"+c.text[found[0].Start:found[0].End]+"»")
	}
	typ, ok := p.ColumnVerdict("emp_pay_grade", "", nil)
	require.True(t, ok)
	require.Equal(t, Type("GRADE"), typ)
	require.Len(t, p.FindNamed(nil, []byte("1234"), p.Topics("locker_no")), 1)
	require.Empty(t, p.FindNamed(nil, []byte("1234"), p.Topics("shelf_no")))
	require.Empty(t, Default().FindNamed(nil, []byte("EMP-123456"), 0))
}

func TestPatternsAndTheRest(t *testing.T) {
	for _, c := range []struct {
		name  string
		score uint8
		want  Type
	}{{"the surer stays", 99, "TICKET"}, {"the less sure goes", 40, Email}} {
		t.Run(c.name, func(t *testing.T) {
			p, err := New(Config{Patterns: []Pattern{{Type: "TICKET", Regexp: `ann@[a-z.]+`, Score: c.score}}})
			require.NoError(t, err)
			found := p.Find(nil, []byte("write to ann@example.com or bob@example.com"))
			require.Len(t, found, 2)
			require.Equal(t, c.want, found[0].Type)
			require.Equal(t, Email, found[1].Type)
		})
	}
}

func TestBadPatterns(t *testing.T) {
	for name, c := range map[string]Pattern{
		"nothing":        {Type: "X"},
		"no type":        {Regexp: "abc"},
		"type":           {Type: "A B", Regexp: "abc"},
		"syntax":         {Type: "X", Regexp: "a("},
		"backreference":  {Type: "X", Regexp: `(a)\1bc`},
		"empty":          {Type: "X", Regexp: "a*"},
		"empty branch":   {Type: "X", Regexp: "(abcd|)"},
		"everything":     {Type: "X", Regexp: ".+"},
		"one character":  {Type: "X", Regexp: "[a-z]"},
		"empty value":    {Type: "X", Regexp: "abcd(?P<value>.*)"},
		"nothing at all": {Type: "X", Regexp: `[^\x00-\x{10FFFF}]abc`},
		"validator":      {Type: "X", Regexp: "abcd", Validator: "crc"},
		"lone validator": {Type: "X", Columns: []string{"a"}, Validator: "luhn"},
		"short word":     {Type: "X", Words: []string{"a"}},
		"space":          {Type: "X", Words: []string{" ab"}},
		"dead word":      {Type: "X", Words: []string{"1234567"}, Validator: "luhn"},
		"score":          {Type: "X", Regexp: "abcd", Score: 101},
		"context":        {Type: "X", Regexp: "abcd", Context: []string{"!"}},
		"column":         {Type: "X", Columns: []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Patterns: []Pattern{c}})
			require.Error(t, err)
		})
	}
	many := make([]Pattern, 60)
	for i := range many {
		many[i] = Pattern{Type: "X", Regexp: "abcd", Context: []string{"word"}}
	}
	_, err := New(Config{Patterns: many})
	require.ErrorContains(t, err, "context")
}

func TestPrefilter(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    string
		folded  bool
	}{
		{`EMP-\d{6}`, "EMP-", false},
		{`\d+-ref-[a-z]{8}`, "-ref-", false},
		{`(?:foo|barbaz)\d+`, "foo barbaz", false},
		{`(?i)contract\d`, "contract", true},
		{`(abc)+\d`, "abc", false},
		{`(?:abc)?\d{5}`, "", false},
		{`[a-z]+\d{3}`, "", false},
		{`(?:foo|\d)xy`, "xy", false},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			x, err := (&Pattern{Type: "X", Regexp: c.pattern}).compile(0)
			require.NoError(t, err)
			var got []string
			for _, l := range x.literals {
				got = append(got, string(l))
			}
			require.Equal(t, c.want, strings.Join(got, " "))
			require.Equal(t, c.folded, x.folded)
		})
	}
}
