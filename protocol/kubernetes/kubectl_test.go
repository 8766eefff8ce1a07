package kubernetes

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestKubectl: everyday commands work, are decided about by what they mean, and show no secret.
func TestKubectl(t *testing.T) {
	for _, program := range kubectls(t)[:1] {
		t.Run(filepath.Base(program), func(t *testing.T) {
			r := start(t, func(r *rig) { r.rules.Flow = hideCanary })
			out, complaints, code := r.kubectl(program, "get", "pods")
			require.Zero(t, code, complaints)
			require.Contains(t, out, "web    Running")
			out, complaints, code = r.kubectl(program, "get", "pod", "web", "-o", "yaml")
			require.Zero(t, code, complaints)
			require.Contains(t, out, "message: '*********'")
			out, complaints, code = r.kubectl(program, "logs", "web")
			require.Zero(t, code, complaints)
			require.Equal(t, "started\nhas ********* in it\n", out)
			out, complaints, code = r.kubectl(program, "get", "secret", "db", "-o", "jsonpath={.data.password} {.metadata.annotations}")
			require.Zero(t, code, complaints)
			require.Contains(t, out, MaskedValue)
			require.Contains(t, out, "kept")
			require.NotContains(t, out, "aHVudGVyMg")
			out, complaints, code = r.kubectl(program, "scale", "deployment", "web", "--replicas=0")
			require.Zero(t, code, complaints+out)
			asked := strings.Join(r.rules.asked(), "\n")
			for _, want := range []string{"GET pods:list []", "GET pods:get []", "GET pods/log:get []", "GET secrets:get []", "deployments.apps/scale:patch [scale-to-zero]"} {
				require.Contains(t, asked, want)
			}
			for _, q := range r.cluster.requests() {
				require.Equal(t, "Bearer upstream-token", q.Header.Get("Authorization"), q.URL.Path)
			}
		})
	}
}

// TestKubectlDenied: what the rules refuse is told in their words, and does not reach the cluster.
func TestKubectlDenied(t *testing.T) {
	for _, program := range kubectls(t)[:1] {
		t.Run(filepath.Base(program), func(t *testing.T) {
			r := start(t, func(r *rig) {
				r.rules.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
					if q, ok := op.(*proxy.Request); ok && q.Action == "pods:delete" {
						return proxy.Deny(proxy.CauseGuardrail, "no", "pods are not deleted here", "Ask ops.")
					}
					if e, ok := op.(*proxy.Exec); ok {
						return proxy.Deny(proxy.CauseGuardrail, "no", "no commands run in "+e.Target, "Ask ops.")
					}
					return proxy.Pass()
				}
			})
			_, complaints, code := r.kubectl(program, "delete", "pod", "web", "--wait=false")
			require.Equal(t, 1, code)
			require.Contains(t, complaints, "Pods are not deleted here")
			for _, q := range r.cluster.requests() {
				require.NotEqual(t, "DELETE", q.Method)
			}
			// kubectl asks for a command in two forms: that is one operation.
			_, complaints, code = r.kubectl(program, "exec", "web", "-c", "app", "--", "id")
			require.Equal(t, 1, code)
			require.Contains(t, complaints, "o commands run in default/web/app")
			n := 0
			for _, op := range r.rules.asked() {
				if strings.HasPrefix(op, "exec ") {
					n++
				}
			}
			require.Equal(t, 1, n, r.rules.asked())
		})
	}
}

// TestKubectlExec: commands run with their input, output, errors and exit status; what they print is masked.
func TestKubectlExec(t *testing.T) {
	for _, program := range kubectls(t) {
		t.Run(filepath.Base(program), func(t *testing.T) {
			r := start(t, func(r *rig) { r.rules.Flow = hideCanary })
			out, complaints, code := r.kubectl(program, "exec", "web", "--", "sh", "-c", "echo has canary-77; echo oops >&2; exit 7")
			require.Equal(t, 7, code, complaints)
			require.Equal(t, "has *********\n", out)
			require.Contains(t, complaints, "oops\n")
			out, complaints, code = r.kubectlInput(program, strings.NewReader("one\ntwo"), "exec", "-i", "web", "--", "cat")
			require.Zero(t, code, complaints)
			require.Equal(t, "one\ntwo", out, "also what comes with the end of the input")
			require.Contains(t, r.rules.asked(), "exec default/web/app: sh -c 'echo has canary-77; echo oops >&2; exit 7'")
			require.Eventually(t, func() bool {
				return strings.Contains(strings.Join(r.rules.outcomes(), "\n"), "exit 7' = 7 <nil>") && strings.Contains(strings.Join(r.rules.outcomes(), "\n"), "cat = 0 <nil>")
			}, 10*time.Second, 5*time.Millisecond, "%v", r.rules.outcomes())
		})
	}
}

// TestKubectlScript: the lines that a shell without a terminal reads are judged one by one; a refused one ends the input, and what
// came before has run.
func TestKubectlScript(t *testing.T) {
	program := kubectls(t)[0]
	d := &desk{} // which decides about nothing
	r := start(t, func(r *rig) {
		r.gateway.Reviewer = d
		r.rules.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			e, ok := op.(*proxy.Exec)
			switch {
			case ok && e.Kind == proxy.KindInput && strings.Contains(e.Command, "forbidden"):
				return proxy.Deny(proxy.CauseGuardrail, "trip", "not this", "Ask ops.")
			case ok && e.Kind == proxy.KindInput && strings.Contains(e.Command, "approved"):
				return proxy.Verdict{Action: proxy.ActionHold, Rule: "held", Hold: &proxy.Hold{Rules: []string{"held"}, Approvers: [][]string{{"lead"}}, For: time.Minute}}
			}
			return proxy.Pass()
		}
	})
	for _, c := range []struct {
		name, stdin, out, complains string
		code                        int
	}{
		{"lines", "echo one\necho two", "one\ntwo\n", "", 0},
		{"an exit status", "echo one\nexit 3\n", "one\n", "exit code 3", 3},
		{"refused", "echo one\necho forbidden\necho two\n", "one\n", "Not this", 1},
		{"refused, as the last", "echo one\necho forbidden", "one\n", "Ask ops.", 1},
		{"one that would wait", "echo one\necho approved\n", "one\n", "A part of a request that runs cannot wait for an approval here. Ask for that part by itself.", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, complaints, code := r.kubectlInput(program, strings.NewReader(c.stdin), "exec", "-i", "web", "--", "sh")
			require.Equal(t, c.code, code, complaints)
			require.Equal(t, c.out, out)
			require.Contains(t, complaints, c.complains)
		})
	}
	require.EqualValues(t, 1, d.asked.Load())
	asked := strings.Join(r.rules.asked(), "\n")
	require.Contains(t, asked, "shell default/web/app: sh\ninput default/web/app: echo one\ninput default/web/app: echo two")
	require.Contains(t, asked, "input default/web/app: echo forbidden")
	// A program that is not a shell reads data.
	out, complaints, code := r.kubectlInput(program, strings.NewReader("echo forbidden\n"), "exec", "-i", "web", "--", "cat")
	require.Zero(t, code, complaints)
	require.Equal(t, "echo forbidden\n", out)
}

// TestKubectlCopy: files are copied out of containers and into them.
func TestKubectlCopy(t *testing.T) {
	for _, program := range kubectls(t)[:1] {
		t.Run(filepath.Base(program), func(t *testing.T) {
			r := start(t)
			big := strings.Repeat("0123456789abcdef", 100_000)
			require.NoError(t, os.WriteFile(filepath.Join(r.cluster.pod, "there.txt"), []byte(big), 0o600))
			dir := t.TempDir()
			_, complaints, code := r.kubectl(program, "cp", "web:there.txt", filepath.Join(dir, "here.txt"))
			require.Zero(t, code, complaints)
			b, err := os.ReadFile(filepath.Join(dir, "here.txt"))
			require.NoError(t, err)
			require.Equal(t, len(big), len(b))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "new.txt"), []byte(big), 0o600))
			_, complaints, code = r.kubectl(program, "cp", filepath.Join(dir, "new.txt"), "web:"+filepath.Join(r.cluster.pod, "new.txt"))
			require.Zero(t, code, complaints)
			b, err = os.ReadFile(filepath.Join(r.cluster.pod, "new.txt"))
			require.NoError(t, err)
			require.Equal(t, len(big), len(b))
		})
	}
}
