package gateway

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// relay passes bytes on to an address, as a program does that knows no protocol.
func relay(t testing.TB, to string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			for _, x := range [][2]net.Conn{{c, up}, {up, c}} {
				go func() {
					io.Copy(x[0], x[1])
					x[0].Close()
				}()
			}
		}
	}()
	return ln.Addr().String()
}

// BenchmarkMySQLWays compares point queries at the server, through a plain relay, and through the
// assembled gateway with the default masking and guardrails and its record. The ways take turns;
// medians are told, as multiples of direct ones.
func BenchmarkMySQLWays(b *testing.B) {
	maria, database, ca := testserver.SharedMariaDB(b, "CREATE TABLE points (id INT PRIMARY KEY, c CHAR(120)); INSERT INTO points SELECT seq, REPEAT('x', 120) FROM seq_1_to_10000")
	h := mysqlHouseOf(b, maria, database, "masking: [{use: default}]\nguardrails: [{use: default}]\n")
	direct := fmt.Sprintf("127.0.0.1:%d", maria.Port)
	require.NoError(b, driver.RegisterTLSConfig("server", &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}))
	at := func(address string) *sql.Conn {
		c := driver.NewConfig()
		c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.TLSConfig = "app", "app-secret", "tcp", address, database, "server"
		db, err := sql.Open("mysql", c.FormatDSN())
		require.NoError(b, err)
		b.Cleanup(func() { db.Close() })
		conn, err := db.Conn(context.Background())
		require.NoError(b, err)
		return conn
	}
	ways := []struct {
		name string
		conn *sql.Conn
	}{{"direct", at(direct)}, {"relay", at(relay(b, direct))}, {"gateway", h.mysql(b, "alice")}}
	for _, prepared := range []bool{false, true} {
		name := map[bool]string{false: "text", true: "prepared"}[prepared]
		b.Run(name, func(b *testing.B) {
			times := make(map[string][]time.Duration)
			run := make(map[string]func(id int))
			for _, w := range ways {
				scan := func(row *sql.Row) {
					var c string
					require.NoError(b, row.Scan(&c))
				}
				run[w.name] = func(id int) {
					scan(w.conn.QueryRowContext(context.Background(), fmt.Sprintf("SELECT c FROM points WHERE id = %d", id)))
				}
				if prepared {
					st, err := w.conn.PrepareContext(context.Background(), "SELECT c FROM points WHERE id = ?")
					require.NoError(b, err)
					defer st.Close()
					run[w.name] = func(id int) { scan(st.QueryRowContext(context.Background(), id)) }
				}
			}
			for i := 0; b.Loop(); i++ {
				for _, w := range ways {
					begin := time.Now()
					run[w.name](i%10000 + 1)
					times[w.name] = append(times[w.name], time.Since(begin))
				}
			}
			median := func(name string) float64 {
				slices.Sort(times[name])
				return float64(times[name][len(times[name])/2])
			}
			for _, w := range ways {
				b.ReportMetric(median(w.name)/median("direct"), w.name+"/direct")
			}
			b.ReportMetric(median("direct")/1000, "µs/direct")
		})
	}
}
