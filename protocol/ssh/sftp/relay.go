package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Gate judges and is told of every access. *proxy.Session is one.
type Gate interface {
	Ask(ctx context.Context, op proxy.Op) *proxy.Verdict
	Refuse(op proxy.Op, v proxy.Verdict)
	Done(op proxy.Op, out *proxy.Outcome)
	Flow(op proxy.Op, shape *proxy.Shape) (*proxy.Flow, error)
}

// Relay relays one SFTP session. Up and Down run in a goroutine each, once. When
// both have returned, Close must be called.
//
// Every request that names a path is asked as a proxy.File, whose Path and Target
// are what the client sent, after the folder in which relative paths begin, and told as done when
// the server has answered; an open one (read, write or list) when it is closed,
// with how much was moved in Outcome.BytesIn and BytesOut and, where the file
// was read or written from its beginning on without gaps, "sha256:" and the
// digest of that in Outcome.Tag. Refused requests are answered with "permission
// denied"; the session goes on.
//
// Filters of a file's data may look at it and change it, but not its length: an
// SFTP client says which bytes it wants, and where they go. Where a filter would
// hold back or remove bytes, the access fails.
type Relay struct {
	Gate   Gate
	Parent uint64 // the operation that started the subsystem
	// Tell tells the client why something was refused, since most clients do not
	// show the text of an answer. May be nil.
	Tell func(text string)

	ClientIn  io.Reader
	ClientOut io.Writer // may be written to by both goroutines; the relay locks
	ServerIn  io.Reader
	ServerOut io.Writer

	writing sync.Mutex // over ClientOut

	mu      sync.Mutex
	told    string // the last text that Tell was given
	pending map[uint32]*exchange
	files   map[string]*file
	opening int           // opens that were sent and not answered
	free    chan struct{} // gets a value when an answer came

	begun     sync.Once
	versioned chan struct{} // closed when the server has told its version
	based     chan struct{} // closed when base is known
	ended     chan struct{} // closed when Down has returned
	base      string        // the folder in which relative paths begin; empty when it cannot be told
}

const (
	maxPending = 1024
	maxFiles   = 1024
)

// exchange is a request that waits for its answer.
type exchange struct {
	request
	op   *proxy.File // asked for this request alone; nil when there is none
	file *file       // the handle's file; for open, what it will
}

var errEnded = errors.New("the connection ended before the file was closed")

// Up relays the client's requests until it has no more. It returns nil then, and
// an error when the client broke the protocol or a side is gone.
func (r *Relay) Up(ctx context.Context) error {
	r.begin()
	in := packets{r: r.ClientIn}
	if ok, err := r.init(ctx, &in); !ok {
		return err
	}
	for {
		b, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		req, err := parseRequest(b)
		if err != nil {
			return fmt.Errorf("%w: request of type %d", err, b[4])
		}
		if err := r.request(ctx, req, b); err != nil {
			return err
		}
	}
}

func (r *Relay) begin() {
	r.begun.Do(func() {
		r.pending, r.files, r.free = make(map[uint32]*exchange), make(map[string]*file), make(chan struct{}, 1)
		r.versioned, r.based, r.ended = make(chan struct{}), make(chan struct{}), make(chan struct{})
	})
}

// baseID is the id of the relay's own question for the base.
const baseID = 0xffffffff

// init agrees on the version, and asks the server where relative paths begin.
// The client's extensions are not passed on. It reports whether requests may
// follow.
func (r *Relay) init(ctx context.Context, in *packets) (bool, error) {
	b, err := in.next()
	if err != nil {
		return false, ignoreEOF(err)
	}
	f := fields{b: b[5:]}
	if v := f.uint32(); b[4] != typeInit || f.bad || v < version {
		return false, fmt.Errorf("%w: it does not begin with a version of 3 or above", ErrMalformed)
	}
	if _, err := r.ServerOut.Write(finish(appendUint32(begin(typeInit), version))); err != nil {
		return false, err
	}
	if !r.await(ctx, r.versioned) {
		return false, context.Cause(ctx)
	}
	ask := appendText(appendUint32(begin(typeRealpath), baseID), ".")
	if _, err := r.ServerOut.Write(finish(ask)); err != nil {
		return false, err
	}
	return r.await(ctx, r.based), context.Cause(ctx)
}

// await reports whether done was closed before everything ended.
func (r *Relay) await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-r.ended:
	case <-ctx.Done():
	}
	return false
}

// absolute returns the path that a relative one means, so that rules over
// paths meet the same file under one name; it cleans nothing.
func absolute(name, base string) string {
	switch {
	case strings.HasPrefix(name, "/"):
		return name
	case name == "":
		return base
	}
	return strings.TrimSuffix(base, "/") + "/" + name
}

// request judges a request and passes it on, or answers it.
func (r *Relay) request(ctx context.Context, req request, packet []byte) error {
	if !req.known {
		return r.refuseUnknown(req)
	}
	if err := r.room(ctx, req.id); err != nil {
		return err
	}
	if namesPath(req) {
		if r.base == "" && (!strings.HasPrefix(req.path, "/") || req.target != "" && !strings.HasPrefix(req.target, "/")) {
			v := proxy.Deny(proxy.CausePolicy, "", "the server does not say where relative paths start", "use an absolute path")
			r.Gate.Refuse(r.newFile(req.action(), req.path, req.target), v)
			return r.deny(req.id, &v)
		}
		req.path = absolute(req.path, r.base)
		switch {
		case req.kind == typeSymlink: // what a link says begins where the link is
			req.target = absolute(req.target, path.Dir(req.path))
		case req.action() == proxy.FileRename || req.action() == proxy.FileLink:
			req.target = absolute(req.target, r.base)
		}
	}
	x := &exchange{request: req}
	x.data = nil
	switch {
	case req.handle != "" || usesHandle(req):
		if ok, err := r.onHandle(x, req.data); !ok || err != nil {
			return err
		}
	case req.aboutServer():
	case req.kind == typeOpen || req.kind == typeOpendir:
		if ok, err := r.open(ctx, x); !ok || err != nil {
			return err
		}
	default:
		x.op = r.newFile(req.action(), req.path, req.target)
		if v := r.Gate.Ask(ctx, x.op); v.Refuses() {
			return r.deny(req.id, v)
		}
	}
	if x.op == nil && x.file != nil && req.kind == typeFsetstat {
		x.op = r.newFile(proxy.FileSetstat, x.file.path, "")
		if v := r.Gate.Ask(ctx, x.op); v.Refuses() {
			return r.deny(req.id, v)
		}
	}
	r.mu.Lock()
	r.pending[req.id] = x
	r.mu.Unlock()
	_, err := r.ServerOut.Write(packet)
	return err
}

// namesPath reports whether the request's path is one as the server's file
// system knows it; "~user" is not.
func namesPath(req request) bool {
	return !usesHandle(req) && !req.aboutServer() && req.name != "expand-path@openssh.com"
}

func usesHandle(req request) bool {
	switch req.kind {
	case typeClose, typeFstat, typeReaddir, typeRead, typeWrite, typeFsetstat:
		return true
	}
	return req.name == "fstatvfs@openssh.com" || req.name == "fsync@openssh.com"
}

func (r *Relay) newFile(action proxy.FileAction, path, target string) *proxy.File {
	return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile, Parent: r.Parent}, Action: action, Path: path, Target: target}
}

// room waits until another request may be outstanding. A client's ids must tell
// its requests apart.
func (r *Relay) room(ctx context.Context, id uint32) error {
	for {
		r.mu.Lock()
		n, used := len(r.pending), r.pending[id] != nil
		r.mu.Unlock()
		switch {
		case used:
			return fmt.Errorf("%w: an id is used twice at a time", ErrMalformed)
		case n < maxPending:
			return nil
		}
		select {
		case <-r.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// refuseUnknown answers a request that has no meaning here.
func (r *Relay) refuseUnknown(req request) error {
	name := req.name
	if req.kind != typeExtended {
		name = fmt.Sprintf("type %d", req.kind)
	}
	v := proxy.Deny(proxy.CausePolicy, "", "the gateway does not pass on this sftp request", "")
	r.Gate.Refuse(r.newFile(proxy.FileExtended, "", name), v)
	return r.answer(status(req.id, statusUnsupported, v.Reason))
}

// deny answers a request that was refused.
func (r *Relay) deny(id uint32, v *proxy.Verdict) error {
	text := v.Message()
	if v.Remedy != "" {
		text += "\n" + v.Remedy
	}
	r.tell(text)
	return r.answer(status(id, statusDenied, text))
}

// tell tells the client something, once in a row: a directory that may not be
// read is often asked for entry by entry.
func (r *Relay) tell(text string) {
	r.mu.Lock()
	again := text == r.told
	r.told = text
	r.mu.Unlock()
	if r.Tell != nil && !again {
		r.Tell(text)
	}
}

func (r *Relay) answer(packet []byte) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	_, err := r.ClientOut.Write(packet)
	return err
}

// Down relays the server's answers until it has no more.
func (r *Relay) Down() error {
	r.begin()
	defer close(r.ended)
	in := packets{r: r.ServerIn}
	b, err := in.next()
	if err != nil {
		return ignoreEOF(err)
	}
	hello, err := versionAnswer(b)
	if err != nil {
		return fmt.Errorf("%w: the server's version", err)
	}
	close(r.versioned)
	if b, err = in.next(); err != nil {
		return ignoreEOF(err)
	}
	if r.base, err = baseAnswer(b); err != nil {
		return err
	}
	close(r.based)
	if err := r.answer(hello); err != nil {
		return err
	}
	for {
		b, err := in.next()
		if err != nil {
			return ignoreEOF(err)
		}
		a, err := parseAnswer(b)
		if err != nil {
			return fmt.Errorf("%w: answer of type %d", err, b[4])
		}
		if b, err = r.take(&a, b); err != nil {
			return err
		}
		if err := r.answer(b); err != nil {
			return err
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// take notes what an answer means, and returns the packet for the client.
func (r *Relay) take(a *answer, packet []byte) ([]byte, error) {
	r.mu.Lock()
	x := r.pending[a.id]
	delete(r.pending, a.id)
	r.mu.Unlock()
	if x == nil {
		return nil, fmt.Errorf("%w: an answer to nothing", ErrMalformed)
	}
	select {
	case r.free <- struct{}{}:
	default:
	}
	if !x.fits(a.kind) {
		return nil, fmt.Errorf("%w: answer of type %d to a request of type %d", ErrMalformed, a.kind, x.kind)
	}
	switch x.kind {
	case typeOpen, typeOpendir:
		return packet, r.opened(x, a)
	case typeClose:
		x.file.end(r.Gate, a)
		return packet, nil
	case typeRead:
		if a.kind == typeData {
			return r.dataRead(x, a, packet)
		}
	case typeReaddir:
		x.file.list.entries(a.names)
	}
	if x.op != nil {
		out := &proxy.Outcome{}
		if a.kind == typeStatus && a.code != statusOK {
			out.Code = statusName(a.code)
		}
		r.Gate.Done(x.op, out)
	}
	return packet, nil
}

// dataRead passes file data to the client, if its filters let it.
func (r *Relay) dataRead(x *exchange, a *answer, packet []byte) ([]byte, error) {
	if uint64(len(a.data)) > uint64(x.length) {
		return nil, fmt.Errorf("%w: more data than asked for", ErrMalformed)
	}
	data, err := x.file.read.pass(x.offset, a.data)
	if err != nil {
		r.tell(err.Error())
		return status(a.id, statusFailure, err.Error()), nil
	}
	copy(a.data, data) // of the same length, in the packet
	return packet, nil
}

// Close tells how everything ended that had not when the connection did.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, x := range r.pending {
		if x.op != nil {
			r.Gate.Done(x.op, &proxy.Outcome{Err: errEnded})
		}
		if x.file != nil {
			x.file.abandon(r.Gate)
		}
		delete(r.pending, id)
	}
	for handle, f := range r.files {
		f.abandon(r.Gate)
		delete(r.files, handle)
	}
}
