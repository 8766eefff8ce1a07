package audit

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one session's record while it is written.
type stream struct {
	log  *Log
	id   string
	path string // of its files, without their suffixes
	file file   // nil when everything is written

	mu         sync.Mutex
	aead       cipher.AEAD
	nonce      [12]byte
	hash       hash.Hash
	chain      digest
	index      uint64
	generation uint32
	clock      clock
	json       []byte    // the event that is being made
	pending    []byte    // frames that are not written yet
	dirty      bool      // written and not synced, or pending; then it is in log.dirty
	offset     int64     // of the file, up to which frames are written
	whole      time.Time // when the file was looked at
	err        error     // what made the record incomplete
	unnamed    bool      // the disk may not have its key, or the names of its files
	unsynced   bool      // the disk refused to take some of it, and may have dropped that
	closed     bool
	resumes    bool   // best effort: it goes on when writing is possible again
	lost       uint64 // events since err
	writing    *writing
	settled    func(leaf)   // is told up to where the disk has it; nil tells nobody
	busy       atomic.Int64 // the log's tick when a write began; 0 when none goes on
}

// create begins the record of session id.
func (l *Log) create(id string) (*stream, error) {
	if err := l.place.check(); err != nil {
		return nil, err
	}
	folder, err := l.place.folder(l.disk)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, id)
	key := make([]byte, keyLen)
	rand.Read(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	s := newStream(l, path, nil, aead)
	if err := l.keys.store(l.disk, path+keySuffix, id, key); err != nil {
		return nil, errors.Join(err, s.discard())
	}
	if s.file, err = l.disk.create(path+recordSuffix, 0o600); err != nil {
		return nil, errors.Join(err, s.discard())
	}
	l.opened(id)
	s.pending = append([]byte(magic), id...)
	s.chain = sha256.Sum256(s.pending)
	return s, nil
}

func newStream(l *Log, path string, f file, aead cipher.AEAD) *stream {
	return &stream{log: l, id: filepath.Base(path), path: path, file: f, aead: aead, hash: sha256.New(), resumes: l.bestEffort, unnamed: true}
}

// discard removes a record that could not be begun. Nothing of it was acknowledged.
func (s *stream) discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	if s.file != nil {
		errs = append(errs, s.file.Close())
		s.file = nil
	}
	for _, suffix := range []string{recordSuffix, keySuffix} {
		if err := s.log.disk.remove(s.path + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	s.log.gone(s.id)
	return errors.Join(errs...)
}

// durable is how far an event has come when it counts as recorded.
type durable uint8

const (
	soon    durable = iota // in memory, and written with what follows or within milliseconds
	written                // the operating system has it
	synced                 // so has the disk, where the log's durability says so
	settled                // so has the disk
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
		if !s.resumes {
			s.lost++
			return s.err
		}
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
	if until == settled || until == synced && s.log.durability == Each {
		if err := s.sync(); err != nil {
			return err
		}
		s.log.onDisk(s.id, s.offset)
		if s.settled != nil {
			s.settled(leaf{s.id, s.index, s.chain})
		}
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

// sync puts what is written on the disk.
func (s *stream) sync() error {
	if err := s.log.syncRecord(s.path, s.file, s.unnamed); err != nil {
		s.unsynced = true
		return s.fail(err)
	}
	s.unnamed = false
	return nil
}

// syncRecord puts a record on the disk, after the key that opens it and with the names of
// both where unnamed says so.
func (l *Log) syncRecord(path string, f file, unnamed bool) error {
	if unnamed {
		if err := l.syncFile(path + keySuffix); err != nil {
			return err
		}
	}
	if err := l.syncSafely(f); err != nil || !unnamed {
		return err
	}
	return l.syncNames(path)
}

// syncNames puts the name of a record's file on the disk.
func (l *Log) syncNames(path string) error {
	return l.safely(func() error { return l.disk.syncNames(filepath.Dir(path), l.dir) })
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
	f, size, unnamed := s.file, s.offset, s.unnamed
	end := leaf{s.id, s.index, s.chain}
	s.mu.Unlock() // the disk's time is not the session's
	if s.log.durability != OS || s.settled != nil {
		err := s.log.syncRecord(s.path, f, unnamed)
		s.mu.Lock()
		ended := s.closed // it is synced when it is sealed
		switch {
		case ended:
		case err != nil:
			s.unsynced = true
			s.fail(err)
		default:
			s.unnamed = false
		}
		s.mu.Unlock()
		if ended || err != nil {
			return
		}
	}
	s.log.onDisk(s.id, size)
	if s.settled != nil {
		s.settled(end)
	}
}

// end ends the record with an event. The log makes it a leaf of its tree soon. What
// cannot be written now, which the error says, is written as soon as it can be.
func (s *stream) end(at time.Time, typ string, fill func(b []byte) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.err != nil {
		s.lost++
		s.degraded()
	}
	s.json = append(fill(s.clock.object(s.json[:0], s.index+1, at, typ)), '}')
	s.append()
	err := s.writePending()
	if err == nil && s.log.durability == Each {
		err = s.sync()
	}
	s.log.ended(&ending{stream: s, leaf: leaf{s.id, s.index, s.chain}, path: s.path})
	if err != nil {
		return &WriteError{Session: s.id, Err: err}
	}
	return nil
}

// finish writes what is left of a record that has ended.
func (s *stream) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	if err := s.writePending(); err != nil {
		return err
	}
	if s.file.Close() != nil {
		s.unsynced = true // what was written may not be there
	}
	s.file = nil
	return nil
}
