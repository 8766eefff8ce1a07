package audit

import (
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// counted counts the files that are open.
type counted struct {
	system
	mu         sync.Mutex
	open, most int
}

func (c *counted) Open(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := c.system.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	c.add(1)
	return &countedFile{file: f, of: c}, nil
}

func (c *counted) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += n
	c.most = max(c.most, c.open)
}

type countedFile struct {
	file
	of   *counted
	once sync.Once
}

func (f *countedFile) Close() error {
	f.once.Do(func() { f.of.add(-1) })
	return f.file.Close()
}

// A log that was stopped with many open sessions opens with few files open, however many they are.
func TestRecoverFewFiles(t *testing.T) {
	const sessions, few = 100, 16
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	for range sessions {
		run(newSession(t, l), "SELECT 1")
	}
	stopped := t.TempDir()
	snapshotTo(t, Snapshot{Root: rootOf(t, dir)}, stopped)
	require.NoError(t, l.Close())

	c := &counted{}
	again, err := open(stopped, quiet(), c)
	require.NoError(t, err)
	require.LessOrEqual(t, c.most, few)
	require.NoError(t, again.Close())
	r := verify(t, stopped, again.PublicKey())
	require.Empty(t, r.Problems)
	require.Equal(t, sessions+2, r.Sessions)
}
