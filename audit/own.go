package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The gateway's own record goes on in a new one daily and when it has grown, so that it is
// sealed while the gateway runs. Up to then its end is protected by a note, signed by the
// log's key, of how many events it had and what they hash to: what is cut off is missed.

const (
	ownSize   = 1 << 20     // a record that has so many bytes is not added to
	tailEvery = time.Second // how often what may be lost with a crash is signed
	tailName  = "tail"
	tailLine  = "/own" // after the log's name, so that no note is taken for a head
)

// ownRecord is the gateway's own record.
type ownRecord struct {
	mu sync.Mutex // held while an event is added
	*stream
	day   string
	begun int // records

	tail   sync.Mutex // of what follows
	synced leaf       // what the disk has
	record int        // of which it is, the how-manieth
	urgent bool       // of it, more than may be lost
	signed leaf
	at     time.Time // when it was signed
}

// isOwn reports whether a record that begins with an event of this type is the gateway's own.
func isOwn(typ string) bool { return typ == GatewayStart || typ == GatewayRotate }

// beginOwn begins the gateway's own record.
func (l *Log) beginOwn() (err error) {
	o := &ownRecord{}
	o.stream, o.day, err = l.createOwn(o, GatewayStart, func(b []byte) []byte { return b })
	if err == nil {
		l.own = o
	}
	return err
}

func (l *Log) createOwn(o *ownRecord, typ string, fill func(b []byte) []byte) (s *stream, day string, err error) {
	now := time.Now()
	if s, err = l.create(newID()); err != nil {
		return nil, "", err
	}
	s.resumes = true // nobody's session depends on it
	o.begun++
	record := o.begun
	s.settled = func(e leaf) { o.isSynced(record, e) }
	err = s.event(now, typ, synced, func(b []byte) []byte { return fill(str(b, "session", s.id)) })
	if err != nil {
		return nil, "", errors.Join(err, s.discard())
	}
	return s, now.UTC().Format(time.DateOnly), nil
}

// event appends an event, in a new record when it is time for one.
func (o *ownRecord) event(at time.Time, typ string, until durable, fill func(b []byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.day != time.Now().UTC().Format(time.DateOnly) || o.size() >= ownSize {
		if err := o.rotate(); err != nil {
			o.log.failed(&WriteError{Session: o.id, Err: err}) // it goes on as it is, and the next event tries again
		}
	}
	err := o.stream.event(at, typ, until, fill)
	if err == nil && until >= synced {
		o.tail.Lock()
		o.urgent = true
		o.tail.Unlock()
		o.log.nudge()
	}
	return err
}

// rotate goes on in a new record. Each of both names the other.
func (o *ownRecord) rotate() error {
	before := o.stream
	s, day, err := o.log.createOwn(o, GatewayRotate, func(b []byte) []byte { return str(b, "name", before.id) })
	if err != nil {
		return err
	}
	o.stream, o.day = s, day
	return before.end(time.Now(), GatewayRotate, func(b []byte) []byte { return str(b, "name", s.id) })
}

// size is how long the record is.
func (s *stream) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offset + int64(len(s.pending))
}

// isSynced notes that the disk has a record up to an event.
func (o *ownRecord) isSynced(record int, e leaf) {
	o.tail.Lock()
	defer o.tail.Unlock()
	if record > o.record || record == o.record && e.Events > o.synced.Events {
		o.record, o.synced = record, e
	}
}

// signTail signs up to where the disk has the gateway's own record: at once what somebody
// did, and every second what happened.
func (l *Log) signTail() error {
	o := l.own
	o.tail.Lock()
	defer o.tail.Unlock()
	if o.synced == o.signed || o.synced.Events == 0 {
		return nil
	}
	if wait := tailEvery - time.Since(o.at); wait > 0 && !o.urgent {
		l.retryIn(wait, &l.retailing, l.nudge)
		return nil
	}
	b, err := l.tree.tailNote(o.synced.text())
	if err == nil {
		err = l.disk.replace(l.tree.path(tailName), b, 0o600)
	}
	if err == nil {
		o.signed, o.urgent, o.at = o.synced, false, time.Now()
	}
	return err
}

// tailNote is the signed note of a leaf, or of none when the log begins.
func (t *tree) tailNote(text []byte) ([]byte, error) {
	return note.Sign(&note.Note{Text: t.origin + tailLine + "\n" + string(text)}, t.signer)
}

// readTail reads up to where the gateway's own record was signed. Of a log that has only begun
// it is the zero leaf.
func readTail(dir, public string) (leaf, error) {
	b, err := os.ReadFile(filepath.Join(dir, "log", tailName))
	if errors.Is(err, fs.ErrNotExist) {
		return leaf{}, historyError("the signed end of the gateway's own record, %s, is missing", filepath.Join(dir, "log", tailName))
	}
	if err != nil {
		return leaf{}, err
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return leaf{}, err
	}
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil {
		return leaf{}, historyError("the signed end of the gateway's own record: %v", err)
	}
	text, ok := strings.CutPrefix(n.Text, v.Name()+tailLine+"\n")
	if ok && text == "" {
		return leaf{}, nil
	}
	e, err := parseLeaf(strings.TrimSuffix(text, "\n"))
	if !ok || err != nil {
		return leaf{}, historyError("the signed end of the gateway's own record is of another form or log")
	}
	return e, nil
}

// checkTail holds that the gateway's own record has what was signed of it. One that is listed as
// sealed is what its leaf says.
func checkTail(s *cabinet, tail, sealed leaf, isSealed bool) error {
	if tail.Events == 0 {
		return nil
	}
	if isSealed {
		if sealed.Events < tail.Events {
			return historyError("the gateway's own record %s is sealed with %d events, and had %d", tail.ID, sealed.Events, tail.Events)
		}
		return nil
	}
	_, f, err := s.record(tail.ID)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*packError)) {
		return historyError("the gateway's own record %s is missing, and had %s", tail.ID, plural(int(tail.Events), "event", "events"))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := newReader(f)
	for err == nil && r.index < tail.Events {
		_, err = r.next()
	}
	var broken *fs.PathError
	switch {
	case errors.As(err, &broken):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, errTorn):
		return historyError("the gateway's own record %s was cut off: it has %s, and had %d", tail.ID, plural(int(r.index), "event", "events"), tail.Events)
	case err != nil:
		return historyError("the gateway's own record %s: %v", tail.ID, err)
	case r.salt == nil && r.chain != tail.Chain:
		return historyError("the gateway's own record %s is not the one of which %d events were signed", tail.ID, tail.Events)
	}
	return nil // a compact one was made of what was signed
}

// checkOwn holds that the gateway's own record, which a stopped process left, has what was
// signed of it, and returns its identifier; empty when there is none.
func (l *Log) checkOwn() (id string, err error) {
	tail, err := readTail(l.dir, l.tree.public)
	if err != nil {
		return "", err
	}
	sealed, ok, err := l.archive.sealed.find(tail.ID)
	if err != nil {
		return "", err
	}
	return tail.ID, checkTail(l.archive.cabinet, tail, sealed, ok)
}
