package audit

import (
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// tiledTree hashes leaves that come in order, and checks each tile as it is
// whole. It holds no more than the last tile of each level.
type tiledTree struct {
	check  func(level int, n int64, data []byte) error
	size   int64
	levels []tiles
}

type tiles struct {
	n      int64 // of the tile that is being filled
	hashes []tlog.Hash
}

func (t *tiledTree) add(leaf []byte) error {
	t.size++
	return t.push(0, tlog.RecordHash(leaf))
}

func (t *tiledTree) push(level int, h tlog.Hash) error {
	if level == len(t.levels) {
		t.levels = append(t.levels, tiles{})
	}
	l := &t.levels[level]
	l.hashes = append(l.hashes, h)
	if len(l.hashes) < bundleSize {
		return nil
	}
	if err := t.check(level, l.n, flatten(l.hashes)); err != nil {
		return err
	}
	up := fold(l.hashes)
	l.n, l.hashes = l.n+1, l.hashes[:0]
	return t.push(level+1, up)
}

// flush checks the tiles that are not full.
func (t *tiledTree) flush() error {
	for level, l := range t.levels {
		if len(l.hashes) == 0 {
			continue
		}
		if err := t.check(level, l.n, flatten(l.hashes)); err != nil {
			return err
		}
	}
	return nil
}

// root is the hash of all leaves so far, of which there is one at least.
func (t *tiledTree) root() tlog.Hash {
	var right tlog.Hash
	have := false
	for _, l := range t.levels {
		if len(l.hashes) == 0 {
			continue
		}
		list := l.hashes
		if have {
			list = append(slices.Clone(list), right)
		}
		right, have = fold(list), true
	}
	return right
}

// fold is the root of the tree over hashes, as RFC 6962 has it, where the last may
// be those of a smaller tree than the others.
func fold(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	split := 1
	for split*2 < len(hashes) {
		split *= 2
	}
	return tlog.NodeHash(fold(hashes[:split]), fold(hashes[split:]))
}

func flatten(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}
