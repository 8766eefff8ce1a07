package postgres

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// An idle session holds no large buffers. Measured is everything in this
// process, which here plays the client and the server too; what these take by
// themselves is measured first. IDLE_SESSIONS=10000 opens so many; each takes
// four descriptors.
func TestAttack76IdleSessions(t *testing.T) {
	n := 500
	if s := os.Getenv("IDLE_SESSIONS"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	if race.Enabled {
		n = 50 // its figures say nothing, and it takes long
	}
	// What other tests have left is strewn over memory: what is measured fills its gaps, and
	// leaves others. So it is measured in a process that does nothing else.
	if os.Getenv("IDLE_ALONE") == "" {
		alone := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
		alone.Env = append(os.Environ(), "IDLE_ALONE=1")
		out, err := alone.CombinedOutput()
		t.Logf("%s", out)
		require.NoError(t, err)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	// Collections are rare otherwise, and what is kept is then strewn too.
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	answer := func(c net.Conn) {
		answering(append(msg(wire.CommandComplete, []byte("SELECT 0\x00")...), msg(wire.ReadyForQuery, 'I')...))(c)
	}
	ask := func(c *rawClient) {
		c.send(wire.AppendQuery(nil, []byte("SELECT 1")))
		types, failed := c.until(wire.ReadyForQuery)
		require.Equal(t, "CZ", types, failed)
	}

	address := backdoor(t, answer)
	before := inUse()
	for range n { // the server's and the client's part, without a gateway
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer c.Close()
		raw := &rawClient{t, c}
		raw.send(wire.AppendStartup(nil, wire.Version30, nil))
		raw.until(wire.ReadyForQuery)
		ask(raw)
	}
	peers := inUse() - before

	g := hostile(t, gateConfig{}, answer)
	before = inUse()
	for range n {
		ask(g.raw(t))
	}
	total := inUse() - before
	each := (total - min(total, peers)) / uint64(n)
	t.Logf("%d B a session, beside %d B of its peers", each, peers/uint64(n))
	if !race.Enabled {
		require.Less(t, each, uint64(32<<10))
	}
}
