package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// expect says which answer an entry of the queue waits for.
type expect uint8

const (
	expectQuery     expect = iota // anything, until ReadyForQuery
	expectParse                   // ParseComplete
	expectBind                    // BindComplete
	expectStatement               // ParameterDescription, then RowDescription or NoData
	expectPortal                  // RowDescription or NoData
	expectExecute                 // rows or COPY, then CommandComplete, EmptyQueryResponse or PortalSuspended
	expectClose                   // CloseComplete
	expectSync                    // ReadyForQuery
	expectFunction                // FunctionCallResponse, then ReadyForQuery
	expectLook                    // what the messages of a look are answered with
	copyEnd                       // nothing: the client ended a COPY here
)

// endsWithReady reports whether the answer ends with a ReadyForQuery.
func (e expect) endsWithReady() bool {
	return e == expectQuery || e == expectSync || e == expectFunction
}

// entry is one answer that the server owes.
type entry struct {
	expect  expect
	part    int  // how many of the statements of a query have ended
	copying bool // the server reads COPY data for it
	hidden  bool // the gateway asked for itself: the client gets nothing of it
	// filtered says that an interceptor wanted rows when the message went to the
	// server: descriptions are kept, and rows are shown to filters.
	filtered bool
	refusal  []byte // takes the place of the server's error
	trial    bool   // unless the server's error is that it does not read the text either
	refused  error  // why the data that the client sent was refused
	// newEncoding says that the client's encoding may have changed before it, in
	// the same batch.
	newEncoding bool
	prepares    uint64   // the number of the PREPARE that it is; see prepared
	op          proxy.Op // nil, or the operation whose Done is owed
	stmt        *statement
	portal      *portal
	guard       *guard // nil: it may change whatever it does
	look        *look  // of expectLook, and of the Sync after it

	// The operation's own memory, valid until its Done.
	statement proxy.Statement
	call      proxy.Call
	text      []byte

	size int // bytes that it keeps in memory while its answer is owed
	next *entry
}

// keeps is how many bytes of the client's e keeps in memory.
func (e *entry) keeps() int {
	n := len(e.text)
	switch {
	case e.expect == expectParse && e.stmt != nil:
		n += len(e.stmt.text)
	case e.expect == expectBind && e.portal != nil:
		n += len(e.portal.values)
	}
	return n
}

const (
	maxPending   = 8192    // answers owed before up waits for down
	maxKept      = 8 << 20 // bytes that they keep before it does
	keptEntries  = 4       // for reuse, in an idle session
	keptTextSize = 4 << 10
)

// pending is the queue of answers owed, and the names of prepared statements
// and portals, which change as answers come. It is shared by up and down.
type pending struct {
	mu      sync.Mutex
	moved   sync.Cond // signalled when down takes an entry off, or finds that the server skips
	waiting int
	closed  bool

	head, tail *entry
	n          int
	syncs      int // of them, those of Syncs
	size       int // bytes that they keep
	free       *entry
	nfree      int

	copying bool    // the server reads COPY data and swallows everything else
	copied  *inflow // what wants to see that data; nil when nothing does
	// skipping says that the server skips all that comes until a Sync, which is not
	// sent yet.
	skipping atomic.Bool
	// turns counts the messages after which the server says that it is ready: a transaction
	// may end with each.
	turns      atomic.Int32
	batch      uint64 // counts Syncs sent
	statements names[*statement]
	portals    names[*portal]
}

func newPending() *pending {
	p := &pending{}
	p.moved.L = &p.mu
	return p
}

// take returns an empty entry for reuse.
func (p *pending) take(x expect) *entry {
	p.mu.Lock()
	e := p.free
	if e != nil {
		p.free, p.nfree = e.next, p.nfree-1
	}
	p.mu.Unlock()
	if e == nil {
		e = &entry{}
	}
	e.expect, e.next = x, nil
	return e
}

// isFull reports whether up is to wait for down.
func (p *pending) isFull() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n >= maxPending || p.size >= maxKept
}

// drain waits until half of what may be owed was answered. It does not when the
// server skips: no answer comes then, and nothing more is owed until Sync.
func (p *pending) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.n > 0 && (p.n > maxPending/2 || p.size > maxKept/2) && !p.skipping.Load() && !p.closed {
		p.wait()
	}
}

// push appends e. It fails when the session is over, and when the server would
// swallow the message because it reads COPY data: its answer would never come.
func (p *pending) push(e *entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.expect == copyEnd {
		p.copying = false
		if p.head == nil { // of no COPY
			return nil
		}
	}
	p.add(e)
	switch {
	case p.closed:
		return context.Canceled
	case p.copying && e.expect != expectSync:
		return errInCopy
	}
	return nil
}

// skip notes that the server skips all that comes until the next Sync.
func (p *pending) skip() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.syncs == 0 {
		p.skipping.Store(true)
		if p.waiting > 0 {
			p.moved.Broadcast()
		}
	}
}

var errInCopy = fmt.Errorf("%w: client sent another message in the middle of COPY data", wire.ErrProtocol)

// startCopy notes that the server reads COPY data for the first entry, and what
// wants to see it.
func (p *pending) startCopy(in *inflow) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.copying, p.copied = true, in
	if p.waiting > 0 {
		p.moved.Broadcast()
	}
	for e := p.head.next; e != nil; e = e.next {
		switch e.expect {
		case copyEnd:
			p.copying = false
			return nil
		case expectSync:
		default:
			return errInCopy
		}
	}
	return nil
}

// endCopy notes that the server no longer reads COPY data. done says that it
// took the data to its end: Syncs before that point were swallowed. After a
// failure nobody can tell whether they were.
func (p *pending) endCopy(done bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.copying, p.copied = false, nil
	for {
		e := p.head.next
		switch {
		case e == nil:
			return nil
		case e.expect == copyEnd:
			p.dropSecond()
			return nil
		case e.expect == expectSync && done:
			p.dropSecond()
		case e.expect == expectSync:
			return errDoubtfulSync
		default:
			return errInCopy
		}
	}
}

var errDoubtfulSync = errors.New("a COPY failed and left the connection in an unknown state")

// dropSecond takes off the entry after the first.
func (p *pending) dropSecond() {
	e := p.head.next
	p.head.next = e.next
	if e.next == nil {
		p.tail = p.head
	}
	p.uncount(e)
	if e.expect.endsWithReady() {
		p.turns.Add(-1)
	}
}

func (p *pending) uncount(e *entry) {
	p.n--
	p.size -= e.size
	if e.expect == expectSync {
		p.syncs--
	}
}

func (p *pending) add(e *entry) {
	e.size = e.keeps()
	p.size += e.size
	if e.expect.endsWithReady() {
		p.turns.Add(1)
	}
	if e.expect == expectSync {
		p.syncs++
		p.skipping.Store(false)
	}
	if p.tail != nil {
		p.tail.next = e
	} else {
		p.head = e
	}
	p.tail = e
	p.n++
}

func (p *pending) wait() {
	p.waiting++
	p.moved.Wait()
	p.waiting--
}

// pop takes the first entry off; the caller gives it back with recycle.
func (p *pending) pop() *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.popLocked()
}

// popLocked takes with the first entry the ends of COPY data after it, which are
// answered by nothing.
func (p *pending) popLocked() *entry {
	e := p.head
	if e == nil {
		return nil
	}
	p.uncount(e)
	for p.head = e.next; p.head != nil && p.head.expect == copyEnd; p.head = p.head.next {
		p.uncount(p.head)
	}
	if p.head == nil {
		p.tail = nil
	}
	e.next = nil
	if p.waiting > 0 {
		p.moved.Broadcast()
	}
	return e
}

// recycle keeps e's memory for later entries.
func (p *pending) recycle(e *entry) {
	text := e.text
	if cap(text) > keptTextSize {
		text = nil
	}
	args := e.call.Args[:0]
	*e = entry{text: text[:0]}
	e.call.Args = args
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nfree < keptEntries {
		e.next, p.free = p.free, e
		p.nfree++
	}
}

// close wakes up all who wait; the session is over.
func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.moved.Broadcast()
}
