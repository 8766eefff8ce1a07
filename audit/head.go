package audit

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Head is a signed head of the log: so many sealed sessions, and what they hash
// to. The zero value is that of an empty log.
type Head struct {
	tlog.Tree
	Note []byte // the checkpoint: a signed note. It is shared and not to be changed

	hashes tlog.HashReader
	public string // the log's key
}

// ProveFrom proves that the log of this head continues that of an earlier one
// with so many sessions, as RFC 6962 section 2.1.2 has it. From none to
// something, and from the head to itself, nothing is needed.
func (h Head) ProveFrom(sessions int64) ([]tlog.Hash, error) {
	if sessions == 0 || sessions == h.N {
		return nil, nil
	}
	return tlog.ProveTree(h.N, sessions, h.hashes)
}

// Continues holds that the head in note was signed by the same log, and that h
// continues it or is it. The error is a *ConflictError otherwise.
func (h Head) Continues(note []byte) error {
	old, err := openCheckpoint(note, h.public)
	if err != nil {
		return conflict("it does not hold an earlier head of this log: %v", err)
	}
	if old.N > h.N {
		return conflict("%d sealed sessions are known there, and the log has %d: it was set back", old.N, h.N)
	}
	if old.N == 0 {
		return nil
	}
	root, err := tlog.TreeHash(old.N, h.hashes)
	if err != nil {
		return err
	}
	if root != old.Hash {
		return conflict("of the first %d sealed sessions others are known there: the log was replaced since, or this is another", old.N)
	}
	return nil
}

var errShortened = errors.New("the list of sealed sessions was shortened")

// Head returns the head that was signed last.
func (l *Log) Head() Head { return l.tree.last() }

func (t *tree) last() Head {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// lines reads the leaves from place from up to to, both among those that are
// listed, with their line breaks.
func (t *tree) lines(from, to int64) ([]string, error) {
	if from >= to {
		return nil, nil
	}
	t.mu.Lock()
	begin, end := t.starts[from/bundleSize], t.length
	if next := (to + bundleSize - 1) / bundleSize; next < int64(len(t.starts)) {
		end = t.starts[next]
	}
	t.mu.Unlock()
	b := make([]byte, end-begin)
	if _, err := t.leaves.ReadAt(b, begin); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	list := strings.SplitAfter(string(b), "\n")
	skip := from % bundleSize
	if int64(len(list)) < skip+to-from {
		return nil, errShortened
	}
	return list[skip : skip+to-from], nil
}
