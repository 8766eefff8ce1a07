package sftp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// file is an open file or directory. Each of its accesses is nil when it was not
// asked for.
type file struct {
	path              string
	read, write, list *access
	ended             bool
}

// access is one way in which a file is open, with the operation that was asked
// for it.
type access struct {
	op      *proxy.File
	inbound bool

	mu     sync.Mutex
	flow   *proxy.Flow
	next   uint64 // where the next byte is expected
	bytes  uint64
	count  uint64    // entries of a directory
	digest hash.Hash // nil for directories, and after a gap
	failed error
}

var (
	errGaps     = errors.New("this file can only be transferred from its beginning to its end, because its content is checked")
	errWithheld = errors.New("the content of this file was withheld")
)

// pass notes data at offset and returns what may go on, of the same length. The
// result is valid until the next call.
func (a *access) pass(offset uint64, data []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		return nil, a.failed
	}
	if offset != a.next {
		a.digest = nil
		if a.flow.HasBytes() {
			a.failed = errGaps
			return nil, a.failed
		}
	}
	if a.flow.HasBytes() {
		out, err := a.flow.Bytes(nil, data)
		var refused *proxy.RefusedError
		switch {
		case errors.As(err, &refused):
			a.failed = refused
		case err != nil || len(out) != len(data):
			a.failed = errWithheld
		}
		if a.failed != nil {
			return nil, a.failed
		}
		data = out
	}
	a.next = offset + uint64(len(data))
	a.bytes += uint64(len(data))
	if a.digest != nil {
		a.digest.Write(data)
	}
	return data, nil
}

func (a *access) entries(n uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count += uint64(n)
}

func (f *file) accesses(do func(a *access)) {
	for _, a := range []*access{f.read, f.write, f.list} {
		if a != nil {
			do(a)
		}
	}
}

// end tells that the file was closed, as the server answered.
func (f *file) end(gate Gate, ans *answer) {
	f.ended = true
	f.accesses(func(a *access) {
		out := a.outcome()
		if ans.code != statusOK {
			out.Code = statusName(ans.code)
		}
		gate.Done(a.op, out)
	})
}

// abandon tells that the file was open when the connection ended.
func (f *file) abandon(gate Gate) {
	if f.ended {
		return
	}
	f.ended = true
	f.accesses(func(a *access) {
		out := a.outcome()
		if out.Err == nil {
			out.Err = errEnded
		}
		gate.Done(a.op, out)
	})
}

func (a *access) outcome() *proxy.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := &proxy.Outcome{Rows: a.count, Err: a.failed}
	if a.inbound {
		out.BytesIn = a.bytes
	} else {
		out.BytesOut = a.bytes
	}
	if a.flow.HasBytes() && a.failed == nil {
		// What filters still hold has no place to go: all that was read has gone.
		if held, err := a.flow.End(nil); err != nil || len(held) > 0 {
			out.Err = errWithheld
		}
	}
	if a.digest != nil {
		out.Tag = "sha256:" + hex.EncodeToString(a.digest.Sum(nil))
	}
	return out
}

// open judges an open and prepares its file. It reports whether the request is
// to be passed on.
func (r *Relay) open(ctx context.Context, x *exchange) (bool, error) {
	r.mu.Lock()
	full := len(r.files)+r.opening >= maxFiles
	if !full {
		r.opening++
	}
	r.mu.Unlock()
	if full {
		return false, r.answer(status(x.id, statusFailure, "too many files are open"))
	}
	x.file = &file{path: x.path}
	denied := r.openAll(ctx, x)
	if denied == nil {
		return true, nil
	}
	r.mu.Lock()
	r.opening--
	r.mu.Unlock()
	return false, r.deny(x.id, denied)
}

// openAll asks for every access that an open gives; a file that is opened for
// reading and writing is asked for both. It returns the refusal, if any.
func (r *Relay) openAll(ctx context.Context, x *exchange) *proxy.Verdict {
	type wanted struct {
		slot    **access
		action  proxy.FileAction
		inbound bool
	}
	var all []wanted
	switch {
	case x.kind == typeOpendir:
		all = []wanted{{&x.file.list, proxy.FileList, false}}
	default:
		if x.flags&openRead != 0 {
			all = append(all, wanted{&x.file.read, proxy.FileOpenRead, false})
		}
		if x.action() == proxy.FileOpenWrite {
			all = append(all, wanted{&x.file.write, proxy.FileOpenWrite, true})
		}
		if len(all) == 0 { // opens nothing, and tells whether the file is there
			all = []wanted{{&x.file.read, proxy.FileOpenRead, false}}
		}
	}
	for _, w := range all {
		a := &access{op: r.newFile(w.action, x.path, ""), inbound: w.inbound}
		v := r.Gate.Ask(ctx, a.op)
		if v.Refuses() {
			x.file.abandonUnopened(r.Gate, nil)
			return v
		}
		*w.slot = a
		if w.action == proxy.FileList {
			continue
		}
		a.digest = sha256.New()
		var err error
		if a.flow, err = r.Gate.Flow(a.op, &proxy.Shape{Kind: proxy.ShapeStream, Media: "file", Inbound: w.inbound}); err != nil {
			x.file.abandonUnopened(r.Gate, err)
			denied := proxy.Deny(proxy.CauseInternal, "", "this file is not opened: "+err.Error(), "")
			return &denied
		}
	}
	return nil
}

var errHalfOpen = errors.New("another access to the same file was refused")

// abandonUnopened tells that accesses which were allowed are not used.
func (f *file) abandonUnopened(gate Gate, err error) {
	if err == nil {
		err = errHalfOpen
	}
	f.accesses(func(a *access) { gate.Done(a.op, &proxy.Outcome{Err: err}) })
}

// opened takes the server's answer to an open.
func (r *Relay) opened(x *exchange, a *answer) error {
	r.mu.Lock()
	r.opening--
	r.mu.Unlock()
	if a.kind == typeStatus {
		x.file.accesses(func(acc *access) { r.Gate.Done(acc.op, &proxy.Outcome{Code: statusName(a.code)}) })
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files[a.handle] != nil {
		x.file.abandonUnopened(r.Gate, ErrMalformed)
		return fmt.Errorf("%w: a handle is used twice", ErrMalformed)
	}
	r.files[a.handle] = x.file
	return nil
}

// onHandle finds the file of a request about an open one, and filters what is
// written. It reports whether the request is to be passed on.
func (r *Relay) onHandle(x *exchange, data []byte) (bool, error) {
	r.mu.Lock()
	f := r.files[x.handle]
	if f != nil && x.kind == typeClose {
		delete(r.files, x.handle)
	}
	r.mu.Unlock()
	if f == nil {
		return false, r.answer(status(x.id, statusFailure, "no such handle"))
	}
	x.file = f
	usable := true
	switch x.kind {
	case typeRead:
		usable = f.read != nil
	case typeWrite:
		usable = f.write != nil
	case typeReaddir:
		usable = f.list != nil
	}
	if !usable {
		return false, r.answer(status(x.id, statusDenied, "the file is not open for this"))
	}
	if x.kind != typeWrite {
		return true, nil
	}
	out, err := f.write.pass(x.offset, data)
	if err != nil {
		r.tell(err.Error())
		return false, r.answer(status(x.id, statusFailure, err.Error()))
	}
	copy(data, out) // of the same length, in the packet
	return true, nil
}
