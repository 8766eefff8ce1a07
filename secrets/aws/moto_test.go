package aws

import (
	"bufio"
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/secrets"
)

// A fake of AWS by other hands, moto, understands what the gateway asks, and is understood.
func TestMoto(t *testing.T) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: moto_server is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, program, "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	cmd.Stdout = cmd.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was ended
	})
	address := ""
	running := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if m := running.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
	}
	if address == "" {
		t.Skip("SKIPPED, NOT TESTED: moto_server does not start")
	}
	p, err := New(Config{Region: "eu-west-1", Endpoint: address, Login: &Static{ID: "AKID", Secret: given("key")}})
	require.NoError(t, err)
	call := func(service, target string, in map[string]any) {
		require.NoError(t, p.call(ctx, "eu-west-1", service, target, in, &struct{}{}))
	}
	get := func(text string, u secrets.Use) (*secrets.Value, error) {
		ref, err := secrets.Parse(text)
		require.NoError(t, err)
		return p.Resolve(ctx, ref, u)
	}
	call("secretsmanager", "secretsmanager.CreateSecret", map[string]any{"Name": "team/orders", "SecretString": `{"password":"one"}`, "ClientRequestToken": strings.Repeat("1", 36)})
	v, err := get("aws:secretsmanager/team/orders#password", secrets.Use{})
	require.NoError(t, err)
	require.Equal(t, "one", v.Plain().Reveal())
	call("secretsmanager", "secretsmanager.PutSecretValue", map[string]any{"SecretId": "team/orders", "SecretString": `{"password":"two"}`, "ClientRequestToken": strings.Repeat("2", 36)})
	v, err = get("aws:secretsmanager/team/orders#password", secrets.Use{})
	require.NoError(t, err)
	require.Equal(t, "two", v.Plain().Reveal())
	require.Equal(t, strings.Repeat("2", 36), v.Version)
	v, err = get("aws:secretsmanager/team/orders#password", secrets.Use{Fresh: true, Refused: v.Plain()})
	require.NoError(t, err)
	require.Equal(t, "one", v.Plain().Reveal(), "the one from before the rotation")
	call("secretsmanager", "secretsmanager.CreateSecret", map[string]any{"Name": "bytes", "SecretBinary": []byte("x"), "ClientRequestToken": strings.Repeat("3", 36)})
	_, err = get("aws:secretsmanager/bytes", secrets.Use{})
	require.ErrorIs(t, err, secrets.ErrType)
	_, err = get("aws:secretsmanager/none", secrets.Use{})
	require.ErrorIs(t, err, secrets.ErrNotFound)

	call("ssm", "AmazonSSM.PutParameter", map[string]any{"Name": "/app/db", "Value": "sealed", "Type": "SecureString"})
	v, err = get("aws:ssm/app/db?version=1", secrets.Use{})
	require.NoError(t, err)
	require.Equal(t, "sealed", v.Plain().Reveal())
	for _, ref := range []string{"aws:ssm/app/none", "aws:ssm/app/db?version=7"} {
		_, err = get(ref, secrets.Use{})
		require.ErrorIs(t, err, secrets.ErrNotFound, ref)
	}
}
