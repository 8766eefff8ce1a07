package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/internal/testserver"
)

// deployed reads a file of the folder deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../deploy", name))
	require.NoError(t, err)
	return string(b)
}

// The units are what systemd understands, and give the gateway little.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		testserver.Missing(t, "systemd-analyze")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "sallyport")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755))
	service := filepath.Join(dir, "sallyport.service")
	require.NoError(t, os.WriteFile(service, []byte(strings.ReplaceAll(deployed(t, "systemd/sallyport.service"), "/usr/bin/sallyport", program)), 0o644))
	socket := filepath.Join(dir, "sallyport-postgres.socket")
	require.NoError(t, os.WriteFile(socket, []byte(deployed(t, "systemd/sallyport-postgres.socket")), 0o644))
	out, err := exec.Command(analyze, "verify", "--man=no", service, socket).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, strings.TrimSpace(string(out)), "warnings about the units")

	// 0 is a service that can do nothing, 10 one that can do everything.
	out, err = exec.Command(analyze, "security", "--offline=yes", "--no-pager", service).CombinedOutput()
	require.NoError(t, err, "%s", out)
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(string(out))
	require.NotNil(t, m, "%s", out)
	var level float64
	_, err = fmt.Sscan(m[1], &level)
	require.NoError(t, err)
	require.LessOrEqual(t, level, 2.0, "%s", out)
}

// The config files of the folder are ones that the gateway takes.
func TestConfigs(t *testing.T) {
	for _, name := range []string{"ARCHIVE_ACCESS_KEY", "ARCHIVE_SECRET_KEY", "STORE_PASSWORD"} {
		t.Setenv(name, "x")
	}
	t.Setenv("STORE_KEY", strings.Repeat("ab", 32))
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(deployed(t, "compose/sallyport.yaml")), 0o600))
	var out, errs bytes.Buffer
	code := run(t.Context(), &cli{nil, &out, &errs}, []string{"check", "-c", file})
	require.Equal(t, exitOK, code, "%s%s", out.String(), errs.String())

	// Every reference to the environment is one that the secrets' maker writes.
	maker := deployed(t, "compose/secrets.sh")
	for _, m := range regexp.MustCompile(`env:([A-Z_]+)`).FindAllStringSubmatch(deployed(t, "compose/sallyport.yaml"), -1) {
		require.Contains(t, maker, "\n"+m[1]+"=")
	}
	var compose struct {
		Services map[string]struct {
			Grace string `yaml:"stop_grace_period"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(deployed(t, "compose/compose.yaml")), &compose))
	grace, err := time.ParseDuration(compose.Services["gateway"].Grace)
	require.NoError(t, err)
	var config struct {
		Shutdown struct{ Delay, Drain time.Duration }
	}
	require.NoError(t, yaml.Unmarshal([]byte(deployed(t, "compose/sallyport.yaml")), &config))
	require.Greater(t, grace, config.Shutdown.Delay+config.Shutdown.Drain, "the engine does not wait long enough")
}

func TestComposeSecrets(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "secrets.sh")
	require.NoError(t, os.WriteFile(script, []byte(deployed(t, "compose/secrets.sh")), 0o700))
	out, err := exec.Command("sh", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
	gateway, err := os.ReadFile(filepath.Join(dir, "secrets/gateway.env"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^STORE_KEY=[0-9a-f]{64}$`, string(gateway))
	require.Regexp(t, `(?m)^ARCHIVE_SECRET_KEY=[0-9a-f]{48}$`, string(gateway))
	for _, name := range []string{"gateway.env", "archive.env", "store_password"} {
		info, err := os.Stat(filepath.Join(dir, "secrets", name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	out, err = exec.Command("sh", script).CombinedOutput()
	require.Error(t, err, "%s", out)
	again, err := os.ReadFile(filepath.Join(dir, "secrets/gateway.env"))
	require.NoError(t, err)
	require.Equal(t, gateway, again, "secrets in use are not made anew")
}

// The gateway runs in the file system of the image, which holds the program alone, as the image's user and with a root that it
// cannot write to. Building it takes minutes: "make test-heavy" does it.
func TestSuiteImage(t *testing.T) {
	if os.Getenv("SALLYPORT_SUITES") == "" {
		t.Skip("SALLYPORT_SUITES is not set")
	}
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("another root needs Linux and its root user")
	}
	file := deployed(t, "docker/Dockerfile")
	user := regexp.MustCompile(`(?m)^USER ([0-9]+):([0-9]+)$`).FindStringSubmatch(file)
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0) go (build .*) -o /out/sallyport ./cmd/sallyport`).FindStringSubmatch(file)
	entry := regexp.MustCompile(`(?m)^CMD \["(.*)"\]$`).FindStringSubmatch(file)
	require.NotNil(t, user)
	require.NotNil(t, build)
	require.NotNil(t, entry)
	require.Equal(t, "65532", user[1])

	// /tmp may lie where programs cannot be run by others.
	root, err := os.MkdirTemp("", "image-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	require.NoError(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"etc/sallyport", "var/lib/sallyport"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.Chown(filepath.Join(root, "var/lib/sallyport"), 65532, 65532))
	require.NoError(t, os.Chmod(filepath.Join(root, "var/lib/sallyport"), 0o700))
	cmd := exec.Command("sh", "-c", "exec go "+build[2]+` -o "$0" .`, filepath.Join(root, "sallyport"))
	cmd.Env = append(os.Environ(), build[1])
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	metrics := testserver.FreeAddress(t)
	config := fmt.Sprintf("data_dir: /var/lib/sallyport\nlisten: {postgres: %q, ssh: %q}\nmetrics: %q\nresources: []\n", testserver.FreeAddress(t), testserver.FreeAddress(t), metrics)
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/sallyport/sallyport.yaml"), []byte(config), 0o644))
	within := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/sallyport", args...)
		cmd.Path, cmd.Err, cmd.Dir, cmd.Env = "/sallyport", nil, "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532, NoSetGroups: false}}
		return cmd
	}
	gateway := within(t.Context(), strings.Split(entry[1], `", "`)...)
	var log bytes.Buffer
	gateway.Stderr = &log
	require.NoError(t, gateway.Start())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Wait() }()
	require.Eventually(t, func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the gateway ended: %v\n%s", err, log.String())
		default:
		}
		return within(t.Context(), "ready", "--metrics", metrics).Run() == nil
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, gateway.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-ended, log.String())
	require.Contains(t, log.String(), `"msg":"stopped"`)
	require.NotContains(t, log.String(), `"level":"WARN"`)
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Len(t, entries, 3, "nothing was written to the root")
}
