package gateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

// TestWaitingClientLeaves: a client that waits for an approval and leaves holds nothing, and its request waits on.
func TestWaitingClientLeaves(t *testing.T) {
	t.Setenv("DB_PASSWORD", "x")
	const resources = `
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources:
  - {name: shop, type: postgres, address: "127.0.0.1:1", database: d, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
  - {name: vm, type: ssh, address: "127.0.0.1:1", username: u, password: "env:DB_PASSWORD", ssh: {trust_on_first_use: true}}
access: [{name: prod, groups: [dev], allow: [connect, read, shell], request: {approvers: ["local:ops"], wait: 1h}}]
`
	h := open(t, t.TempDir(), fmt.Sprintf(resources, verifier(t)))
	for name, connect := range map[string]func(ctx context.Context){
		"psql": func(ctx context.Context) {
			if c, err := pgconn.Connect(ctx, h.database("alice", "shop")); err == nil {
				c.Close(context.Background())
			}
		},
		"ssh": func(ctx context.Context) {
			c, err := gossh.Dial("tcp", h.Addr("ssh", "").String(), &gossh.ClientConfig{
				User: "alice+vm", Auth: []gossh.AuthMethod{gossh.Password(password)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if s, err := c.NewSession(); err == nil {
				_ = s.Shell()
				_ = s.Wait()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(h.desk.List())
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan struct{})
			go func() { defer close(left); connect(ctx) }()
			require.Eventually(t, func() bool {
				open := h.Proxy().Sessions()
				if len(open) != 1 {
					return false
				}
				_, held := open[0].Operations()
				return held == 1
			}, 10*time.Second, 5*time.Millisecond)
			leave()
			<-left
			require.Eventually(t, func() bool { return len(h.Proxy().Sessions()) == 0 }, 5*time.Second, 5*time.Millisecond)
			require.Len(t, h.desk.List(), before+1)
		})
	}
}
