package audit

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Keys are what the sessions' keys are sealed by. The zero value is a key in the
// log's own directory, made when there is none.
type Keys struct {
	Current []byte   // 32 bytes: seals, and opens
	Old     [][]byte // open only, until Rekey has sealed everything by Current
}

// ParseKey reads a key of 32 bytes written in base64, as "openssl rand -base64
// 32" makes one. The error does not show text.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != keyLen {
		return nil, errors.New("an audit key is base64 of 32 bytes, as \"openssl rand -base64 32\" prints")
	}
	return key, nil
}

const (
	masterKey = "master.key"
	keyLen    = 32
)

// sessionKeys keeps one key a session, each sealed by the log's own. Removing a
// session's key makes its content unreadable, and leaves the proof whole.
type sessionKeys struct {
	master []byte
	old    [][]byte
}

// openKeys takes the given keys, or reads the log's own, or makes it on make_ unless that
// is nil. A key in the directory opens what it sealed, whatever is given.
func openKeys(dir string, given Keys, make_ *disk) (*sessionKeys, error) {
	file := filepath.Join(dir, masterKey)
	own, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && given.Current == nil && make_ != nil:
		own = make([]byte, keyLen)
		rand.Read(own)
		if err := make_.replace(file, own, 0o600); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist) && given.Current != nil:
		own = nil
	case err != nil:
		return nil, err
	}
	if own != nil && len(own) != keyLen {
		return nil, fmt.Errorf("%s is not a key of 32 bytes", file)
	}
	for _, k := range append([][]byte{given.Current}, given.Old...) {
		if k != nil && len(k) != keyLen {
			return nil, errors.New("an audit key has 32 bytes")
		}
	}
	if given.Current == nil {
		return &sessionKeys{own, given.Old}, nil
	}
	k := &sessionKeys{given.Current, given.Old}
	if own != nil {
		k.old = append([][]byte{own}, k.old...)
	}
	return k, nil
}

// store seals a new session's key and puts it into file, which is not synced.
func (k *sessionKeys) store(d *disk, file, id string, key []byte) error {
	b, err := k.seal(id, key)
	if err != nil {
		return err
	}
	f, err := d.create(file, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Close())
}

func (k *sessionKeys) seal(id string, key []byte) ([]byte, error) {
	aead, err := newAEAD(k.master)
	if err != nil {
		return nil, err
	}
	n := make([]byte, aead.NonceSize())
	rand.Read(n)
	return aead.Seal(n, n, key, []byte(id)), nil
}

// ErrErased says that a session's key was removed.
var ErrErased = errors.New("the session's content was erased")

func (k *sessionKeys) load(file, id string) ([]byte, error) {
	key, _, err := k.open(file, id)
	return key, err
}

// open returns a session's key, and whether the current key sealed it.
func (k *sessionKeys) open(file, id string) (key []byte, current bool, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, ErrErased
	}
	if err != nil {
		return nil, false, err
	}
	return k.unseal(b, file, id)
}

// unseal opens a sealed key, which lies in file.
func (k *sessionKeys) unseal(b []byte, file, id string) (key []byte, current bool, err error) {
	for i, master := range append([][]byte{k.master}, k.old...) {
		aead, err := newAEAD(master)
		if err != nil {
			return nil, false, err
		}
		if len(b) < aead.NonceSize() {
			return nil, false, fmt.Errorf("%s is not the key of a session", file)
		}
		if key, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(id)); err == nil {
			return key, i == 0, nil
		}
	}
	return nil, false, fmt.Errorf("%s does not open with this log's key", file)
}

// Rekey seals every session's key by the current key. A log that is open
// meanwhile must know the old keys and the current one. Afterwards the old keys open
// nothing, except copies that were made before.
func (a *Archive) Rekey() (changed int, err error) {
	folders, err := a.cabinet.folders()
	if err != nil {
		return 0, err
	}
	var errs []error // one that does not open keeps no other from being sealed
	for _, folder := range folders {
		names, err := namesIn(folder)
		errs = append(errs, err)
		for _, name := range names {
			if id, ok := sessionOf(name, keySuffix); ok {
				n, err := a.rekey(filepath.Join(folder, name), id)
				changed, errs = changed+n, append(errs, err)
			}
		}
		names, err = a.cabinet.relist(folder) // after the files: what was packed meanwhile is in a pack by now
		errs = append(errs, err)
		for _, name := range names {
			if _, _, ok := slots.sessions(name); ok {
				n, err := a.rekeySlots(filepath.Join(folder, name))
				changed, errs = changed+n, append(errs, err)
			}
		}
	}
	return changed, errors.Join(append(errs, (&index{a}).rekey())...)
}

// rekey seals one session's key again. A key that is destroyed meanwhile does not
// come back.
func (a *Archive) rekey(file, id string) (changed int, err error) {
	unlock, err := a.lockKeys()
	if err != nil {
		return 0, err
	}
	defer unlock()
	key, current, err := a.keys.open(file, id)
	if errors.Is(err, ErrErased) || current {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	sealed, err := a.keys.seal(id, key)
	if err != nil {
		return 0, err
	}
	return 1, a.disk.replaceSecret(file, sealed)
}

// rekeySlots seals the keys of a pack again. All of them are replaced at once, so that a crash
// leaves each of them under one of both keys.
func (a *Archive) rekeySlots(file string) (changed int, err error) {
	unlock, err := a.lockKeys()
	if err != nil {
		return 0, err
	}
	defer unlock()
	list, err := slots.read(file)
	if err != nil {
		return 0, err
	}
	w := newSlotWriter(len(list))
	var failed error
	for _, e := range list {
		sealed := e.key()
		key, current, err := a.keys.unseal(sealed, file, e.id())
		if err != nil && !e.isErased() {
			failed = errors.Join(failed, fmt.Errorf("session %s: %w", e.id(), err))
		}
		if err == nil && !current {
			if sealed, err = a.keys.seal(e.id(), key); err != nil {
				return 0, err
			}
			changed++
		}
		w.add(e.id(), sealed)
	}
	if changed == 0 {
		return 0, failed
	}
	return changed, errors.Join(failed, a.disk.replaceSecret(file, w.b))
}

// lockKeys keeps others from replacing or destroying sessions' keys until the returned function
// is called.
func (a *Archive) lockKeys() (unlock func() error, err error) {
	f, err := a.disk.Lock(filepath.Join(a.dir, "keys.lock"), true)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}
