package postgres

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestRegressionSuite runs PostgreSQL's own regression suite directly and
// through the gateway, and compares the results. It needs the suite's sources,
// of the version that is installed, with regress.so built:
// PG_REGRESS_DIR=…/src/test/regress. "make regress" gets them.
func TestRegressionSuite(t *testing.T) {
	dir := os.Getenv("PG_REGRESS_DIR")
	if dir == "" {
		t.Skip("PG_REGRESS_DIR is not set; see \"make regress\"")
	}
	direct := runRegress(t, dir, false)
	through := runRegress(t, dir, true)
	require.NotEmpty(t, direct)
	require.Equal(t, direct, through)
	failed := 0
	for _, verdict := range direct {
		if verdict != "ok" {
			failed++
		}
	}
	t.Logf("%d tests: the same results, %d of them failures also without the gateway", len(direct), failed)
}

var regressLine = regexp.MustCompile(`(?m)^(?:test |     )\s*(\w+)\s+\.\.\. (ok|FAILED|failed \(ignored\))`)

// runRegress returns each test's result.
func runRegress(t *testing.T, dir string, gateway bool) map[string]string {
	pg := testserver.Postgres(t, pgembed.Config{Settings: map[string]string{"max_prepared_transactions": "2"}})
	addr := pg.Address()
	if gateway {
		r := &proxy.Resource{
			Name: "regress", Type: "postgres", Address: pg.Address(), Accounts: []proxy.Account{{Username: pgembed.User}},
			TLS: proxy.TLS{Mode: proxy.TLSDisable}, Settings: Settings{StartupParameters: []string{"*"}, FunctionCall: true},
		}
		g := &proxy.Gateway{
			Authenticator: users{pgembed.User: pg.Password}, Directory: proxy.Resources{r}, Interceptors: []proxy.Interceptor{&hooks{}},
			Credentials: proxytest.Credential{Username: pgembed.User, Password: proxy.NewSecret(pg.Password)},
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr = ln.Addr().String()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error)
		go func() {
			served <- g.Serve(ctx, ln, &Handler{Resource: "regress", Analyzer: sqlpostgres.New(sqlpostgres.Config{})})
		}()
		defer func() {
			cancel()
			require.NoError(t, <-served)
		}()
	}
	out, err := os.MkdirTemp("", "regress-") // which the server can reach
	require.NoError(t, err)
	defer os.RemoveAll(out)
	require.NoError(t, os.Chmod(out, 0o777))
	require.NoError(t, os.CopyFS(filepath.Join(out, "in"), os.DirFS(dir)))
	dir = filepath.Join(out, "in")
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	bin, err := exec.Command(filepath.Join(pg.Bin, "pg_config"), "--pkglibdir").Output()
	require.NoError(t, err)
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(bin)), "pgxs/src/test/regress/pg_regress"),
		"--host="+host, "--port="+port, "--user="+pgembed.User, "--bindir="+pg.Bin, "--inputdir="+dir, "--dlpath="+dir,
		"--outputdir="+out, "--schedule="+filepath.Join(dir, "parallel_schedule"), "--max-concurrent-tests=20")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+pg.Password)
	report, err := cmd.CombinedOutput()
	t.Logf("gateway=%v: %v\n%s", gateway, err, report)
	results := make(map[string]string)
	for _, m := range regressLine.FindAllStringSubmatch(string(report), -1) {
		results[m[1]] = m[2]
	}
	return results
}
