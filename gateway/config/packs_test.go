package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// packed is a file with two databases and a machine, and sections to be tried.
func packed(t *testing.T, sections string) (*File, error) {
	t.Helper()
	access := `access: [{groups: ["*"], allow: [all]}]`
	if strings.HasPrefix(sections, "access:") {
		access = ""
	}
	return Parse(t.TempDir()+"/x.yaml", []byte(`listen: {postgres: 127.0.0.1:6432, ssh: 127.0.0.1:6022}
identity: {users: [{name: alice, groups: [dev, oncall], password: "`+verifier+`"}, {name: bob, groups: [ops], password: "`+verifier+`"}]}
resources:
  - {name: orders, type: postgres, address: "a:1", username: u, labels: {env: prod}}
  - {name: tests, type: postgres, address: "b:1", username: u, labels: {env: dev}}
  - {name: vm1, type: ssh, address: "c:1", username: u, labels: {env: prod}, ssh: {host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K"]}}
`+access+`
tags: {pii: [p.ssn]}
`+sections), options())
}

// groupsOf are the groups of the users of packed.
var groupsOf = map[string][]string{"alice": {"dev", "oncall"}, "bob": {"ops"}}

func resourceOf(t *testing.T, f *File, name string) *proxy.Resource {
	t.Helper()
	dir, err := f.Directory(t.Context(), nil)
	require.NoError(t, err)
	i := slices.IndexFunc(dir, func(r *proxy.Resource) bool { return r.Name == name })
	require.GreaterOrEqual(t, i, 0)
	return dir[i]
}

// masks reports whether a user gets a value of a column masked.
func masks(t *testing.T, f *File, user, resource, column, value string) bool {
	t.Helper()
	m, err := f.Masker(t.Context(), nil, masking.Config{})
	require.NoError(t, err)
	if m == nil {
		return false
	}
	s := &proxy.Session{Protocol: "postgres", Identity: &proxy.Identity{Subject: user, Groups: groupsOf[user]}, Target: proxy.Target{Resource: resourceOf(t, f, resource)}}
	h, err := m.Intercept(t.Context(), s)
	require.NoError(t, err)
	if h.Flow == nil {
		return false
	}
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 1"), Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true}}
	flow, err := h.Flow(t.Context(), op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: column, Type: 25}}})
	require.NoError(t, err)
	if flow.Row == nil {
		return false
	}
	r := proxy.NewRow([][]byte{[]byte(value)})
	require.NoError(t, flow.Row(r))
	return string(r.Value(0)) != value
}

// TestMaskingPack: the default pack applies where entries with use: default say,
// everywhere when the file has no entry of this kind, and nowhere where one with
// use: off says.
func TestMaskingPack(t *testing.T) {
	const own = "{columns: [p.salary], with: redact}"
	for _, c := range []struct {
		section string
		found   string // who has the default pack: alice and bob at orders, alice and bob at tests
	}{
		{"", "yyyy"},
		{"masking: []", "yyyy"},
		{"masking: [{use: default}]", "yyyy"},
		{"masking: [" + own + "]", "yyyy"},
		{"masking: [{use: off}]", "nnnn"},
		{"masking: [{use: off}, " + own + "]", "nnnn"},
		{"masking: [{use: off, resources: {env: dev}}]", "yynn"},
		{"masking: [{use: off, resources: [orders]}, " + own + "]", "nnyy"},
		{"masking: [{use: off, groups: [dev]}]", "nyny"},
		{"masking: [{use: default, resources: {env: prod}}]", "yynn"},
		{"masking: [{use: default, resources: [tests]}, " + own + "]", "nnyy"},
		{"masking: [{use: default, groups: [dev]}]", "ynyn"},
		{"masking: [{use: default, except: {groups: [dev]}}]", "nyny"},
		{"masking: [{use: default, resources: [orders]}, {use: default, groups: [ops], with: redact}]", "yyny"},
		{"masking: [{use: default}, {use: off, resources: [orders]}]", "nnyy"},
		{"masking: [{recognize: {entity: BADGE, pattern: 'BG-[0-9]{4}'}}]", "yyyy"},
	} {
		t.Run(c.section, func(t *testing.T) {
			f, err := packed(t, c.section)
			require.NoError(t, err)
			got := ""
			for _, resource := range []string{"orders", "tests"} {
				for _, user := range []string{"alice", "bob"} {
					got += map[bool]string{true: "y", false: "n"}[masks(t, f, user, resource, "email", "alice@example.com")]
					require.Equal(t, strings.Contains(c.section, own), masks(t, f, user, resource, "salary", "much"), "a rule of its own, at %s", resource)
				}
			}
			require.Equal(t, c.found, got)
		})
	}
}

// applies reports whether the guardrails refuse a text at a resource.
func applies(t *testing.T, f *File, user, resource string, op proxy.Op) (refused bool, rule string) {
	t.Helper()
	g, err := f.Guardrail(guardrail.Config{})
	require.NoError(t, err)
	if g == nil {
		return false, ""
	}
	gateway := &proxy.Gateway{Unrecorded: true, Interceptors: []proxy.Interceptor{proxytest.Allow{}, g}}
	s, _, err := gateway.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: user, Groups: groupsOf[user]}, Target: proxy.Target{Resource: resourceOf(t, f, resource)}, Dry: true,
	})
	require.NoError(t, err)
	defer s.Close(nil)
	v := s.Ask(t.Context(), op)
	return v.Refuses(), v.Rule
}

// TestGuardrailPack is the same rule for guardrails.
func TestGuardrailPack(t *testing.T) {
	const own = "{name: own, deny: {effects: [alter]}}"
	statement := func(e proxy.Effects) *proxy.Statement {
		return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{Effects: e, Statements: 1}}
	}
	for _, c := range []struct {
		section string
		pack    string // where the pack refuses: orders, tests, vm1
	}{
		{"", "yyy"},
		{"guardrails: []", "yyy"},
		{"guardrails: [{use: default}]", "yyy"},
		{"guardrails: [" + own + "]", "yyy"},
		{"guardrails: [{use: off}]", "nnn"},
		{"guardrails: [{use: off}, " + own + "]", "nnn"},
		{"guardrails: [{use: off, resources: {env: dev}}]", "yny"},
		{"guardrails: [{use: off, resources: [orders, vm1]}, " + own + "]", "nyn"},
		{"guardrails: [{use: off, resources: ['o*']}, {use: off, resources: [vm1]}]", "nyn"},
		{"guardrails: [{use: default, resources: {env: prod}}]", "yny"},
		{"guardrails: [{use: default, resources: {env: prod}}, {use: off, resources: [vm1]}]", "ynn"},
		{"guardrails: [{use: default, resources: {env: prod}}, {use: default, resources: [tests]}]", "yyy"},
		{"guardrails: [{use: default, observe: true}]", "nnn"},
		{"guardrails: [{use: default, groups: [ops]}]", "nnn"},
	} {
		t.Run(c.section, func(t *testing.T) {
			f, err := packed(t, c.section)
			require.NoError(t, err)
			got := ""
			for _, at := range []struct {
				resource string
				op       proxy.Op
			}{{"orders", statement(proxy.EffectDrop)}, {"tests", statement(proxy.EffectDrop)}, {"vm1", &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "mkfs /dev/sda"}}} {
				refused, _ := applies(t, f, "alice", at.resource, at.op)
				got += map[bool]string{true: "y", false: "n"}[refused]
			}
			require.Equal(t, c.pack, got)
			refused, rule := applies(t, f, "alice", "orders", statement(proxy.EffectAlter))
			require.Equal(t, strings.Contains(c.section, own), refused)
			if refused {
				require.Equal(t, "own", rule)
			}
		})
	}
}

// TestPacks: what the log says of the packs is where they apply.
func TestPacks(t *testing.T) {
	for _, c := range []struct {
		section             string
		guardrails, masking Coverage
	}{
		{"", Everywhere, Everywhere},
		{"guardrails: [{use: off}]", Nowhere, Everywhere},
		{"masking: [{use: off}]", Everywhere, Nowhere},
		{"guardrails: [{use: off, resources: [vm1]}]\nmasking: [{use: off, resources: [orders]}]", Partly, Partly},
		{"guardrails: [{use: default, resources: {env: prod}}]\nmasking: [{use: default, resources: {env: prod}}]", Partly, Partly},
		{"guardrails: [{use: default, observe: true}]", Partly, Everywhere},
		{"masking: [{use: off, groups: [ops]}]", Everywhere, Partly},
		{"guardrails: [{name: own, deny: {effects: [alter]}}]\nmasking: [{columns: [note], with: hash}]", Everywhere, Everywhere},
	} {
		f, err := packed(t, c.section)
		require.NoError(t, err, c.section)
		guardrails, masking := f.Packs()
		require.Equal(t, []Coverage{c.guardrails, c.masking}, []Coverage{guardrails, masking}, c.section)
	}
}

// The rules for resources that are read-only are not given to an entry that is for
// other resources.
func TestGuardrailPackKeepsItsLabels(t *testing.T) {
	f, err := packed(t, "guardrails: [{use: default, resources: {read-only: 'false'}}]")
	require.ErrorContains(t, err, "no resource has the labels")
	require.Nil(t, f)
	rules := (&File{}).rulesOf(Guardrail{Use: useDefault, Resources: Selector{Labels: map[string]string{guardrail.ReadOnlyLabel: "false"}}}, 1)
	require.Len(t, rules, len(guardrail.Defaults())-2)
	for _, r := range rules {
		require.Equal(t, "false", r.Labels[guardrail.ReadOnlyLabel], r.Name)
	}
}

// problemsOf are the problems of one section.
func problemsOf(t *testing.T, section string) string {
	t.Helper()
	_, err := packed(t, section)
	if err == nil {
		return ""
	}
	var ps Problems
	require.ErrorAs(t, err, &ps)
	return err.Error()
}

// TestMaskingKeys has every key in every kind of entry: it has an effect, which
// TestMaskingPack, the tests of masking and the documents tell, or is a problem.
func TestMaskingKeys(t *testing.T) {
	entries := []struct{ name, entry string }{
		{"default", "use: default"},
		{"off", "use: off"},
		{"columns", "columns: [p.ssn], with: redact"},
		{"tags", "tags: [pii], with: redact"},
		{"db_types", "db_types: [inet], with: redact"},
		{"entities", "entities: [CREDIT_CARD], with: redact"},
		{"recognize", "recognize: {entity: BADGE, pattern: 'BG-[0-9]{4}'}"},
	}
	// A letter per entry: e: the key has an effect; p: it is a problem; -: the entry
	// has it already.
	keys := []struct{ key, effects string }{
		{"name: x", "epeeeep"},
		{"profile: x", "epeeeep"},
		{"use: default", "--ppppp"},
		{"use: off", "--ppppp"},
		{"columns: [p.a]", "pp-eeep"},
		{"tags: [pii]", "ppe-eep"},
		{"db_types: [inet]", "ppee-ep"},
		{"entities: [IBAN_CODE]", "ppeee-p"},
		{"groups: [dev]", "eeeeeep"},
		{"with: 'null'", "ep----p"},
		{"mode: strict", "epeeeep"},
		{"write_back: observe", "epeeeep"},
		{"requests: refuse", "epeeeep"},
		{"resources: [orders]", "eeeeeep"},
		{"except: {groups: [dev]}", "epeeeep"},
		{"keep_last: 2", "epppppp"},
		{"keep_first: 2", "epppppp"},
		{"text: x", "ppppppp"}, // of fixed alone
		{"days: 3", "ppppppp"}, // of shift alone
		{"unit: day", "ppppppp"},
		{"size: 10", "ppppppp"},
		{"bits: 8", "ppppppp"},
		{"recognize: {entity: OTHER, pattern: 'OT-[0-9]{4}'}", "pppppp-"},
	}
	for _, k := range keys {
		require.Len(t, k.effects, len(entries))
		for i, e := range entries {
			t.Run(e.name+" "+k.key, func(t *testing.T) {
				section := "masking: [{" + e.entry + ", " + k.key + "}]\npolicy: {opa: {dirs: [x]}}" // which may ask for profiles
				switch k.effects[i] {
				case 'e':
					require.Empty(t, problemsOf(t, section))
				case 'p':
					require.NotEmpty(t, problemsOf(t, section))
				}
			})
		}
	}
	require.Equal(t, keyCount[Masking](), len(keys)-1, "a key of masking entries is not in this table") // use is in it twice
}

// TestGuardrailKeys is the same for guardrails.
func TestGuardrailKeys(t *testing.T) {
	entries := []struct{ name, entry string }{
		{"default", "use: default"},
		{"off", "use: off"},
		{"deny", "deny: {effects: [alter]}"},
		{"warn", "warn: {effects: [alter]}"},
		{"hold", "hold: {effects: [alter]}, approvers: [oncall]"},
		{"rewrite", "rewrite: {no_limit: true}, limit: 10"},
		{"only", "only: {commands: [ls]}"},
	}
	keys := []struct{ key, effects string }{
		{"use: default", "--ppppp"},
		{"use: off", "--ppppp"},
		{"name: x", "ppeeeee"},
		{"deny: {effects: [drop]}", "pp-pppp"},
		{"warn: {effects: [drop]}", "ppp-ppp"},
		{"hold: {effects: [drop]}", "pppp-pp"},
		{"rewrite: {no_limit: true}", "ppppp-p"},
		{"only: {commands: [ls]}", "pppppp-"},
		{"limit: 5", "ppppp-p"},
		{"approvers: [oncall]", "pppp-pp"},
		{"for: 5m", "ppppepp"},
		{"in_transaction: 30s", "ppppepp"},
		{"reveal: true", "ppppepp"},
		{"undo: 168h", "ppppepp"},
		{"try: true", "ppppepp"},
		{"resources: [orders, vm1]", "eeeeeee"},
		{"databases: [shop]", "epeeeee"},
		{"accounts: [default]", "epeeeee"},
		{"groups: [dev]", "epeeeee"},
		{"during: {days: [mon], zone: UTC}", "epeeeee"},
		{"outside: {days: [mon], zone: UTC}", "epeeeee"},
		{"observe: true", "epeeeee"},
		{"message: no", "epeeeee"},
		{"remedy: Ask.", "epepeee"},
	}
	for _, k := range keys {
		require.Len(t, k.effects, len(entries))
		for i, e := range entries {
			t.Run(e.name+" "+k.key, func(t *testing.T) {
				section := "guardrails: [{" + e.entry + ", " + k.key + "}]"
				switch k.effects[i] {
				case 'e':
					require.Empty(t, problemsOf(t, section))
				case 'p':
					require.NotEmpty(t, problemsOf(t, section))
				}
			})
		}
	}
	require.Equal(t, keyCount[Guardrail](), len(keys)-1, "a key of guardrails is not in this table")
}

// keyCount is the number of keys that a kind of entry has.
func keyCount[T any]() int { return len(fieldsOf(reflect.TypeFor[T]()).keys) }

func TestPackProblems(t *testing.T) {
	for _, c := range []struct{ name, section, want string }{
		{"masking off and on", "masking: [{use: off}, {use: default, resources: [orders]}]", "the pack does not apply anywhere"},
		{"guardrails off and on", "guardrails: [{use: off}, {use: default}]", "the pack does not apply anywhere"},
		{"an unknown masking pack", "masking: [{use: defaults}]", `unknown masking pack "defaults" (want "default" or "off")`},
		{"an unknown guardrail pack", "guardrails: [{use: none}]", `unknown guardrail pack "none" (want "default" or "off")`},
		{"off where nothing is", "masking: [{use: off, resources: [nowhere]}]", `no resource is named "nowhere"`},
		{"guardrails off where nothing is", "guardrails: [{use: off, resources: [nowhere]}]", `no resource is named "nowhere"`},
		{"an entry without a list", "masking: {use: off}", "masking must be a list (begin each entry with a dash, such as - {key: value})"},
		{"a key of another entry", "masking: [{use: off, with: redact, mode: strict}]", "with, mode has no effect together with use: off (known here: resources, groups)"},
		{"a name of the pack", "guardrails: [{name: no-drop, deny: {effects: [drop]}}]", `guardrail "no-drop" is defined twice: the default pack has a rule with this name`},
		{"an analyzer of nothing", "masking: [{use: off}]\nmasking_analyzer: {url: 'https://a.internal/analyze', columns: [a.b]}", "masking_analyzer finds values, but no rule masks them"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Contains(t, problemsOf(t, c.section), c.want) })
	}
	require.Empty(t, problemsOf(t, "guardrails: [{use: off}, {name: no-drop, deny: {effects: [drop]}}]"))
	require.Empty(t, problemsOf(t, "masking_analyzer: {url: 'https://a.internal/analyze', columns: [a.b]}"))
}

// TestEmptyChoices: a list that somebody emptied does not choose everything, least of
// all where a pack is switched off.
func TestEmptyChoices(t *testing.T) {
	entries := map[string]string{
		"masking": "masking: [{use: off, %s}]", "guardrails": "guardrails: [{use: off, %s}]", "the pack": "masking: [{use: default, %s}]",
		"a guardrail": "guardrails: [{warn: {effects: [drop]}, %s}]", "a masking rule": "masking: [{columns: [p.ssn], %s}]",
		"access": "access: [{users: [alice], allow: [all], %s}]", "recordings": "audit: {recordings: [{rows: full, %s}]}",
		"retention": "audit: {retention: [{days: 1, %s}]}",
	}
	for entry, keys := range map[string][]string{
		"masking": {"resources", "groups"}, "guardrails": {"resources"}, "the pack": {"resources", "groups"}, "a masking rule": {"resources", "groups"},
		"a guardrail": {"resources", "groups", "databases", "accounts"}, "access": {"resources", "groups", "databases", "accounts"},
		"recordings": {"resources"}, "retention": {"resources"},
	} {
		for _, key := range keys {
			for _, value := range []string{"[]", "", "{}"} {
				if value == "{}" && key != "resources" {
					continue
				}
				t.Run(entry+" "+key+" "+value, func(t *testing.T) {
					require.Contains(t, problemsOf(t, fmt.Sprintf(entries[entry], key+": "+value)), key+" is empty")
				})
			}
		}
	}
	require.Contains(t, problemsOf(t, "masking: [{use: off, resources: {env: }}]"), "resources.env is empty")
}

// TestNotices: who wrote a file for an earlier version is told what it means now.
func TestNotices(t *testing.T) {
	const (
		noMasking    = "the default masking pack is on, because the file has no masking section"
		ownMasking   = "the default masking pack is on in addition to these rules"
		someMasking  = "the default masking pack is on for these resources and groups alone"
		noGuardrails = "the default guardrail pack is on, because the file has no guardrails section"
		ownGuards    = "the default guardrail pack is on in addition to these rules"
	)
	for _, c := range []struct {
		sections string
		want     []string
	}{
		{"", []string{noMasking, noGuardrails}},
		{"masking: [{use: default}]\nguardrails: [{use: default}]", nil},
		{"masking: [{use: off}]\nguardrails: [{use: off}]", nil},
		{"masking: [{use: off, resources: [tests]}]\nguardrails: [{use: off, resources: [tests]}]", []string{ownMasking, ownGuards}},
		{"masking: [{columns: [p.ssn]}]\nguardrails: [{deny: {effects: [alter]}}]", []string{ownMasking, ownGuards}},
		{"masking: [{use: default, resources: [orders]}]\nguardrails: [{use: default, resources: [orders]}]", []string{someMasking}},
		{"masking: [{use: default, groups: [dev]}, {use: default}]\nguardrails: [{use: default}]", nil},
	} {
		t.Run(c.sections, func(t *testing.T) {
			f, err := packed(t, c.sections)
			require.NoError(t, err)
			notices := f.Notices()
			require.Len(t, notices, len(c.want), fmt.Sprint(notices))
			for i, n := range notices {
				require.Contains(t, n.String(), c.want[i])
				require.Positive(t, n.Line)
			}
		})
	}
}
