package audit

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// indexAfter is how long a sealed session may wait for others before they are
// indexed together. Until then it is found by its record.
const indexAfter = time.Second

// indexer keeps the index of a log that is written. It knows where the last segment
// begins, so that it need not read the others.
type indexer struct {
	index  *index
	tail   int   // the place of the last segment's first session
	offset int64 // of its line in the list of sealed sessions
}

// keepIndex indexes sessions when they are sealed, until ctx ends.
func (l *Log) keepIndex(ctx context.Context) {
	defer close(l.indexed)
	ready, failing := false, false
	for ctx.Err() == nil {
		err := l.indexSafely(ctx, &ready)
		if err != nil && ctx.Err() == nil && !failing {
			l.logger.Warn("audit: sessions cannot be indexed; searches read their records instead", "err", err)
		}
		failing = err != nil
		select {
		case <-l.indexing:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(indexAfter):
		case <-ctx.Done():
		}
	}
}

// indexSafely indexes what is not, with a panic as its error.
func (l *Log) indexSafely(ctx context.Context, ready *bool) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %T", errPanic, v)
		}
	}()
	if !*ready {
		err = l.indexer.begin(ctx)
		*ready = err == nil
		return err
	}
	return l.indexer.goOn(ctx)
}

// begin looks at the whole index: it takes out what was erased, and segments that are
// not whole, and indexes what is missing.
func (i *indexer) begin(ctx context.Context) error {
	there, err := i.index.cabinet.list()
	if err != nil {
		return err
	}
	if err := i.index.purge(func(id string) bool { return there[id]&keyThere == 0 }); err != nil {
		return err
	}
	if err := i.index.fill(ctx, nil); err != nil {
		return err
	}
	starts, err := i.index.starts()
	if err != nil || len(starts) == 0 {
		return err
	}
	leaves, err := readLeafLines(i.index.dir)
	if err != nil {
		return err
	}
	i.tail, i.offset = starts[len(starts)-1], 0
	for _, line := range leaves.lines[:i.tail] {
		i.offset += int64(len(line))
	}
	return nil
}

// goOn indexes what was sealed since.
func (i *indexer) goOn(ctx context.Context) error {
	f, err := os.Open(filepath.Join(i.index.dir, "log", "leaves"))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(i.offset, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	leaves := leafLines{first: i.tail, lines: strings.SplitAfter(string(b), "\n")}
	leaves.lines = leaves.lines[:len(leaves.lines)-1] // what is after the last line break
	for i.tail < leaves.end() {
		n, err := i.index.extend(ctx, leaves, gap{i.tail, leaves.end()})
		if err != nil || i.tail+n >= leaves.end() {
			return err
		}
		for _, line := range leaves.lines[i.tail-leaves.first:][:n] {
			i.offset += int64(len(line))
		}
		i.tail += n
	}
	return nil
}
