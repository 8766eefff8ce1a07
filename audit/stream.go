package audit

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one session's record while it is written.
type stream struct {
	log  *Log
	id   string
	file *os.File

	mu         sync.Mutex
	aead       cipher.AEAD
	nonce      [12]byte
	hash       hash.Hash
	chain      digest
	index      uint64
	generation uint32
	clock      clock
	json       []byte // the event that is being made
	pending    []byte // frames that are not written yet
	dirty      bool   // written and not synced, or pending; then it is in log.dirty
	offset     int64  // of the file, up to which frames are written
	err        error  // what made the record incomplete
	closed     bool
	resumes    bool   // best effort: it goes on when writing is possible again
	lost       uint64 // events since err
	writing    *writing
	busy       atomic.Int64 // the log's tick when a write began; 0 when none goes on
}

// create begins the record of session id.
func (l *Log) create(id string) (*stream, error) {
	dir := filepath.Join(l.dir, "sessions", time.Now().UTC().Format("2006-01-02"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	rand.Read(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	if err := l.keys.store(filepath.Join(dir, id+keySuffix), id, key); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, id+recordSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l.opened(id)
	s := newStream(l, id, f, aead)
	s.pending = append([]byte(magic), id...)
	s.chain = sha256.Sum256(s.pending)
	return s, nil
}

func newStream(l *Log, id string, f *os.File, aead cipher.AEAD) *stream {
	return &stream{log: l, id: id, file: f, aead: aead, hash: sha256.New(), resumes: l.bestEffort}
}

// durable is how far an event has come when it counts as recorded.
type durable uint8

const (
	soon    durable = iota // in memory, and written with what follows or within milliseconds
	written                // the operating system has it
	synced                 // so has the disk, where the log's durability says so
)

// event appends an event whose fields are written by fill, which gets the
// object's beginning and returns it with its fields.
func (s *stream) event(at time.Time, typ string, until durable, fill func(b []byte) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.err != nil {
		if err := s.resume(); err != nil {
			return err
		}
	}
	s.json = append(fill(s.clock.object(s.json[:0], s.index+1, at, typ)), '}')
	if len(s.json) > maxEvent-sealLen {
		s.lost++
		return s.fail(errTooLarge)
	}
	s.append()
	if len(s.json) > 64<<10 {
		s.json = nil // one large statement is not a reason to keep its buffer
	}
	if until >= written || len(s.pending) > 64<<10 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if until == synced && s.log.durability == Each {
		if err := s.sync(); err != nil {
			return err
		}
		s.log.onDisk(s.id, s.offset)
		return nil
	}
	if !s.dirty {
		s.dirty = true
		s.log.mark(s)
	}
	return nil
}

// put appends an event of now that the operating system has before put returns.
func (s *stream) put(typ string, fill func(b []byte) []byte) error {
	return s.event(time.Now(), typ, written, fill)
}

// append seals s.json as the next frame.
func (s *stream) append() {
	s.index++
	begin := len(s.pending)
	s.pending = binary.BigEndian.AppendUint32(s.pending, uint32(len(s.json)+sealLen))
	s.pending = binary.BigEndian.AppendUint32(s.pending, s.generation)

	s.pending = s.aead.Seal(s.pending, nonce(&s.nonce, s.generation, s.index), s.json, nil)
	s.hash.Reset()
	s.hash.Write(s.chain[:])
	s.hash.Write(s.pending[begin:])
	s.hash.Sum(s.chain[:0])
	s.pending = append(s.pending, s.chain[:]...)
}

// flush hands what is pending to the operating system.
func (s *stream) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	n, err := s.write(s.pending)
	if err != nil {
		return s.fail(err)
	}
	s.offset += int64(n)
	s.pending = s.pending[:0]
	if cap(s.pending) > 256<<10 {
		s.pending = nil
	}
	return nil
}

func (s *stream) sync() error {
	if err := s.log.syncSafely(s.file); err != nil {
		return s.fail(err)
	}
	return nil
}

// fail notes that the record is incomplete from here on. It stays so, unless the
// stream resumes.
func (s *stream) fail(err error) error {
	s.err = &WriteError{Session: s.id, Err: err}
	s.log.failed(s.err)
	return s.err
}

// settle writes and syncs what is left, as the log does every few milliseconds.
func (s *stream) settle() {
	s.mu.Lock()
	s.dirty = false
	if s.closed || s.err != nil || s.flush() != nil {
		s.mu.Unlock()
		return
	}
	f, size := s.file, s.offset
	s.mu.Unlock() // the disk's time is not the session's
	if s.log.durability != OS {
		err := s.log.syncSafely(f)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			s.mu.Lock()
			if !s.closed {
				s.fail(err)
			}
			s.mu.Unlock()
			return
		}
	}
	s.log.onDisk(s.id, size)
}

// close ends the record. The log makes it a leaf of its tree soon.
func (s *stream) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.err
	if err != nil {
		err = s.resume()
	}
	if err == nil {
		err = s.flush()
	}
	if err == nil && s.log.durability == Each {
		err = s.sync()
	}
	if cerr := s.file.Close(); err == nil && cerr != nil {
		err = s.fail(cerr)
	}
	if err != nil {
		s.log.gone(s.id)
		return err // it is sealed when the log is opened next, from what the file holds
	}
	s.log.ended(leaf{ID: s.id, Events: s.index, Chain: s.chain}, s.file.Name())
	return nil
}
