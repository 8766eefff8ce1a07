package audit

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// Erasing leaves the proof whole, is on record, and a hold prevents it.
func TestEraseAndHold(t *testing.T) {
	dir, public, ids := record(t, 3)
	l := openLog(t, dir, Config{})
	root := &proxy.Identity{Subject: "root"}
	open := newSession(t, l)
	require.ErrorIs(t, l.Erase(Action{By: root, Session: open.ID}), ErrOpen)
	require.NoError(t, l.Hold(Action{By: root, Session: ids[0], Reason: "case 17"}))
	require.ErrorIs(t, l.Erase(Action{By: root, Session: ids[0]}), ErrHeld)
	require.NoError(t, l.Erase(Action{By: root, Session: ids[1], Reason: "article 17"}))
	require.ErrorIs(t, l.Erase(Action{By: root, Session: ids[1]}), ErrErased)
	require.ErrorIs(t, l.Hold(Action{By: root, Session: ids[1]}), ErrErased)
	require.ErrorContains(t, l.Release(Action{By: root, Session: ids[2]}), "not held")
	require.ErrorIs(t, l.Erase(Action{Session: "0000000000000000000000000z"}), os.ErrNotExist)
	require.Error(t, l.Erase(Action{Session: "../../x"}))
	own := l.own.id
	open.Close(nil)
	require.NoError(t, l.Close())
	list := events(t, dir, own)
	require.Equal(t, "gateway.start admin.hold admin.erase gateway.stop", types(list))
	require.Equal(t, []string{"root", ids[1], "article 17"}, []string{list[2].User, list[2].Session, list[2].Reason})
	r := verify(t, dir, public)
	require.Empty(t, r.Problems)
	require.Empty(t, r.Unproven)
	a, err := OpenArchive(dir)
	require.NoError(t, err)
	for _, err := range a.Events(ids[1]) {
		require.ErrorIs(t, err, ErrErased)
	}
	held, err := a.Held(ids[0])
	require.NoError(t, err)
	require.True(t, held)

	l = openLog(t, dir, Config{})
	require.ErrorIs(t, l.Erase(Action{By: root, Session: own}), ErrOwn)
	require.NoError(t, l.Release(Action{By: root, Session: ids[0]}))
	require.NoError(t, l.Erase(Action{By: root, Session: ids[0]}))
	require.NoError(t, l.Close())
	require.Empty(t, verify(t, dir, public).Problems)
}

// Rules erase what is old enough, each with an event, and nothing that is held or open.
func TestExpire(t *testing.T) {
	dir, public, ids := record(t, 3)
	l := openLog(t, dir, Config{})
	open := newSession(t, l)
	require.NoError(t, l.Hold(Action{Session: ids[0]}))
	week := func(e *Event) time.Duration {
		require.Equal(t, "shop", e.Resource)
		return 7 * 24 * time.Hour
	}
	n, err := l.Expire(time.Now().Add(24*time.Hour), week)
	require.NoError(t, err)
	require.Zero(t, n, "too young")
	n, err = l.Expire(time.Now().Add(8*24*time.Hour), func(*Event) time.Duration { return 0 })
	require.NoError(t, err)
	require.Zero(t, n, "kept for ever")
	n, err = l.Expire(time.Now().Add(8*24*time.Hour), week)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = l.Expire(time.Now().Add(8*24*time.Hour), week)
	require.NoError(t, err)
	require.Zero(t, n)
	own := l.own.id
	open.Close(nil)
	require.NoError(t, l.Close())
	require.Equal(t, "gateway.start admin.hold record.expired record.expired gateway.stop", types(events(t, dir, own)))
	require.NotEmpty(t, events(t, dir, ids[0]))
	require.NotEmpty(t, events(t, dir, open.ID))
	require.Empty(t, verify(t, dir, public).Problems)
}

// The key can come from elsewhere and be changed; what was recorded before stays readable.
func TestKeys(t *testing.T) {
	dir, public, ids := record(t, 1) // by a key of the directory's own
	one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	l := openLog(t, dir, Config{Keys: Keys{Current: one}})
	s := newSession(t, l)
	s.Close(nil)
	require.NoError(t, l.Close())
	ids = append(ids, s.ID)
	readable := func(k Keys) (n int) {
		a, err := OpenArchiveWith(dir, k)
		require.NoError(t, err)
		for _, id := range ids {
			for _, err := range a.Events(id) {
				if err == nil {
					n++
				}
				break
			}
		}
		return n
	}
	require.Equal(t, 2, readable(Keys{Current: one}))
	require.Equal(t, 1, readable(Keys{}), "the directory's key is not that of new sessions")
	a, err := OpenArchiveWith(dir, Keys{Current: two, Old: [][]byte{one}})
	require.NoError(t, err)
	n, err := a.Rekey()
	require.NoError(t, err)
	require.Equal(t, 4, n, "with the gateway's own two")
	n, err = a.Rekey()
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, os.Remove(filepath.Join(dir, masterKey)))
	require.Equal(t, 2, readable(Keys{Current: two}))
	require.Equal(t, 0, readable(Keys{Current: one}))
	require.Empty(t, verify(t, dir, public).Problems)
	_, err = OpenArchive(dir)
	require.Error(t, err, "there is no key")
	_, err = os.Stat(filepath.Join(dir, masterKey))
	require.ErrorIs(t, err, os.ErrNotExist, "and reading makes none")

	key, err := ParseKey(base64.StdEncoding.EncodeToString(one) + "\n")
	require.NoError(t, err)
	require.Equal(t, one, key)
	for _, text := range []string{"", "hunter2hunter2", base64.StdEncoding.EncodeToString(one[:31])} {
		_, err := ParseKey(text)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err = Open(t.TempDir(), Config{Keys: Keys{Current: []byte("short")}, Log: quiet().Log})
	require.Error(t, err)
}

// A key that is destroyed while keys are sealed again does not come back.
func TestEraseWhileRekeying(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, keyLen), bytes.Repeat([]byte{2}, keyLen)
	dir := t.TempDir()
	l := openLog(t, dir, Config{Keys: Keys{Current: one}, Durability: OS})
	var ids []string
	for range 60 {
		ids = append(ids, visit{"alice", "dev", "shop", "postgres", asks("SELECT 1")}.record(t, l))
	}
	require.NoError(t, l.Close())
	l = openLog(t, dir, Config{Keys: Keys{Current: two, Old: [][]byte{one}}, Durability: OS})
	defer l.Close()
	a, err := OpenArchiveWith(dir, Keys{Current: two, Old: [][]byte{one}})
	require.NoError(t, err)
	rekeyed := make(chan error, 1)
	go func() {
		_, err := a.Rekey()
		rekeyed <- err
	}()
	for _, id := range ids {
		require.NoError(t, l.erase(id, func() error { return nil }))
	}
	require.NoError(t, <-rekeyed)
	for _, id := range ids {
		path, err := find(dir, id)
		require.NoError(t, err)
		require.NoFileExists(t, path+keySuffix)
	}
}
