package masking

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// profiled are the hooks of a session with some profiles.
func profiled(t testing.TB, c Config, groups []string, profiles ...string) proxy.Hooks {
	t.Helper()
	c.Profiles = func(*proxy.Session) []string { return profiles }
	h, _ := hooksFor(t, c, groups...)
	return h
}

// TestProfile: a profile applies to the sessions that have it, in addition to the rest.
func TestProfile(t *testing.T) {
	email, salary, note := plainColumn("email", 25, false), plainColumn("salary", 25, false), plainColumn("note", 25, false)
	const text = "write to ann@example.com"
	partly := "write to a**@*******.com"
	support := Rule{Profile: "support", Columns: []string{"salary"}, With: Redact}
	for _, c := range []struct {
		name     string
		config   Config
		groups   []string
		profiles []string
		column   proxy.ShapeColumn
		in, want string
	}{
		{"without it", Config{Rules: []Rule{support}}, nil, nil, salary, "much", "much"},
		{"with it", Config{Rules: []Rule{support}}, nil, []string{"support"}, salary, "much", "[COLUMN]"},
		{"with another", Config{Rules: []Rule{support}}, nil, []string{"other"}, salary, "much", "much"},
		{"the default set is there all the same", Config{Rules: []Rule{support}}, nil, []string{"support"}, note, text, partly},
		{"a default set of a profile", Config{Rules: []Rule{{Profile: "all", With: Redact}}}, nil, []string{"all"}, note, text, "write to [EMAIL_ADDRESS]"},
		{"is not one of others", Config{Rules: []Rule{{Profile: "all", With: Redact}}}, nil, nil, note, text, partly},
		{"it switches on what is off", Config{Rules: []Rule{{Off: true}, {Profile: "all"}}}, nil, []string{"all"}, note, text, partly},
		{"off stays off for others", Config{Rules: []Rule{{Off: true}, {Profile: "all"}}}, nil, nil, note, text, text},
		{"a type that is shown otherwise", Config{Rules: []Rule{{Types: []detect.Type{detect.Email}, With: Visible}, {Profile: "p", Types: []detect.Type{detect.Email}, With: Redact}}}, nil, []string{"p"}, note, text, "write to [EMAIL_ADDRESS]"},
		{"a type that is shown otherwise, and all", Config{Rules: []Rule{{Types: []detect.Type{detect.Email}, With: Visible}, {Profile: "p", With: Redact}}}, nil, []string{"p"}, note, text, "write to [EMAIL_ADDRESS]"},
		{"a weaker type", Config{Rules: []Rule{{With: Redact}, {Profile: "p", Types: []detect.Type{detect.Email}, With: KeepDomain}}}, nil, []string{"p"}, note, text, "write to [EMAIL_ADDRESS]"},
		{"a weaker column", Config{Rules: []Rule{{With: Redact}, {Profile: "p", Columns: []string{"email"}, With: KeepDomain}}}, nil, []string{"p"}, email, "ann@example.com", "[EMAIL_ADDRESS]"},
		{"a weaker column of what is hidden by type", Config{Rules: []Rule{{Types: []detect.Type{detect.Email}, With: Redact}, {Profile: "p", Columns: []string{"note"}, With: Partial}}}, nil, []string{"p"}, note, text, "[COLUMN]"},
		{"two profiles", Config{Rules: []Rule{{Profile: "a", Columns: []string{"salary"}, With: Partial}, {Profile: "b", Columns: []string{"salary"}, With: Redact}}}, nil, []string{"a", "b"}, salary, "much", "[COLUMN]"},
		{"who sees everything", Config{Unmasked: []string{"dba"}, Rules: []Rule{support}}, []string{"dba"}, nil, note, text, text},
		{"who sees everything, under a profile", Config{Unmasked: []string{"dba"}, Rules: []Rule{support}}, []string{"dba"}, []string{"support"}, salary, "much", "[COLUMN]"},
		{"an exception of the profile", Config{Rules: []Rule{{Profile: "support", Columns: []string{"salary"}, With: Redact, Except: []string{"lead"}}}}, []string{"lead"}, []string{"support"}, salary, "much", "much"},
		{"a rule that adds", Config{Rules: []Rule{{Adds: true, Columns: []string{"salary"}, With: Redact}}}, nil, nil, salary, "much", "[COLUMN]"},
		{"one that would show more of a type", Config{Rules: []Rule{{With: Redact}, {Adds: true, Types: []detect.Type{detect.Email}, With: KeepDomain}}}, nil, nil, note, text, "write to [EMAIL_ADDRESS]"},
		{"one that would show more of a column", Config{Rules: []Rule{{Adds: true, Columns: []string{"email"}, With: KeepDomain}}}, nil, nil, email, "ann@example.com", "a**@*******.com"},
		{"one of a profile", Config{Rules: []Rule{{Adds: true, Profile: "support", Columns: []string{"salary"}, With: Redact}}}, nil, nil, salary, "much", "much"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, masked(t, profiled(t, c.config, c.groups, c.profiles...), c.column, c.in))
		})
	}
	for name, r := range map[string]Rule{
		"off":               {Profile: "p", Off: true},
		"visible":           {Profile: "p", Types: []detect.Type{detect.Email}, With: Visible},
		"masks are written": {Profile: "p", WriteBack: WriteBackAllow},
		"masks are noted":   {Profile: "p", WriteBack: WriteBackObserve},
	} {
		_, err := New(Config{Rules: []Rule{r}})
		require.ErrorContains(t, err, `a rule of profile "p" can only add to what is masked`, name)
		r.Profile, r.Adds = "", true
		_, err = New(Config{Rules: []Rule{r}})
		require.ErrorContains(t, err, `this rule can only add to what is masked`, name)
	}
}

// TestProfilesNeverShowMore draws rules and profiles: whatever a session is shown under a
// profile is hidden as strictly as without it, in every respect that rules have.
func TestProfilesNeverShowMore(t *testing.T) {
	types := []detect.Type{detect.Email, detect.IP, detect.Person, detect.Card}
	names := []string{"email", "salary", "note", "client_ip", "v"}
	transforms := []Transform{Partial, Fixed, Redact, Null, Hash, SameShape, KeepDomain, KeepNetwork, Bucket}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(n int) bool { return r.IntN(n) == 0 }
	draw := func(profile string) Rule {
		rule := Rule{Profile: profile, With: transforms[r.IntN(len(transforms))], Mode: Mode(r.IntN(3)), Requests: []Requests{RequestsUnset, RequestsObserve, RequestsRefuse}[r.IntN(3)]}
		if profile == "" {
			rule.WriteBack = WriteBack(r.IntN(4))
		}
		if rule.With == Fixed {
			rule.Text = "x"
		}
		if pick(2) {
			rule.Types = []detect.Type{types[r.IntN(len(types))]}
			if profile == "" && pick(3) {
				rule.With, rule.Text = Visible, ""
				return rule
			}
		}
		if pick(2) {
			rule.Columns = []string{names[r.IntN(len(names))]}
		}
		return rule
	}
	tried := 0
	for tried < 3000 {
		var rules []Rule
		for range r.IntN(4) {
			rules = append(rules, draw(""))
		}
		if pick(4) {
			rules = append(rules, Rule{Off: true})
		}
		for range 1 + r.IntN(2) {
			rules = append(rules, draw("p"))
		}
		m, err := New(Config{Rules: rules, Key: []byte("0123456789abcdef")})
		if err != nil {
			continue // drawn together what does not go together
		}
		tried++
		id, at := &proxy.Identity{Subject: "alice"}, &proxy.Resource{}
		without, with := m.view(id, at), m.view(id, at, "p")
		say := func(what string) string { return fmt.Sprintf("%s, of %+v", what, rules) }
		for _, typ := range append(types, detect.LocalIP, detect.Location, Column) {
			a, b := without.treatment(typ), with.treatment(typ)
			require.Equal(t, b, stricter(a, b), say(string(typ)))
			if without.requests != nil {
				require.GreaterOrEqual(t, with.requestsOf(typ).Requests, without.requestsOf(typ).Requests, say(string(typ)))
			}
		}
		require.GreaterOrEqual(t, with.mode, without.mode)
		for _, name := range names {
			var a, b column
			sc := proxy.ShapeColumn{Name: name, Type: 25}
			hidA, hidB := without.named(&a, nil, &sc, name), with.named(&b, nil, &sc, name)
			require.True(t, hidB || !hidA, say(name))
			if hidA {
				require.Equal(t, b.with, stricter(a.with, b.with), say(name))
			}
			if hidB && !hidA && b.why == &ofRule { // it could hold anything that is found
				for _, typ := range types {
					require.Equal(t, b.with, stricter(without.treatment(typ), b.with), say(name))
				}
			}
			require.GreaterOrEqual(t, with.modeOf("", "", name).Mode, without.modeOf("", "", name).Mode, say(name))
			o := &proxy.Origin{Column: name}
			require.GreaterOrEqual(t, with.writeBack(o, &a).WriteBack, without.writeBack(o, &a).WriteBack, say(name))
		}
	}
}
