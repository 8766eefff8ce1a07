package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/rego"
	"github.com/sallyport/sallyport/proxy"
)

// BenchmarkDecision asks about one statement after another in a session of a gateway's whole chain,
// apart from the record. What is not the policies' is in "nobody".
func BenchmarkDecision(b *testing.B) {
	const plain = "access: [{groups: [dev], allow: [connect, read]}]\n"
	const conditions = `access:
  - {groups: [dev], allow: [connect, read], relations: [public.orders, "sales.*"], budget: {statements: 4000000000}, session: 8h}
  - {groups: [dev], deny: [read], when: {hours: [{times: "03:00-03:01", zone: Europe/Berlin}]}}
`
	const opa = "policy: {opa: {dirs: [policies], timeout: 1s}}\n"
	for _, c := range []struct{ name, sections string }{
		{"nobody", ""}, {"rules", plain}, {"conditions", conditions}, {"rego", plain + opa}, {"conditions and rego", conditions + opa},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			require.NoError(b, os.Mkdir(filepath.Join(dir, "policies"), 0o700))
			for name, text := range map[string]string{
				"policies/access.rego": "package sallyport\n\ndefault decision := {\"allow\": true}\n\n" +
					"decision := {\"allow\": false} if {\n\t\"delete\" in input.operation.statement.effects\n\tnot \"dba\" in input.identity.groups\n}\n",
				"sallyport.yaml": `listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K"]}]}
resources: [{name: shop, type: postgres, address: db.invalid, username: app, database: shop}]
guardrails: [{use: off}]
masking: [{use: off}]
` + c.sections,
			} {
				require.NoError(b, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			interceptors := []proxy.Interceptor{anything{}}
			file := filepath.Join(dir, "sallyport.yaml")
			if c.sections != "" {
				f, err := Load(file, config.Options{Rego: rego.Engine{}})
				require.NoError(b, err)
				x, err := NewExplainer(f, Options{Log: slog.New(slog.DiscardHandler)})
				require.NoError(b, err)
				defer x.Close()
				interceptors = x.parts().chain(nil, nil)
			}
			g := &proxy.Gateway{Interceptors: interceptors, Unrecorded: true}
			resource := &proxy.Resource{Name: "shop", Type: "postgres", Accounts: []proxy.Account{{Name: "default", Username: "app"}}}
			s, connect, err := g.Open(b.Context(), proxy.OpenRequest{
				Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: resource, Database: "shop"}, Protocol: "postgres",
			})
			require.NoError(b, err)
			defer s.Close(nil)
			s.Done(connect, &proxy.Outcome{})
			facts := &proxy.Facts{
				Dialect: "postgres", Statements: 1, Effects: proxy.EffectRead, Resolved: true, Normalised: "select * from orders",
				Relations: []proxy.Relation{{Schema: "public", Name: "orders", Effects: proxy.EffectRead}},
			}
			op, out := &proxy.Statement{}, &proxy.Outcome{}
			b.ReportAllocs()
			for b.Loop() {
				*op = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: facts}
				if v := s.Ask(b.Context(), op); v.Refuses() {
					b.Fatal(v.Message())
				}
				s.Done(op, out)
			}
		})
	}
}
