package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/proxy"
)

// Durability says what has happened to an operation's record before the
// operation goes to the resource.
type Durability uint8

// Durabilities.
const (
	// Group: the operating system has it, and the disk a few milliseconds later,
	// together with what others wrote. A killed gateway loses nothing; a machine
	// that loses power can lose those milliseconds.
	Group Durability = iota
	// OS: the operating system has it, and writes it when it likes.
	OS
	// Each: the disk has it.
	Each
)

// ParseDurability reads "group", "os" or "each"; empty is Group.
func ParseDurability(s string) (Durability, error) {
	switch s {
	case "", "group":
		return Group, nil
	case "os":
		return OS, nil
	case "each":
		return Each, nil
	}
	return 0, fmt.Errorf("unknown durability %q: want os, group or each", s)
}

// Config says how a log is kept. The zero value is good.
type Config struct {
	Durability Durability
	// BestEffort lets sessions go on when their record cannot be written. They end
	// otherwise, before their next operation.
	BestEffort bool
	// Interval is how long Group waits for others before it writes to the disk; 0
	// is 5 ms. It waits longer where the disk is slow or many sessions write, so
	// that writing takes an eighth of the time at most.
	Interval time.Duration
	// Keys seal the sessions' keys; the zero value is a key in the log's directory.
	Keys Keys
	// Stall is how long writing may take before it counts as failed; 0 is 10 s.
	Stall time.Duration
	// Recordings says what is recorded of the data of a session, which is about to begin. Its
	// record says so, too. Nil is DefaultRecording.
	Recordings func(s *proxy.Session) Recording
	// Approvals returns the approval that a request is by which something is about to run, so that its record has the signed grant. Nil
	// says that it is not known, which the record has, too; one that is not signed is left out. When Approvals is nil, all are.
	Approvals func(request string) *proxy.Approval
	// Uncompressed leaves the records of sessions that ended as they were written,
	// an event a frame: larger, and a change is located to its event rather than to
	// its batch.
	Uncompressed bool
	// Unpacked leaves the records and keys of small sessions in files of their own, which take a
	// block of the disk and an inode each.
	Unpacked bool
	// Adopt lets a log be opened that does not continue what it signed last, because
	// some of it was removed, altered or is lost: see HistoryError. What is there becomes
	// its history, which the log's own record says with who wanted it and why. Nil opens
	// no such log. Where nothing is wrong it changes nothing.
	Adopt *Action
	// Log is told of failures; nil is slog.Default.
	Log *slog.Logger

	packAt int // sessions that are packed together; 0 is packAt
}

// Log keeps the records of sessions in a directory. It is a proxy.Interceptor,
// which belongs at the end of the chain. It is safe for concurrent use.
type Log struct {
	dir        string
	durability Durability
	bestEffort bool
	interval   time.Duration
	given      Keys
	stall      time.Duration
	recordings func(s *proxy.Session) Recording
	approvals  func(request string) *proxy.Approval
	logger     *slog.Logger

	uncompressed bool
	batchSize    int
	packer       *zstd.Encoder // of the goroutine that seals

	keys *sessionKeys
	tree *tree
	lock io.Closer
	disk *disk

	place   *place
	lost    atomic.Pointer[error] // what of its place is not there; nil when all is
	failing atomic.Pointer[error] // of the latest write; nil when it succeeded

	archive *Archive // of itself

	tick    atomic.Int64 // counts the steps of guard, from 1
	syncing atomic.Int64 // the tick when a sync began; 0 when none goes on

	version atomic.Pointer[Version]

	holds      sync.Mutex // held while a session is erased, held or released
	unfinished unfinished
	recorders  sync.Map // session's identifier → *recorder

	mu         sync.Mutex
	dirty      []*stream
	endings    []*ending
	durable    map[string]int64 // of open sessions, how much of the record is on the disk
	feeds      []*Feed
	followers  []*Follower
	wake       chan struct{}
	stop       chan struct{}
	stopped    chan struct{}
	sealing    chan struct{}
	sealed     chan struct{}
	resealing  atomic.Bool // it is tried again soon
	resettling atomic.Bool
	retailing  atomic.Bool

	packs *packer // nil when none are packed

	indexer     indexer // of the goroutine that indexes
	indexing    chan struct{}
	indexed     chan struct{}
	stopIndexer context.CancelFunc

	own     *ownRecord
	before  string // the last of the gateway's own records of the run before; empty when there was none
	adopted error  // what was wrong with the history; nil when nothing was

	closing  sync.Once
	closeErr error
}

// WriteError says that a record could not be written.
type WriteError struct {
	Session string
	Err     error
}

// Error says that the record is incomplete. It names no file: it can reach the
// session's user.
func (e *WriteError) Error() string { return "the session's record cannot be written" }

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

var (
	errClosed   = errors.New("the record is closed")
	errTooLarge = errors.New("the event is too large")
)

// Open opens the log in dir, or begins one there. Sessions that a stopped
// process left open are sealed, with an event that says so. A log is open in
// one process at a time.
//
// The error is a *HistoryError where the log is not the continuation of what it signed.
func Open(dir string, c Config) (*Log, error) { return open(dir, c, system{}) }

func open(dir string, c Config, s storage) (*Log, error) {
	l := &Log{
		dir: filepath.Clean(dir), disk: newDisk(s), durability: c.Durability, bestEffort: c.BestEffort, interval: c.Interval, logger: c.Log,
		uncompressed: c.Uncompressed, batchSize: batchSize,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
		durable: make(map[string]int64), sealing: make(chan struct{}, 1), sealed: make(chan struct{}),
		indexing: make(chan struct{}, 1), indexed: make(chan struct{}),
	}
	if c.packAt == 0 {
		c.packAt = packAt
	}
	if !c.Unpacked {
		l.packs = newPacks(l, c.packAt)
	}
	if l.interval == 0 {
		l.interval = 5 * time.Millisecond
	}
	l.stall, l.recordings, l.approvals, l.given = c.Stall, c.Recordings, c.Approvals, c.Keys
	if l.stall == 0 {
		l.stall = defaultStall
	}
	if l.recordings == nil {
		l.recordings = func(*proxy.Session) Recording { return DefaultRecording() }
	}
	l.tick.Store(1)
	if l.logger == nil {
		l.logger = slog.Default()
	}
	if err := l.disk.mkdirAll(filepath.Join(l.dir, "sessions")); err != nil {
		return nil, err
	}
	if err := l.open(c.Adopt); err != nil {
		if l.tree != nil {
			err = errors.Join(err, l.tree.close())
		}
		if l.place != nil {
			err = errors.Join(err, l.place.close())
		}
		l.unlock()
		return nil, fmt.Errorf("audit log in %s: %w", dir, err)
	}
	go l.settle()
	go l.guard()
	go l.seal()
	var ctx context.Context
	ctx, l.stopIndexer = context.WithCancel(context.Background())
	l.indexer.index = &index{l.archive}
	go l.keepIndex(ctx)
	if l.packs != nil {
		go l.packs.run()
	}
	return l, nil
}

func (l *Log) open(adopt *Action) (err error) {
	if l.lock, err = l.disk.Lock(filepath.Join(l.dir, "lock"), false); err != nil {
		return err
	}
	lost, err := l.openKeys(adopt != nil)
	if err != nil {
		return err
	}
	l.archive = newArchive(l.dir, l.keys, l.disk)
	if l.tree, l.adopted, err = openTree(l.disk, filepath.Join(l.dir, "log"), adopt != nil); err != nil {
		return err
	}
	if l.place, err = openPlace(l.dir); err != nil {
		return err
	}
	last, cut := l.checkOwn()
	var h *HistoryError
	if cut != nil && (adopt == nil || !errors.As(cut, &h)) {
		return cut
	}
	l.adopted = errors.Join(lost, l.adopted, cut)
	if err = errors.Join(l.removeHalfMade(), l.recover()); err != nil {
		return err
	}
	l.before = last
	l.finishErasures(last)
	if err := l.beginOwn(); err != nil {
		return err
	}
	if l.adopted != nil {
		if err := l.recordAdoption(adopt); err != nil {
			return errors.Join(err, l.own.discard())
		}
	}
	l.sealEnded()
	if err := l.tree.commit(); err != nil {
		return errors.Join(err, l.own.file.Close())
	}
	return nil
}

// openKeys opens the sessions' keys, or makes the key that seals them. When one was made
// before and is missing, the error is a *HistoryError, unless adopt is set: then it is lost.
func (l *Log) openKeys(adopt bool) (lost, err error) {
	if l.given.Current == nil {
		elsewhere, err := keysLost(l.dir)
		if elsewhere && len(l.given.Old) == 0 {
			err = historyError("the sessions' keys are sealed by a key that is kept elsewhere, and none was given")
		}
		var h *HistoryError
		if err != nil && (!adopt || !errors.As(err, &h)) {
			return nil, err
		}
		lost = err
	}
	if l.keys, err = openKeys(l.dir, l.given, l.disk); err != nil {
		return nil, err
	}
	elsewhere := filepath.Join(l.dir, elsewhereName)
	if _, err := os.Stat(elsewhere); l.given.Current != nil && errors.Is(err, fs.ErrNotExist) {
		return lost, l.disk.replace(elsewhere, []byte(elsewhereText), 0o600)
	}
	if lost != nil { // it is kept here from now on
		err = l.disk.remove(elsewhere)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return lost, err
}

// mark has s written and synced soon.
func (l *Log) mark(s *stream) {
	l.mu.Lock()
	l.dirty = append(l.dirty, s)
	l.mu.Unlock()
	l.nudge()
}

// nudge wakes settle.
func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// settle writes and syncs what was marked.
func (l *Log) settle() {
	defer close(l.stopped)
	t := time.NewTimer(0)
	<-t.C
	wait := l.interval
	for {
		select {
		case <-l.wake:
		case <-l.stop:
			return
		}
		t.Reset(wait)
		select {
		case <-t.C:
		case <-l.stop:
			return // Close settles what is left
		}
		begun := time.Now()
		l.settleOnce()
		wait = max(l.interval, 8*time.Since(begun))
	}
}

func (l *Log) settleOnce() {
	if l.checkPlace() != nil {
		return // what is marked fails with its next event, or is written when the place is there
	}
	for _, s := range l.take() {
		s.settle()
	}
	if err := withoutPanic(l.signTail); err != nil {
		l.failed(&WriteError{Err: err})
		l.retry(&l.resettling, l.nudge)
	}
	before := l.Head().N
	if err := withoutPanic(l.tree.commit); err != nil {
		l.failed(&WriteError{Err: err}) // leaves stay, and the next commit tries again
		l.retry(&l.resettling, l.nudge)
	}
	if l.Head().N > before {
		l.eachFollower((*Follower).nudge)
	}
}

func (l *Log) take() []*stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.dirty
	l.dirty = nil
	return list
}

func (l *Log) failed(err error) {
	l.logger.Error("audit", "err", err, "cause", errors.Unwrap(err))
}

// Close seals the gateway's own record and closes the log. Sessions must have
// ended; those that have not are sealed when the log is opened next. Calls after the
// first return what the first did.
func (l *Log) Close() error {
	l.closing.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Log) close() error {
	close(l.stop)
	l.stopIndexer()
	<-l.indexed
	<-l.stopped
	<-l.sealed
	if l.packs != nil {
		<-l.packs.done
	}
	l.destroyRest()
	l.settleOnce()
	err := l.own.end(time.Now(), GatewayStop, func(b []byte) []byte { return b })
	l.sealEnded()
	err = errors.Join(err, l.tree.commit())
	l.closeReaders()
	err = errors.Join(err, l.tree.close(), l.place.close())
	l.unlock()
	return err
}

// closeReaders ends those who read the log, once they have what is left or have
// waited for it long enough.
func (l *Log) closeReaders() {
	l.mu.Lock()
	feeds, followers := l.feeds, l.followers
	l.mu.Unlock()
	for _, f := range feeds {
		f.close()
	}
	for _, f := range followers {
		f.close()
	}
	for _, f := range feeds {
		<-f.done
		f.cancel()
	}
	for _, f := range followers {
		<-f.done
		f.cancel()
	}
}

func (l *Log) unlock() {
	if l.lock != nil {
		l.lock.Close()
	}
}

// Adopted returns what was wrong with the log's history and was adopted with it; nil
// when nothing was. See [Config.Adopt].
func (l *Log) Adopted() error { return l.adopted }

// PublicKey is the verifier of the log's checkpoints, as [Verify] takes it.
func (l *Log) PublicKey() string { return l.tree.public }

// escape keeps a directory's name from being read as a pattern.
func escape(dir string) string {
	var out []byte
	for i := range len(dir) {
		switch dir[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, dir[i])
	}
	return string(out)
}

func isID(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}
