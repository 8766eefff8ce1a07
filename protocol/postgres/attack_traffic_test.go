package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// tap is a relay before the server that keeps what each connection sends to it.
type tap struct {
	address string
	mu      sync.Mutex
	sent    []*bytes.Buffer
	open    int
}

func startTap(t *testing.T, server string) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	p := &tap{address: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			kept := &bytes.Buffer{}
			p.mu.Lock()
			p.open++
			p.sent = append(p.sent, kept)
			p.mu.Unlock()
			go func() {
				defer func() {
					p.mu.Lock()
					defer p.mu.Unlock()
					p.open--
				}()
				defer c.Close()
				s, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				go func() {
					io.Copy(c, s)
					c.Close()
				}()
				io.Copy(s, io.TeeReader(c, kept))
				s.Close()
			}()
		}
	}()
	return p
}

// take returns what the connections sent since the last call, after they proved
// who they are.
func (p *tap) take(t *testing.T) [][]byte {
	t.Helper()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.open == 0
	}, 20*time.Second, time.Millisecond, "connections stay open")
	p.mu.Lock()
	defer p.mu.Unlock()
	var streams [][]byte
	for _, kept := range p.sent {
		b := kept.Bytes()
		if len(b) < 8 {
			continue
		}
		b = b[binary.BigEndian.Uint32(b):] // the startup packet
		for len(b) >= wire.HeaderLen && b[0] == wire.Password {
			b = b[1+binary.BigEndian.Uint32(b[1:]):]
		}
		if len(b) > 0 { // psql tries without a password first
			streams = append(streams, b)
		}
	}
	p.sent = nil
	return streams
}

// What clients send reaches the server byte for byte, where no rule has anything
// to say about it.
func TestAttack81SameTraffic(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	var server *tap
	g := startGate(t, gateConfig{sql: shop, resource: func(r *proxy.Resource) {
		server = startTap(t, r.Address)
		r.Address = server.address
	}})
	direct := &gate{pg: g.pg, db: g.db, addr: server.address}
	script := `SELECT * FROM customers WHERE id < 10;
BEGIN; SAVEPOINT a; SELECT 1/0; ROLLBACK TO a; COMMIT;
SELECT 'several'; SELECT 'statements' \; SELECT 'in one';
COPY customers TO STDOUT;
CREATE TEMP TABLE t (LIKE customers);
COPY t FROM STDIN;
1	a	b
2	c	d
\.
SELECT id, name FROM t \gdesc
PREPARE p AS SELECT $1::int; EXECUTE p(7); DEALLOCATE p;
SELECT repeat('x', 300000);
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM customers; FETCH 5 FROM c; CLOSE c;
LISTEN ch; NOTIFY ch, 'x';
`
	if out, err := direct.as(t, pgembed.User, g.pg.Password, "pgbench", "", "-i", "-q", "-d", g.db); err != nil {
		t.Fatal(out)
	}
	server.take(t)
	runs := map[string][]string{"psql": {"psql", script, "-X", "-q", "-d", g.db}}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for i, args := range [][]string{{"-S"}, {"-b", "simple-update"}, {"-b", "tpcb-like"}} {
			runs["pgbench "+mode+" "+strconv.Itoa(i)] = append([]string{"pgbench", "", "-n", "-t", "20", "-c", "1", "--random-seed=7", "-M", mode, g.db}, args...)
		}
	}
	for name, args := range runs {
		t.Run(name, func(t *testing.T) {
			out, err := direct.as(t, pgembed.User, g.pg.Password, args[0], args[1], args[2:]...)
			require.NoError(t, err, out)
			want := server.take(t)
			out, err = g.client(t, args[0], args[1], args[2:]...)
			require.NoError(t, err, out)
			got := server.take(t)
			require.NotEmpty(t, want)
			require.Equal(t, len(want), len(got))
			for i := range want {
				require.True(t, bytes.Equal(want[i], got[i]), "direct\n%.2000q\nthrough\n%.2000q", want[i], got[i])
			}
		})
	}
}
