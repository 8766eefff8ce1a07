package ssh_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// TestTransfers: a command that copies files is asked as access to them too, and
// what flows is a file's content, not text for a screen.
func TestTransfers(t *testing.T) {
	var mu sync.Mutex
	media := make(map[string]bool)
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if f, ok := op.(*proxy.File); ok && f.Path == "/etc/hostname" {
				return proxy.Deny(proxy.CausePolicy, "no-names", "this file is not read", "")
			}
			return proxy.Verdict{}
		}
		r.journal.flow = func(op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			mu.Lock()
			defer mu.Unlock()
			media[describe(op)+": "+shape.Media] = true
			return proxy.Filter{}, nil
		}
	})
	got := r.ssh("gw", "tar cf - -C /etc passwd | gzip")
	require.Equal(t, 0, got.code, got.err)
	r.journal.expect(t, "file read /etc/passwd → done  in 0 out ")
	require.Equal(t, 0, r.ssh("gw", "cat /etc/passwd").code)
	for _, command := range []string{"scp -f /etc/hostname", "rsync --server --sender -e.Ls . /etc/passwd /etc/hostname", "cd /etc && tar cf - hostname"} {
		require.Equal(t, result{err: "sallyport: this file is not read (rule no-names)\n", code: 1}, r.ssh("gw", command))
		r.journal.expect(t, "exec "+command+" → error: access to a file was refused")
	}
	r.journal.expect(t, "file read /etc/passwd → error: access to a file was refused")
	mu.Lock()
	defer mu.Unlock()
	require.True(t, media["exec tar cf - -C /etc passwd | gzip: file"])
	require.True(t, media["exec cat /etc/passwd: stdout"])
	require.False(t, media["exec cat /etc/passwd: file"])
}
