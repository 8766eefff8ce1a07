package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"
	"sync"
	"time"
)

// FeedConfig says what a sink gets. The zero value is good.
type FeedConfig struct {
	// Only names the types of events, as patterns of path.Match; empty is all but
	// recordings.
	Only []string
	// FromStart has a sink that is served for the first time get everything that
	// is in the log already. It begins with what comes otherwise.
	FromStart bool
	// Drain is how long closing the log waits for the sink to take what is left; 0
	// is 5 s. The rest comes when the log is opened next.
	Drain time.Duration
	// Lag is how long a sink may take nothing before that is recorded; 0 is 10 s.
	Lag time.Duration
}

// Bounds of a batch and of waiting for a sink.
const (
	maxFeedEvents = 512
	maxFeedBytes  = 1 << 20
	minRetry      = 250 * time.Millisecond
	maxRetry      = 30 * time.Second
	lagAfter      = 10 * time.Second       // who has been failing for so long is reported
	saveEvery     = time.Second            // the cursor
	gatherFor     = 100 * time.Millisecond // events, before they are read
)

// Feed serves one sink. It reads from the log's files what is on the disk,
// so that the log is its queue: a sink that is slow or down holds up nobody,
// takes no memory and misses nothing.
type Feed struct {
	log    *Log
	sink   Sink
	config FeedConfig

	ctx    context.Context // ends when what is left is left for the next time
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	news    map[string]notice // sessions with more on the disk
	order   []string          // of news
	closing bool
	stats   FeedStats

	// Of the feed's goroutine.
	cursor *cursor
	live   map[string]*following
	read   map[string]uint64 // what was read since the last delivery, by session
	batch  []Outgoing
	bytes  int
	saved  time.Time
}

// FeedStats say how a sink is doing.
type FeedStats struct {
	Sink      string
	Delivered uint64    // events
	Failures  uint64    // deliveries that did not succeed
	LeftOut   uint64    // events that are too large for the sink, or cannot be read
	Waiting   int       // sessions with events that are not delivered yet
	Since     time.Time // since when some have been waiting; zero when none are
}

// notice is what a feed is told of a session.
type notice struct {
	size int64 // of its record, as far as it is on the disk; 0 is all of it
	leaf int64 // its place among the sealed, or -1
}

// following is a session that a feed follows.
type following struct {
	notice
	path   string // without suffix
	key    []byte
	start  *Event
	index  uint64 // read
	offset int64  // in the record as it is written; 0 when not known
	chain  digest
}

// Feed begins to serve a sink. Closing the log ends it.
func (l *Log) Feed(s Sink, c FeedConfig) (*Feed, error) {
	if c.Drain == 0 {
		c.Drain = 5 * time.Second
	}
	if c.Lag == 0 {
		c.Lag = lagAfter
	}
	for _, p := range c.Only {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("sink %s: %q is not a pattern", s.Name(), p)
		}
	}
	f := &Feed{
		log: l, sink: s, config: c, wake: make(chan struct{}, 1), done: make(chan struct{}),
		news: make(map[string]notice), live: make(map[string]*following), read: make(map[string]uint64), stats: FeedStats{Sink: s.Name()},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	var err error
	if f.cursor, err = openCursor(l.disk, l.dir, s.Name()); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.feeds {
		if other.sink.Name() == s.Name() {
			return nil, fmt.Errorf("two sinks are named %s", s.Name())
		}
	}
	lines, err := readLeaves(l.tree.path("leaves"))
	if err != nil {
		return nil, err
	}
	if f.cursor.fresh && !c.FromStart {
		f.cursor.Sealed = int64(len(lines))
	}
	f.cursor.noMoreThan(int64(len(lines)))
	for i := f.cursor.Sealed; i < int64(len(lines)); i++ {
		leaf, err := parseLeaf(lines[i][:len(lines[i])-1])
		if err != nil {
			return nil, err
		}
		f.tell(leaf.ID, notice{leaf: i})
	}
	for id, size := range l.durable {
		if size > 0 {
			f.tell(id, notice{size: size, leaf: -1})
		}
	}
	l.feeds = append(l.feeds, f)
	go f.run()
	return f, nil
}

// opened notes that a record is being written, and gone that it is not any more
// and will be sealed another time.
func (l *Log) opened(id string) {
	l.mu.Lock()
	l.durable[id] = 0
	l.mu.Unlock()
}

func (l *Log) gone(id string) {
	l.mu.Lock()
	delete(l.durable, id)
	l.mu.Unlock()
}

// onDisk tells the feeds that an open session's record is on the disk up to size.
func (l *Log) onDisk(id string, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.durable[id]; !ok || size <= before {
		return
	}
	l.durable[id] = size
	for _, f := range l.feeds {
		f.tell(id, notice{size: size, leaf: -1})
	}
}

// isSealed tells the feeds and the indexer that a session is whole and sealed.
func (l *Log) isSealed(id string, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.durable, id)
	for _, f := range l.feeds {
		f.tell(id, notice{leaf: at})
	}
	select {
	case l.indexing <- struct{}{}:
	default:
	}
}

// close has the feed serve what is there and end; done is closed then.
func (f *Feed) close() {
	f.mu.Lock()
	f.closing = true
	f.mu.Unlock()
	time.AfterFunc(f.config.Drain, f.cancel)
	f.nudge()
}

func (f *Feed) tell(id string, n notice) {
	f.mu.Lock()
	if _, ok := f.news[id]; !ok {
		f.order = append(f.order, id)
	}
	f.news[id] = n
	if f.stats.Since.IsZero() {
		f.stats.Since = time.Now()
	}
	f.mu.Unlock()
	f.nudge()
}

func (f *Feed) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Stats returns how the sink is doing.
func (f *Feed) Stats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Waiting = len(f.news)
	return s
}

func (f *Feed) run() {
	defer close(f.done)
	for range f.wake {
		if !f.isClosing() {
			time.Sleep(gatherFor)
		}
		closing := f.isClosing() // before: what was told by then is served
		f.serve(f.ctx)
		f.save(closing)
		if closing {
			return
		}
	}
}

func (f *Feed) isClosing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing
}

// serve delivers everything that the feed was told of. It returns early when
// ctx ends, and for no other reason.
func (f *Feed) serve(ctx context.Context) {
	for ctx.Err() == nil {
		id, n, ok := f.take()
		if ok {
			f.session(ctx, id, n)
			continue
		}
		if f.deliver(ctx) == nil {
			f.mu.Lock()
			if len(f.news) == 0 {
				f.stats.Since = time.Time{}
			}
			f.mu.Unlock()
		}
		return
	}
}

func (f *Feed) take() (string, notice, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) == 0 {
		return "", notice{}, false
	}
	id := f.order[0]
	f.order = f.order[1:]
	n := f.news[id]
	delete(f.news, id)
	return id, n, true
}

// session delivers what is new of one session.
func (f *Feed) session(ctx context.Context, id string, n notice) {
	if f.cursor.isDone(id) || n.leaf >= 0 && n.leaf < f.cursor.Sealed {
		return
	}
	s := f.live[id]
	if s == nil {
		s = &following{index: f.cursor.Open[id]}
		f.live[id] = s
	}
	s.notice = n
	var failed error
	err := f.follow(id, s, func(b []byte) bool {
		failed = f.add(ctx, id, s, b)
		return failed == nil
	})
	if ctx.Err() != nil {
		return
	}
	if err = errors.Join(err, failed); err != nil && !errors.Is(err, ErrErased) {
		f.leftOut(id, s.index+1, err)
	}
	if n.leaf < 0 {
		return
	}
	// The last of it is in the batch, which is delivered before the cursor says so.
	if f.deliver(ctx) == nil {
		delete(f.live, id)
		f.cursor.done(id, n.leaf)
	}
}

// follow reads a session's events after the last that was read.
func (f *Feed) follow(id string, s *following, each func(b []byte) bool) (err error) {
	if s.key == nil {
		if s.path, err = f.log.archive.cabinet.find(id); err != nil {
			return err
		}
		if s.key, err = f.log.archive.presentKey(s.path, id); err != nil {
			return err
		}
	}
	file, err := f.log.archive.cabinet.open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := newReader(file)
	if err != nil {
		return err
	}
	if err := r.unlock(s.key); err != nil {
		return err
	}
	if r.salt == nil && s.offset > 0 && s.start != nil {
		if _, err := file.Seek(s.offset, io.SeekStart); err != nil {
			return err
		}
		r.bytes, r.index, r.chain = s.offset, s.index, s.chain
	}
	var sealed leaf
	if s.leaf >= 0 {
		if sealed, _, err = f.log.archive.sealed.find(id); err != nil {
			return err
		}
	}
	var in io.Reader = file
	if r.salt == nil && s.size > 0 {
		in = io.LimitReader(file, s.size-r.bytes)
	}
	r.r = bufio.NewReaderSize(in, 64<<10)
	for {
		frame, err := r.next()
		switch {
		case err != nil && s.leaf >= 0:
			return r.ended(err, sealed)
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return nil
		case err != nil:
			return err
		}
		at := r.first
		more, err := r.open(frame, func(b []byte) bool {
			ok := true
			if at > s.index || s.start == nil {
				ok = each(b)
			}
			at++
			return ok
		})
		if err != nil || !more {
			return err
		}
		if r.salt == nil {
			s.offset, s.chain = r.bytes, r.chain
		}
	}
}

// add puts an event into the batch, and delivers it when it is full.
func (f *Feed) add(ctx context.Context, id string, s *following, b []byte) error {
	if s.start == nil {
		s.start = &Event{}
		if err := json.Unmarshal(b, s.start); err != nil {
			return err
		}
		if s.index > 0 { // delivered by an earlier process
			return nil
		}
	}
	s.index++
	r := Outgoing{Session: id, Index: s.index, Type: typeOf(b)}
	if s.start.Type == SessionStart {
		r.Start = s.start
	}
	f.read[id] = s.index
	if !f.wants(r.Type) {
		return nil
	}
	r.JSON = bytes.Clone(b)
	f.batch = append(f.batch, r)
	f.bytes += len(b)
	if len(f.batch) >= maxFeedEvents || f.bytes >= maxFeedBytes {
		return f.deliver(ctx)
	}
	return nil
}

func (f *Feed) wants(typ string) bool {
	for _, p := range f.config.Only {
		if ok, _ := path.Match(p, typ); ok {
			return true
		}
	}
	return len(f.config.Only) == 0 && !isRecording(typ)
}

// isRecording reports whether events of a type tell of what flowed: data, which is much
// and reads badly as events, its columns and digests.
func isRecording(typ string) bool { return strings.HasPrefix(typ, "recording.") }

// typeOf returns the type of an event that was written by object.
func typeOf(b []byte) string {
	_, rest, _ := bytes.Cut(b, []byte(`"type":"`))
	typ, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(typ)
}

// deliver delivers the batch, however long that takes. The error is ctx's.
func (f *Feed) deliver(ctx context.Context) error {
	if len(f.batch) > 0 {
		if err := f.deliverAll(ctx, f.batch); err != nil {
			return err
		}
		clear(f.batch)
		f.batch, f.bytes = f.batch[:0], 0
	}
	maps.Copy(f.cursor.Open, f.read)
	clear(f.read)
	f.save(false)
	return nil
}

func (f *Feed) deliverAll(ctx context.Context, batch []Outgoing) error {
	p := patience{log: f.log, name: f.sink.Name(), lag: f.config.Lag}
	for {
		p.begin()
		err := f.sink.Deliver(ctx, batch)
		if err == nil {
			f.count(func(s *FeedStats) { s.Delivered += uint64(len(batch)) })
			p.succeeded()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.count(func(s *FeedStats) { s.Failures++ })
		var large *TooLargeError
		if errors.As(err, &large) {
			if len(batch) == 1 {
				f.leftOut(batch[0].Session, batch[0].Index, err)
				return nil
			}
			half := len(batch) / 2
			if err := f.deliverAll(ctx, batch[:half]); err != nil {
				return err
			}
			return f.deliverAll(ctx, batch[half:])
		}
		if err := p.failed(ctx, err); err != nil {
			return err
		}
	}
}

// leftOut records that the sink misses an event, and counts it then.
func (f *Feed) leftOut(session string, index uint64, err error) {
	f.log.logger.Error("audit: a sink misses an event", "sink", f.sink.Name(), "session", session, "event", index, "err", err)
	f.log.report(ExportLeftOut, f.sink.Name(), fmt.Errorf("session %s from event %d: %w", session, index, err))
	f.count(func(s *FeedStats) { s.LeftOut++ })
}

func (f *Feed) count(change func(*FeedStats)) {
	f.mu.Lock()
	change(&f.stats)
	f.mu.Unlock()
}

// save writes the cursor to the disk, at most every second unless now is set.
// Without it the sink gets again what it had.
func (f *Feed) save(now bool) {
	if !now && time.Since(f.saved) < saveEvery {
		return
	}
	f.saved = time.Now()
	if err := f.cursor.save(); err != nil {
		f.log.logger.Error("audit: the progress of a sink cannot be saved", "sink", f.sink.Name(), "err", err)
	}
}

// report records something about a sink in the gateway's own record. What cannot
// be recorded was logged.
func (l *Log) report(typ, sink string, err error) {
	_ = l.own.event(time.Now(), typ, soon, func(b []byte) []byte {
		b = str(b, "name", sink)
		if err != nil {
			b = str(b, "error", err.Error())
		}
		return b
	})
}
