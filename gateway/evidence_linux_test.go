package gateway

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// fillDisk makes writes to the open files in dir whose names have part in them fail as
// on a full disk. It returns how many there are.
func fillDisk(t *testing.T, dir, part string) (files int) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, e := range list {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || !strings.HasPrefix(to, dir) || !strings.Contains(to, part) {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		require.NoError(t, err)
		require.NoError(t, syscall.Dup3(int(full.Fd()), fd, syscall.O_CLOEXEC))
		files++
	}
	return files
}

// TestEvidenceOnFullDisk: when a session's record cannot be written, its next
// operation does not run and it ends; other sessions go on.
func TestEvidenceOnFullDisk(t *testing.T) {
	s := openEvidence(t)
	k := connect(t, s.plain("alice", "shop"))
	require.Equal(t, [][]string{{"1"}}, k.query("SELECT 1"))
	session := s.session(t, "alice", "shop")
	require.NotZero(t, fillDisk(t, filepath.Join(s.dir, "data", "audit"), session.ID))

	for _, row := range k.rows(fatal, &pgproto3.Query{String: "SELECT ssn FROM people"}) {
		require.Contains(t, row[0], "error")
		require.NotContains(t, row[0], "No space", "what the operator is told is not the user's")
	}
	require.Eventually(t, func() bool { return session.Err() != nil }, 20*time.Second, time.Millisecond)
	require.ErrorIs(t, session.Err(), syscall.ENOSPC)
	other := connect(t, s.plain("alice", "shop"))
	require.Equal(t, [][]string{{"1"}}, other.query("SELECT 1"))
}
