package mysql

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// drivers are how applications in other languages reach a database: programs of testdata/drivers,
// and Debian's packages, or others', that they need.
func drivers() []otherDriver {
	python := func(module string) []string {
		if _, err := os.Stat("/usr/lib/python3/dist-packages/" + module); err != nil {
			return nil
		}
		return []string{"/usr/bin/python3", "python_client.py", module}
	}
	list := []otherDriver{
		{"pymysql", "python3-pymysql", python("pymysql")},
		{"mysqlclient", "python3-mysqldb", python("MySQLdb")},
		{"mysql2", "mysql2 of npm", nil},
		{"connectorj", "libmariadb-java with default-jdk-headless", nil},
	}
	check := exec.Command("node", "-e", "require('mysql2/promise')")
	if check.Env = append(os.Environ(), nodePath()); check.Run() == nil {
		list[2].command = []string{"node", "--no-deprecation", "node_client.js"}
	}
	const jar = "/usr/share/java/mariadb-java-client.jar"
	if _, err := os.Stat(jar); err == nil {
		if _, err := exec.LookPath("javac"); err == nil {
			list[3].command = []string{"java", "-cp", jar, "JDBCClient.java"}
		}
	}
	return list
}

// otherDriver is one of another language.
type otherDriver struct {
	name, pkg string
	command   []string // nil when it is not installed
}

// nodePath is where npm -g puts modules.
func nodePath() string {
	root, err := exec.Command("npm", "root", "-g").Output()
	if err != nil {
		return "NODE_PATH="
	}
	return "NODE_PATH=" + strings.TrimSpace(string(root))
}

// run returns what the driver's program prints.
func (d otherDriver) run(t *testing.T, address, user, password, database, ca string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, d.command[0], d.command[1:]...)
	cmd.Dir = filepath.Join("testdata", "drivers")
	cmd.Env = append(os.Environ(), nodePath(), "PYTHONIOENCODING=utf8", "LC_ALL=C.UTF-8", "JAVA_TOOL_OPTIONS=-Dfile.encoding=UTF-8", "HOST="+host, "PORT="+port, "DBUSER="+user, "PASSWORD="+password, "DATABASE="+database, "CA="+ca)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// Applications get through the gateway what they get from the server.
func TestDrivers(t *testing.T) {
	h := &hooks{}
	g, _ := catalogOf(t, gateConfig{chain: chain(h)})
	for _, d := range drivers() {
		t.Run(d.name, func(t *testing.T) {
			if d.command == nil {
				testserver.Missing(t, d.pkg)
			}
			want := d.run(t, fmt.Sprintf("127.0.0.1:%d", g.maria.Port), "app", "app-secret", g.db, "")
			require.NotContains(t, want, "failed")
			require.Equal(t, want, d.run(t, g.addr, "alice+orders", "wonder", g.db, g.caFile))
		})
	}
}
