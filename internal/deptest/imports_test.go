package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

const module = "github.com/sallyport/sallyport"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// rel is the path inside the module, "" for its root.
func (p *pkg) rel() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func list(t *testing.T) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,Module", "./...")
	cmd.Dir = "../.."
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	all := make(map[string]*pkg)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		all[p.ImportPath] = p
	}
	require.Contains(t, all, module+"/proxy")
	return all
}

func inside(rel, dir string) bool { return rel == dir || strings.HasPrefix(rel, dir+"/") }

// decides are the packages that decide about operations. They meet only through
// proxy's types.
var decides = []string{"policy", "guardrail", "masking", "audit", "review", "identity", "secrets", "runbook"}

// arrow forbids imports. from and to are folders of the module, or the paths of
// other modules; to "?" is everything outside the standard library, except the
// paths in but.
type arrow struct {
	name string
	from func(rel string) bool
	to   func(path string) bool
	why  string
}

func folder(dirs ...string) func(string) bool {
	return func(rel string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return inside(rel, d) })
	}
}

// own reports whether an import path is in one of the module's folders.
func own(dirs ...string) func(string) bool {
	in := folder(dirs...)
	return func(path string) bool {
		rel, ok := strings.CutPrefix(path, module+"/")
		return ok && in(rel)
	}
}

func foreign(path string) bool { return strings.Contains(strings.Split(path, "/")[0], ".") }

// thirdParty reports whether an import path is in another module.
func thirdParty(path string) bool { return foreign(path) && !strings.HasPrefix(path, module+"/") }

func and(a, b func(string) bool) func(string) bool {
	return func(s string) bool { return a(s) && b(s) }
}

func not(f func(string) bool) func(string) bool { return func(s string) bool { return !f(s) } }

func exactly(dir string) func(string) bool { return func(rel string) bool { return rel == dir } }

// shows are the folders below audit that show what it recorded. They are not
// providers: they bring nothing with them, and a console or an API imports them.
var shows = []string{"audit/compliance", "audit/replay", "audit/report", "audit/text", "audit/timeline"}

// providers are the folders below one that decides: a provider each, with its
// SDK. What shows records, proxytest and the like are not providers.
func provider(rel string) bool {
	return strings.Count(rel, "/") == 1 && slices.Contains(decides, path.Dir(rel)) && rel != "identity/ca" && !slices.Contains(shows, rel)
}

func arrows() []arrow {
	as := []arrow{
		{
			"proxy stands alone", exactly("proxy"), foreign,
			"the core is what everybody builds; it has the standard library and nothing else",
		},
		{
			"detect stands alone", folder("detect"), and(foreign, not(own("detect", "internal"))),
			"what a secret is must be known to those that decide, and to others' programs, with nothing else",
		},
		{
			"console stands alone", exactly("console"), foreign,
			"the console is a client of the API: what it could import, it could go past the API with",
		},
		{
			"store stands alone", exactly("store"), and(foreign, not(own("internal/newfile"))),
			"what keeps state in a store, and a store of one's own, get no database driver with it",
		},
		{
			"storetest is for the tests of others", exactly("store/storetest"), func(path string) bool { return foreign(path) && path != module+"/store" },
			"who tests a store of their own builds nothing but the port and the standard library",
		},
		{
			"database drivers are for the assembly",
			func(rel string) bool {
				return !inside(rel, "cmd") && !inside(rel, "gateway") && !inside(rel, "examples") && !inside(rel, "internal") && rel != "store/sqlstore"
			},
			own("store/sqlstore"),
			"packages that keep state are given a store.Store; only an assembly chooses where it is",
		},
		{
			"wire packages know bytes only",
			func(rel string) bool { return strings.HasPrefix(rel, "protocol/") && path.Base(rel) == "wire" },
			own("proxy", "protocol", "internal", "policy", "guardrail", "masking", "audit", "review", "identity", "secrets", "runbook", "control", "cmd"),
			"a codec that knows the gateway cannot be tested and fuzzed by itself",
		},
		{
			"protocols do not know who decides", folder("protocol"), own(append([]string{"gateway", "control", "cmd", "examples"}, decides...)...),
			"a protocol asks the chain and must not care what stands in it",
		},
		{
			"what a protocol is knows no protocol", exactly("protocol"), and(own("protocol", "internal"), not(own("internal/newfile"))),
			"an assembly of others is built on this package, and on the core alone",
		},
		{
			"kits are for assemblies",
			func(rel string) bool {
				return !inside(rel, "cmd") && !inside(rel, "gateway") && !inside(rel, "examples") && !inside(rel, "internal") && rel != "protocol/builtin"
			},
			func(path string) bool {
				rel, ok := strings.CutPrefix(path, module+"/")
				return ok && (rel == "protocol/builtin" || inside(rel, "protocol") && strings.HasSuffix(rel, "/kit"))
			},
			"a kit brings a protocol with its parsers and keys; only an assembly chooses one",
		},
		{
			"nothing imports the assembly", func(rel string) bool {
				return !inside(rel, "cmd") && !inside(rel, "gateway") && !inside(rel, "examples") && !inside(rel, "internal")
			},
			own("cmd", "gateway", "examples"),
			"an assembly is built on everything else, so that nothing else can need it",
		},
		{
			"nobody imports a main", func(rel string) bool { return !inside(rel, "cmd") && !inside(rel, "examples") },
			own("cmd", "examples"),
			"cmd and examples are mains that can be copied, not libraries",
		},
		{
			"examples use the library", folder("examples"), own("cmd"),
			"who copies an example has no command of this module to import",
		},
		{
			"examples are for reading", folder("cmd"), own("examples"),
			"the reference gateway must not depend on what is there to be changed",
		},
		{
			"proxytest is for the tests of others", exactly("proxy/proxytest"), func(path string) bool { return foreign(path) && path != module+"/proxy" },
			"who tests an interceptor builds nothing but the core and the standard library",
		},
		{
			"the config is built before the gateway", folder("gateway/config"), func(path string) bool { return path == module+"/gateway" },
			"a gateway is made of a config file, and not the other way round",
		},
		{
			"providers are for the assembly",
			func(rel string) bool {
				return !inside(rel, "cmd") && !inside(rel, "gateway") && !inside(rel, "control") && !inside(rel, "examples") && !inside(rel, "internal") && !provider(rel)
			},
			func(path string) bool {
				rel, ok := strings.CutPrefix(path, module+"/")
				return ok && provider(rel)
			},
			"a provider brings its SDK with it; only an assembly chooses one",
		},
		{
			"what shows records is light", folder(shows...), thirdParty,
			"a program that shows records must not get an SDK with them",
		},
		{
			"scram is the standard library's", folder("internal/scram"), foreign,
			"password arithmetic is to be read in one sitting",
		},
	}
	for _, d := range decides {
		others := slices.DeleteFunc(slices.Clone(decides), func(o string) bool { return o == d })
		as = append(
			as, arrow{
				d + " does not know its neighbours", folder(d), own(others...),
				"those that decide meet through proxy's types, so that each can be left out or replaced",
			}, arrow{
				d + " knows no wire", folder(d), and(own("protocol"), not(own("protocol/sql"))),
				"rules speak of operations; which protocol brought them is the handler's business",
			},
		)
	}
	return as
}

// violations are the imports that as forbid, a sentence each.
func violations(as []arrow, all map[string]*pkg) []string {
	var found []string
	for _, p := range all {
		if p.Standard || !strings.HasPrefix(p.ImportPath, module) {
			continue
		}
		for _, a := range as {
			if !a.from(p.rel()) {
				continue
			}
			for _, to := range p.Imports {
				if a.to(to) {
					found = append(found, fmt.Sprintf("%s imports %s, but %s: %s.", p.rel(), to, a.name, a.why))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

func TestArrows(t *testing.T) {
	for _, v := range violations(arrows(), list(t)) {
		t.Error(v)
	}
}

// TestArrowsSee shows that a forbidden import is found, whatever it is.
func TestArrowsSee(t *testing.T) {
	for _, c := range []struct {
		from, to string
		found    bool
	}{
		{"proxy", "github.com/jackc/pgx/v5/pgproto3", true},
		{"proxy", "net/http", false},
		{"proxy/proxytest", "github.com/stretchr/testify/require", true},
		{"proxy/proxytest", module + "/protocol/sql/postgres", true},
		{"proxy/proxytest", module + "/proxy", false},
		{"examples/parts", module + "/protocol/postgres/kit", false},
		{"examples/parts", module + "/cmd/sallyport", true},
		{"cmd/sallyport", module + "/examples/parts", true},
		{"policy", module + "/masking", true},
		{"policy", module + "/proxy", false},
		{"policy/opa", module + "/policy", false},
		{"policy/opa", "github.com/open-policy-agent/opa/v1/rego", false},
		{"identity/oidc", module + "/identity", false},
		{"identity/oidc", "github.com/coreos/go-oidc/v3/oidc", false},
		{"policy", module + "/identity/oidc", true},
		{"detect", module + "/proxy", true},
		{"detect", "github.com/stretchr/testify/require", true},
		{"detect", module + "/detect/internal/prose", false},
		{"masking", module + "/detect", false},
		{"audit", module + "/detect", false},
		{"masking", module + "/protocol/postgres", true},
		{"masking", module + "/protocol/sql", false},
		{"audit", module + "/audit/s3", true},
		{"audit/report", module + "/audit", false},
		{"audit/report", module + "/audit/text", false},
		{"audit/report", module + "/audit/s3", true},
		{"audit/compliance", module + "/audit/report", false},
		{"audit/compliance", module + "/identity", true},
		{"audit/compliance", module + "/audit/s3", true},
		{"control", module + "/audit/compliance", false},
		{"audit/report", module + "/policy", true},
		{"audit/timeline", "github.com/minio/minio-go/v7", true},
		{"audit/s3", "github.com/minio/minio-go/v7", false},
		{"control", module + "/audit/timeline", false},
		{"console", module + "/audit/timeline", true},
		{"console", module + "/audit/s3", true},
		{"protocol/postgres", module + "/policy", true},
		{"protocol/postgres", module + "/protocol/sql", false},
		{"protocol/postgres/wire", module + "/proxy", true},
		{"protocol/postgres/wire", "github.com/jackc/pgx/v5/pgproto3", false},
		{"control", module + "/cmd/sallyport", true},
		{"control", module + "/gateway/config", true},
		{"internal/bench", module + "/cmd/sallyport", true},
		{"gateway", module + "/gateway/config", false},
		{"gateway/config", module + "/gateway", true},
		{"gateway/config", module + "/protocol/builtin", false},
		{"gateway/config", module + "/audit/age", false},
		{"protocol", module + "/proxy", false},
		{"protocol", module + "/protocol/ssh", true},
		{"protocol/postgres", module + "/protocol/postgres/kit", true},
		{"protocol/postgres/kit", module + "/protocol/postgres", false},
		{"protocol/postgres/kit", module + "/guardrail", true},
		{"protocol/builtin", module + "/protocol/ssh/kit", false},
		{"masking", module + "/protocol", true},
		{"store", "github.com/jackc/pgx/v5", true},
		{"store", module + "/proxy", true},
		{"store/storetest", module + "/store", false},
		{"store/storetest", "github.com/stretchr/testify/require", true},
		{"store/sqlstore", module + "/store", false},
		{"identity", module + "/store", false},
		{"identity", module + "/store/sqlstore", true},
		{"gateway", module + "/store/sqlstore", false},
		{"internal/scram", "golang.org/x/text/secure/precis", true},
		{"cmd/sallyport", module + "/audit/s3", false},
	} {
		p := &pkg{ImportPath: module + "/" + c.from, Imports: []string{c.to}}
		got := violations(arrows(), map[string]*pkg{p.ImportPath: p})
		require.Equal(t, c.found, len(got) > 0, "%s → %s: %v", c.from, c.to, got)
	}
}

// heavy are modules that must not come with a package unasked, and why.
var heavy = []struct {
	packages []string
	never    []string
	why      string
}{
	{
		[]string{"proxy", "protocol", "protocol/postgres", "protocol/postgres/wire", "protocol/mysql", "protocol/ssh", "protocol/web", "protocol/kubernetes", "protocol/aws", "protocol/tcp"},
		[]string{
			"github.com/open-policy-agent/", "github.com/aws/", "cloud.google.com/", "github.com/Azure/", "github.com/hashicorp/vault",
			"github.com/multigres/", "github.com/sqlc-dev/", "github.com/pingcap/", "k8s.io/", "go.opentelemetry.io/", "modernc.org/", "github.com/stretchr/",
			"github.com/minio/", "github.com/coreos/go-oidc", "github.com/go-jose/", "github.com/go-webauthn/",
		},
		"who embeds a protocol builds neither policy engines nor cloud SDKs nor SQL parsers; parsers come in as a proxy.Analyzer",
	},
	{
		[]string{"identity", "identity/loopback", "identity/scim", "identity/tokens"},
		[]string{"github.com/coreos/go-oidc", "golang.org/x/oauth2", "github.com/go-jose/", "github.com/go-webauthn/"},
		"OpenID Connect is for identity/oidc and WebAuthn for identity/webauthn; who has users of another kind builds neither",
	},
	{
		append([]string{"control", "review/webhook", "review/smtp", "review/reviewtest"}, decides...),
		[]string{"github.com/slack-go/", "github.com/gorilla/websocket"},
		"only who tells people in Slack builds its library, with review/slack",
	},
	{
		append([]string{"control", "gateway/config"}, decides...), []string{"github.com/modelcontextprotocol/"}, "only who serves AI agents builds their protocol's library, with control/mcp",
	},
	{
		decides, []string{"github.com/open-policy-agent/"}, "only who writes policies in Rego builds the engine, with policy/opa",
	},
	{
		[]string{"gateway", "gateway/config", "control", "examples/reference"},
		[]string{"github.com/open-policy-agent/"},
		"who embeds the gateway without policies in Rego does not build the engine; gateway/rego brings it",
	},
	{
		append([]string{"cmd/sallyport"}, decides...),
		[]string{"github.com/pganalyze/pg_query_go", "github.com/sqlc-dev/oliphant"},
		"oracles stay in tests; these two register the same protobuf file",
	},
	{
		// Not cmd/sallyport: the PostgreSQL parser that it builds brings testify.
		decides, []string{"github.com/stretchr/"}, "test libraries stay in tests",
	},
}

func TestHeavyModulesStayOut(t *testing.T) {
	all := list(t)
	for _, h := range heavy {
		for _, name := range h.packages {
			p := all[module+"/"+name]
			if p == nil {
				continue // not built yet
			}
			for _, dep := range p.Deps {
				for _, never := range h.never {
					if strings.HasPrefix(dep, never) {
						t.Errorf("%s builds %s, but %s.", name, dep, h.why)
					}
				}
			}
		}
	}
}

// TestZonesAreBuiltIn: hours go by the clock of a place, on machines that have no time zones, too.
func TestZonesAreBuiltIn(t *testing.T) {
	require.Contains(t, list(t)[module+"/cmd/sallyport"].Deps, "time/tzdata")
}

func TestGoMod(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	for n, line := range strings.Split(string(b), "\n") {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word == "replace" || word == "exclude" {
			t.Errorf("go.mod:%d: %s has no effect for who imports this module; publish the change or do without.", n+1, word)
		}
	}
	require.Contains(t, string(b), "module "+module+"\n")
}

// TestModulesOfTheirOwn: a module that requires this one asks for no older version of a
// module than this one does. Else Go refuses to build it, as it did with make quality.
func TestModulesOfTheirOwn(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	root, err := modfile.Parse("go.mod", b, nil)
	require.NoError(t, err)
	wanted := map[string]string{}
	for _, r := range root.Require {
		wanted[r.Mod.Path] = r.Mod.Version
	}
	files, err := filepath.Glob("../../*/*/go.mod")
	require.NoError(t, err)
	compared := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		m, err := modfile.Parse(file, b, nil)
		require.NoError(t, err)
		if !slices.ContainsFunc(m.Require, func(r *modfile.Require) bool { return r.Mod.Path == module }) {
			continue
		}
		for _, r := range m.Require {
			if want := wanted[r.Mod.Path]; want != "" {
				compared++
				if semver.Compare(r.Mod.Version, want) < 0 {
					t.Errorf("%s: %s is at %s, and this module requires %s: run go mod tidy there.", file, r.Mod.Path, r.Mod.Version, want)
				}
			}
		}
	}
	require.NotZero(t, compared)
}
