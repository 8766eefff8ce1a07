package masking

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]detect.Type{
		"email": detect.Email, "EMAIL": detect.Email, "userEmail": detect.Email, "customer_email_address": detect.Email, "billing-email": detect.Email, "e": "", "email_verified": "", "emailType": "",
		"ssn": detect.USSSN, "SSN ": detect.USSSN, "ssn2": detect.USSSN, "social_security_number": detect.USSSN, "firstName": detect.Person, "first_name": detect.Person, "FIRST_NAME": detect.Person, "name": "",
		"dob": detect.BirthDate, "date_of_birth": detect.BirthDate, "birthDate": detect.BirthDate, "cvv": detect.CardCode, "card_number": detect.Card, "cardNumber": detect.Card, "card_type": "",
		"password_hash": detect.Password, "password": detect.Password, "password_changed_at": "", "api_key": detect.Secret, "apiKey": detect.Secret, "key": "", "token": detect.Secret,
		"token_count": "", "ip_address": "", "home_address": detect.Address, "address_line_1": detect.Address, "wallet_address": "", "phone": detect.Phone, "phone_number": detect.Phone,
		"phone_type": "", "ssn_n": detect.USSSN, "ssn_raw_text": detect.USSSN, "emailHash": detect.Email, "ssn_last4": detect.USSSN, "n": "", "no": "", "iban": detect.IBAN, "passport_no": detect.Passport, "id": "", "": "", "order_id": "", "histogram_bounds": detect.Statistics, "stavalues3": detect.Statistics,
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := detect.Default().TypeOfName(name)
			require.Equal(t, want, got)
			require.Equal(t, want != "", ok)
		})
	}
	got, ok := detect.Default().TypeOfName(strings.Repeat("email_", 100) + "email")
	require.False(t, ok, "%s", got)
}

func TestMentions(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		want      mentions
		given     string // labels that the text gives
		notGiven  string
	}{
		{"nothing", "SELECT a, b FROM t", mentions{}, "", "a b"},
		{"plain", "SELECT ssn, b FROM t", mentions{any: true}, "", "ssn b"},
		{"AS", "SELECT ssn AS x FROM t", mentions{any: true}, "x", "ssn"},
		{"no AS", "SELECT t.ssn x, b FROM t", mentions{any: true}, "x", "b"},
		{"name of another", "SELECT ssn, t.role AS r, role q FROM t u", mentions{any: true}, "", "r q u"},
		{"names of names", "SELECT h z, k y FROM (SELECT ssn h, role k FROM t) x", mentions{any: true}, "h z", "k y"},
		{"two names", "SELECT role a FROM t UNION SELECT ssn a FROM t", mentions{any: true}, "a", ""},
		{"expression", "SELECT ssn, a || role AS x, (role) AS y FROM t", mentions{any: true}, "x y", ""},
		{"quoted", `SELECT "SSN" "X y" FROM t`, mentions{any: true}, "x_y", ""},
		{"comment", "SELECT ssn/**/x -- y\nFROM t", mentions{any: true}, "x", "y"},
		{"nested comment", "SELECT /* /* */ ssn */ a FROM t", mentions{}, "", "a"},
		{"text", "SELECT 'ssn', a FROM t", mentions{}, "", "a"},
		{"code in a text", "SELECT f('select ssn from t')", mentions{any: true}, "", ""},
		{"code in dollars", "DO $x$ BEGIN PERFORM ssn FROM t; END $x$", mentions{any: true, runs: true}, "", ""},
		{"field", "SELECT doc->>'ssn' FROM t", mentions{any: true}, "", ""},
		{"escapes", `SELECT E'\'', ssn x FROM t`, mentions{any: true}, "x", ""},
		{"doubtful", `SELECT '\', ssn x FROM t'`, mentions{any: true, dates: true, doubtful: true}, "", ""},
		{"unicode name", `SELECT U&"\0073sn" FROM t`, mentions{any: true, dates: true, doubtful: true}, "", ""},
		{"where", "SELECT a FROM t WHERE ssn = '1'", mentions{any: true, used: []string{"ssn"}}, "", "a"},
		{"order", "SELECT a FROM t ORDER BY ssn", mentions{any: true, used: []string{"ssn"}}, "", ""},
		{"call", "SELECT upper(ssn) FROM t", mentions{any: true, used: []string{"ssn"}}, "", ""},
		{"table list", "SELECT b FROM (SELECT id, ssn FROM t) AS x(a, b)", mentions{any: true, used: []string{"ssn"}}, "a b", ""},
		{"prepare", "PREPARE s AS SELECT ssn FROM t", mentions{any: true, keeps: true}, "", ""},
		{"select into", "SELECT ssn INTO x FROM t", mentions{any: true, keeps: true}, "", ""},
		{"insert", "INSERT INTO t (ssn) VALUES ('1')", mentions{any: true}, "", ""},
		{"insert select", "INSERT INTO t SELECT ssn FROM u", mentions{any: true, keeps: true}, "", ""},
		{"execute", "EXECUTE s", mentions{runs: true}, "", ""},
		{"row", "SELECT t FROM t", mentions{rows: true}, "", ""},
		{"row by alias", "SELECT x::text FROM t x", mentions{rows: true}, "", ""},
		{"row in a call", "SELECT f(x.*) FROM t AS x", mentions{rows: true, star: true}, "", ""},
		{"star", "SELECT * FROM t", mentions{star: true}, "", ""},
		{"count", "SELECT count(*), a * b FROM t", mentions{}, "", ""},
		{"table", "TABLE t", mentions{star: true}, "", ""},
		{"unfinished", "SELECT 'ssn", mentions{}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read([]byte(c.sql), func(name string) (detect.Type, bool) {
				t, ok := detect.Default().TypeOfName(name)
				return t, ok && t == detect.USSSN
			})
			for _, label := range strings.Fields(c.given) {
				source, known := got.labels.origin(strings.ReplaceAll(label, "_", " "))
				require.True(t, !known || source == "ssn", label)
			}
			for _, label := range strings.Fields(c.notGiven) {
				source, known := got.labels.origin(label)
				require.True(t, known && (source != "ssn" || label == "ssn"), label)
			}
			got.labels, got.makes, got.fills, got.lasts, got.opens, got.computed, got.renames, got.names, got.selects, got.fields = nil, nil, nil, nil, false, false, false, nil, false, false
			require.Equal(t, c.want, got)
		})
	}
}

// TestComputedWith tells what is computed with a masked column from what is
// returned with it.
func TestComputedWith(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT ssn, count(*) FROM t GROUP BY ssn":                           false,
		"SELECT count(ssn), count(DISTINCT t.ssn) FROM t":                    false,
		"SELECT count(*) FROM t WHERE length(ssn) = 9 ORDER BY ssn":          false,
		"SELECT t.ssn AS x, sum(a) FROM t JOIN u ON u.ssn = t.ssn":           false,
		"INSERT INTO t (ssn) VALUES ('1') RETURNING id":                      false,
		"SELECT sum(a), ssn FROM (SELECT a, ssn FROM t) q GROUP BY 2":        false,
		"SELECT ssn % 1000 FROM t":                                           true,
		"SELECT 1 + ssn FROM t":                                              true,
		"SELECT (ssn) FROM t":                                                true,
		"SELECT ascii(ssn) FROM t":                                           true,
		"SELECT mod(5, ssn) FROM t":                                          true,
		"SELECT length(t.ssn) FROM t":                                        true,
		"SELECT y % 10 FROM (SELECT ssn AS y FROM t) q":                      true,
		"SELECT q.y::int FROM (SELECT ssn y FROM t) q":                       true,
		"SELECT z / 10 FROM (SELECT y z FROM (SELECT ssn y FROM t) a) b":     true,
		"SELECT d % 10 FROM t AS x(a, b, c, d), u WHERE ssn = 1":             true,
		"SELECT DISTINCT ON (a) ssn % 10 FROM t":                             true,
		"SELECT DISTINCT ON (a) y % 10 FROM (SELECT ssn y, a FROM t) q":      true,
		"SELECT 1 OPERATOR(pg_catalog.*) y FROM (SELECT ssn y FROM t) q":     true,
		"SELECT string_agg(a ORDER BY b), ssn % 10 FROM t":                   true,
		"SELECT extract(year FROM ssn) FROM t":                               true,
		"SELECT sum(length(ssn)) OVER (ORDER BY a) FROM t":                   true,
		"SELECT v.c FROM t, LATERAL (VALUES (ssn % 10)) v(c)":                true,
		"SELECT row_to_json((1, ssn)) FROM t":                                true,
		"SELECT v.* FROM t, LATERAL (VALUES (1, ssn), (2, 3)) v":             true,
		"SELECT a FROM (SELECT a, t.ssn FROM t) q, (SELECT b, ssn FROM u) r": false,
		"SELECT count(*) + max(ssn) FROM t":                                  true,
	} {
		t.Run(sql, func(t *testing.T) {
			got := read([]byte(sql), func(name string) (detect.Type, bool) { return detect.USSSN, name == "ssn" })
			require.True(t, got.any)
			require.Equal(t, want, got.computed)
		})
	}
}

func FuzzMentions(f *testing.F) {
	for _, s := range []string{"SELECT ssn AS x FROM t", "SELECT E'\\'', U&\"a\" FROM t(a)", "$a$ select $b$ from $b$ $a$", "/* /* */", "'", "\"", "$$", "((((("} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		read(text, func(string) (detect.Type, bool) { return "", false })
		copyColumns(text)
	})
}

func TestCopyColumns(t *testing.T) {
	for _, c := range []struct {
		sql   string
		names []string
		query bool
	}{
		{"COPY p TO STDOUT", nil, false},
		{`copy public.p (id, "SSN") TO STDOUT`, []string{"id", "ssn"}, false},
		{"COPY (SELECT a FROM p) TO STDOUT", nil, true},
		{"/* x */ COPY p(a) TO STDOUT WITH (FORMAT csv)", []string{"a"}, false},
		{"COPY p TO STDOUT (FORMAT csv, HEADER)", nil, false},
		{"SELECT 1", nil, false},
	} {
		t.Run(c.sql, func(t *testing.T) {
			names, query := copyColumns([]byte(c.sql))
			require.Equal(t, c.names, names)
			require.Equal(t, c.query, query)
		})
	}
}

func TestTransform(t *testing.T) {
	m, err := New(Config{Key: []byte("0123456789abcdef")})
	require.NoError(t, err)
	for _, c := range []struct {
		name string
		typ  detect.Type
		how  Transform
		in   string
		want string
	}{
		{"card", detect.Card, Partial, "4111-1111-1111-1111", "****-****-****-1111"},
		{"X3 short", detect.Card, Partial, "41111", "*****"},
		{"email", detect.Email, Partial, "alice@example.com", "a****@*******.com"},
		{"short email", detect.Email, Partial, "a@b.co", "*@*.co"},
		{"no email", detect.Email, Partial, "nobody", "******"},
		{"phone", detect.Phone, Partial, "+1 (415) 555-2671", "+* (***) ***-**71"},
		{"person", detect.Person, Partial, "Zoë Çelik", "Z** *****"},
		{"other scripts", detect.Person, Partial, "山田太郎", "山***"},
		{"identifier", detect.USSSN, Partial, "123-45-6789", "***-**-****"},
		{"other digits", detect.USSSN, Partial, "١٢٣", "***"},
		{"password", detect.Password, Partial, "x", "********"},
		{"redacted", detect.Email, Redact, "a@b.co", "[EMAIL_ADDRESS]"},
		{"null in a text", detect.Email, Null, "a@b.co", "[EMAIL_ADDRESS]"},
		{"visible", detect.Email, Visible, "a@b.co", "a@b.co"},
		{"broken UTF-8", detect.Person, Partial, "\xff\xfeab", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(m.appendMasked(nil, []byte(c.in), c.typ, treatment{Transform: c.how}.withDefaults()))
			if c.want != "" {
				require.Equal(t, c.want, got)
			}
		})
	}
	hash := func(m *Masker, s string, t detect.Type) string {
		return string(m.appendMasked(nil, []byte(s), t, treatment{Transform: Hash}))
	}
	require.Equal(t, hash(m, "4111 1111 1111 1111", detect.Card), hash(m, "4111-1111-1111-1111", detect.Card), "X1: one value, one hash")
	require.NotEqual(t, hash(m, "123456789", detect.USSSN), hash(m, "123456789", detect.Card))
	other, err := New(Config{})
	require.NoError(t, err)
	require.NotEqual(t, hash(m, "123456789", detect.USSSN), hash(other, "123456789", detect.USSSN), "X2: the hash has a key")
}

func TestRulesThatAreRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"short key":       {Key: []byte("short")},
		"off and more":    {Rules: []Rule{{Off: true, With: Redact}}},
		"visible all":     {Rules: []Rule{{With: Visible}}},
		"visible columns": {Rules: []Rule{{With: Visible, Columns: []string{"a"}, Types: []detect.Type{detect.Email}}}},
		"unknown type":    {Rules: []Rule{{Types: []detect.Type{"EMAIL"}}}},
		"column":          {Rules: []Rule{{Columns: []string{"a.b.c.d"}}}},
		"empty part":      {Rules: []Rule{{Columns: []string{"a..c"}}}},
		"pattern":         {Rules: []Rule{{Columns: []string{"[a"}}}},
		"transform":       {Rules: []Rule{{With: 99}}},
		"mode":            {Rules: []Rule{{Mode: 99}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c)
			require.Error(t, err)
		})
	}
	for _, name := range append(transformNames[:], "") {
		how, err := ParseTransform(name)
		require.NoError(t, err)
		require.True(t, name == "" || how.String() == name)
	}
	_, err := ParseTransform("rot13")
	require.Error(t, err)
	for _, name := range []string{"", "display", "balanced", "strict"} {
		mode, err := ParseMode(name)
		require.NoError(t, err)
		require.True(t, name == "" || mode.String() == name)
	}
	_, err = ParseMode("lenient")
	require.Error(t, err)
}

// TestViews resolves rules for identities and resources.
func TestViews(t *testing.T) {
	prod := func(r *proxy.Resource) bool { return r.Labels["env"] == "prod" }
	at := &proxy.Resource{Labels: map[string]string{"env": "prod"}}
	elsewhere := &proxy.Resource{}
	alice, admin := &proxy.Identity{Subject: "alice"}, &proxy.Identity{Subject: "root", Groups: []string{"admins"}}
	for _, c := range []struct {
		name  string
		rules []Rule
		id    *proxy.Identity
		at    *proxy.Resource
		email Transform
		ip    Transform
		idle  bool
	}{
		{"none", nil, alice, at, Partial, Partial, false},
		{"off", []Rule{{Off: true}}, alice, at, Visible, Visible, true},
		{"off elsewhere", []Rule{{Off: true, Resources: prod}}, alice, elsewhere, Partial, Partial, false},
		{"off but for a type", []Rule{{Off: true}, {Types: []detect.Type{detect.Email}, With: Redact}}, alice, at, Redact, Visible, false},
		{"general", []Rule{{With: Redact}}, alice, at, Redact, Redact, false},
		{"general here", []Rule{{With: Redact, Resources: prod}}, alice, at, Redact, Redact, false},
		{"general, but not here", []Rule{{With: Redact, Resources: prod}}, alice, elsewhere, Visible, Visible, true},
		{"general for others", []Rule{{With: Redact, Groups: []string{"admins"}}}, alice, at, Visible, Visible, true},
		{"general for others, and for all", []Rule{{With: Redact, Groups: []string{"admins"}}, {}}, alice, at, Partial, Partial, false},
		{"except", []Rule{{With: Redact, Except: []string{"admins"}}}, admin, at, Visible, Visible, true},
		{"except others", []Rule{{With: Redact, Except: []string{"admins"}}}, alice, at, Redact, Redact, false},
		{"strictest", []Rule{{With: Redact}, {With: Hash}}, alice, at, Redact, Redact, false},
		{"a type", []Rule{{Types: []detect.Type{detect.IP}, With: Visible}}, alice, at, Partial, Visible, false},
		{"a type twice", []Rule{{Types: []detect.Type{detect.IP}, With: Visible}, {Types: []detect.Type{detect.IP}, With: Null}}, alice, at, Partial, Null, false},
		{"except of a type", []Rule{{Types: []detect.Type{detect.Email}, With: Null, Except: []string{"admins"}}}, admin, at, Partial, Partial, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := New(Config{Rules: c.rules})
			require.NoError(t, err)
			v := m.view(c.id, c.at)
			require.Equal(t, c.email, v.transform(detect.Email))
			require.Equal(t, c.ip, v.transform(detect.IP))
			require.Equal(t, c.idle, v.idle())
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	hooks, err := m.Intercept(context.Background(), &proxy.Session{Identity: &proxy.Identity{}, Target: proxy.Target{Resource: &proxy.Resource{}}})
	require.NoError(t, err)
	encoding := func(name string) proxy.Op {
		return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{Settings: []proxy.Setting{{Name: "client_encoding", Value: name}}}}
	}
	for _, c := range []struct {
		name    string
		op      proxy.Op
		refused bool
	}{
		{"P37 function", &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}}, true},
		{"P45 replication", &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindReplication}}, true},
		{"P40 encoding", encoding("SJIS"), true},
		{"P40 other", encoding("gb18030"), true},
		{"UTF-8", encoding("utf8"), false},
		{"latin", encoding("LATIN1"), false},
		{"P40 at the start", &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Params: map[string]string{"client_encoding": "BIG5"}}, true},
		{"start", &proxy.Connect{Meta: proxy.Meta{Kind: proxy.KindConnect}, Params: map[string]string{"client_encoding": "UTF8"}}, false},
		{"statement", &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT ssn FROM p WHERE ssn = '1'")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := hooks.Ask(context.Background(), c.op)
			require.Equal(t, c.refused, v.Refuses())
			if c.refused {
				require.Equal(t, proxy.CauseMasking, v.Cause)
			}
		})
	}
	_, err = hooks.Flow(context.Background(), &proxy.Statement{}, &proxy.Shape{Kind: 99})
	require.Error(t, err, "what is not known is not passed on")
}
