package aws

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestAttackFilters: a rule about one secret or parameter counts also where a request names it by a path, or by a filter: what an answer holds is
// asked about by its name.
func TestAttackFilters(t *testing.T) {
	held := &office{open: map[string]chan proxy.Verdict{}}
	for _, reveal := range []bool{false, true} {
		var rule atomic.Pointer[proxy.Verdict]
		r, _ := start(t, func(w http.ResponseWriter, q *http.Request) {
			_, action, _ := strings.Cut(q.Header.Get("X-Amz-Target"), ".")
			_, _ = io.WriteString(w, map[string]string{
				"GetParametersByPath": `{"Parameters":[{"Name":"/app/a","Type":"String","Value":"plain"},{"Name":"/app/secret","Type":"String","Value":"hunter2"}]}`,
				"GetParameters":       `{"Parameters":[{"Name":"/app/a","Type":"String","Value":"plain"}]}`,
				"BatchGetSecretValue": `{"SecretValues":[{"ARN":"arn:aws:secretsmanager:eu-west-1:1:secret:secret-AbCdEf","Name":"secret","SecretString":"hunter2"}]}`,
				"ListSecrets":         `{"SecretList":[{"Name":"secret"}]}`,
			}[action])
		}, with(Settings{RevealSecrets: reveal}), func(r *rig) {
			r.gateway.Reviewer = held
			r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
				if q, ok := op.(*proxy.Request); ok && strings.HasPrefix(q.Path, "/Get") && strings.HasSuffix(q.Path, "/secret") {
					return *rule.Load()
				}
				return proxy.Pass()
			}
		})
		k := r.keys("alice")
		for _, v := range []proxy.Verdict{
			proxy.Deny(proxy.CausePolicy, "secret", "that is secret", ""),
			{Action: proxy.ActionHold, Rule: "held", Hold: &proxy.Hold{Rules: []string{"held"}, Approvers: [][]string{{"lead"}}, For: time.Minute}},
		} {
			rule.Store(&v)
			want := "hat is secret"
			if v.Action == proxy.ActionHold {
				want = "cannot wait for an approval"
			}
			for _, a := range [][3]string{
				{"ssm", "AmazonSSM.GetParametersByPath", `{"Path":"/app"}`},
				{"secretsmanager", "secretsmanager.BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["secret"]}]}`},
			} {
				res := r.json(k, a[0], a[1], a[2])
				require.Equal(t, http.StatusForbidden, res.StatusCode, a[1])
				require.Contains(t, res.text, want, a[1])
				require.NotContains(t, res.text, "hunter2", a[1])
				require.NotContains(t, res.text, "plain", a[1])
			}
			r.rules.asked()
			require.Equal(t, http.StatusOK, r.json(k, "ssm", "AmazonSSM.GetParameters", `{"Names":["/app/a"]}`).StatusCode)
			require.Equal(t, []string{"ssm:GetParameters /GetParameters/app/a"}, r.rules.asked(), "what was named is asked about once")
			require.Equal(t, http.StatusOK, r.json(k, "secretsmanager", "secretsmanager.ListSecrets", `{}`).StatusCode, "a name is not a value")
		}
	}
}
