package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// lastTime is the latest time that a document may expire at.
var lastTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// CheckKind reports what is wrong with a kind: it is made of lower-case letters,
// digits and "-", ".", "_", and begins with a letter.
func CheckKind(kind string) error {
	if kind == "" || len(kind) > MaxKind {
		return fmt.Errorf("store: kind: got %d bytes, want 1 to %d: %w", len(kind), MaxKind, ErrInvalid)
	}
	for i, c := range []byte(kind) {
		if 'a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || strings.IndexByte("-._", c) >= 0) {
			continue
		}
		return fmt.Errorf("store: kind %q: want a-z, then also 0-9, \"-\", \".\" and \"_\": %w", kind, ErrInvalid)
	}
	return nil
}

// CheckName reports what is wrong with a name: it is UTF-8 of printable
// characters and spaces.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("store: name: got %d bytes, want 1 to %d: %w", len(name), MaxName, ErrInvalid)
	}
	return checkText("name", name)
}

func checkText(what, s string) error {
	if len(s) > MaxName {
		return fmt.Errorf("store: %s: got %d bytes, want at most %d: %w", what, len(s), MaxName, ErrInvalid)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("store: %s %q: want printable characters in UTF-8: %w", what, s, ErrInvalid)
	}
	return nil
}

// CheckKey reports what is wrong with a kind and a name.
func CheckKey(kind, name string) error {
	if err := CheckKind(kind); err != nil {
		return err
	}
	return CheckName(name)
}

// Check reports what is wrong with a query, and sets its limit when it is 0.
func (q *Query) Check() error {
	if err := CheckKind(q.Kind); err != nil {
		return err
	}
	if err := checkText("prefix", q.Prefix); err != nil {
		return err
	}
	if err := checkText("name to begin after", q.After); err != nil {
		return err
	}
	return CheckLimit(&q.Limit)
}

// CheckLimit reports whether a limit is out of range, and sets one that is 0.
func CheckLimit(limit *int) error {
	if *limit < 0 || *limit > MaxPage {
		return fmt.Errorf("store: limit: got %d, want 1 to %d, or 0 for %d: %w", *limit, MaxPage, MaxPage, ErrInvalid)
	}
	if *limit == 0 {
		*limit = MaxPage
	}
	return nil
}

// CheckLease reports what is wrong with what is given to Acquire.
func CheckLease(name, holder string, ttl time.Duration) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := CheckName(holder); err != nil {
		return fmt.Errorf("store: holder of lease %q: %w", name, err)
	}
	if ttl < time.Millisecond || ttl > MaxTTL {
		return fmt.Errorf("store: lease %q: got %s to live, want 1ms to %s: %w", name, ttl, MaxTTL, ErrInvalid)
	}
	return nil
}

// CheckWrites reports what is wrong with writes, and how many of them change
// something.
func CheckWrites(ws []Write) (changes int, err error) {
	if len(ws) == 0 || len(ws) > MaxWrites {
		return 0, fmt.Errorf("store: write: got %d writes, want 1 to %d: %w", len(ws), MaxWrites, ErrInvalid)
	}
	type key struct {
		kind, name string
	}
	seen := make(map[key]bool, len(ws))
	total := 0
	for i := range ws {
		w := &ws[i]
		if err := w.check(); err != nil {
			return 0, fmt.Errorf("store: %s: %w", w.Op, err)
		}
		if seen[key{w.Kind, w.Name}] {
			return 0, fmt.Errorf("store: %s: %s %q is named twice in one call, want once: %w", w.Op, w.Kind, w.Name, ErrInvalid)
		}
		seen[key{w.Kind, w.Name}] = true
		if total += len(w.Body); total > MaxBatch {
			return 0, fmt.Errorf("store: write: the bodies have more than %d bytes: write fewer in one call: %w", MaxBatch, ErrInvalid)
		}
		if w.Changes() {
			changes++
		}
	}
	return changes, nil
}

// Changes reports whether a write changes a document.
func (w *Write) Changes() bool { return w.Op == OpCreate || w.Op == OpReplace || w.Op == OpDelete }

func (w *Write) check() error {
	switch w.Op {
	case OpFence:
		if w.Kind != "" {
			return fmt.Errorf("got kind %q, want none, since the name is a lease's: %w", w.Kind, ErrInvalid)
		}
		return CheckName(w.Name)
	case OpCreate, OpReplace, OpDelete, OpRequire:
	default:
		return fmt.Errorf("want one of the operations that are defined: %w", ErrInvalid)
	}
	if err := CheckKey(w.Kind, w.Name); err != nil {
		return err
	}
	if w.Version < 0 || w.Version == 0 && (w.Op == OpReplace || w.Op == OpDelete) {
		return fmt.Errorf("%s %q: got version %d, want the one that was read: %w", w.Kind, w.Name, w.Version, ErrInvalid)
	}
	if w.Op == OpDelete || w.Op == OpRequire {
		return nil
	}
	if len(w.Body) > MaxBody {
		return fmt.Errorf("%s %q: got a body of %d bytes, want at most %d: %w", w.Kind, w.Name, len(w.Body), MaxBody, ErrInvalid)
	}
	if !utf8.Valid(w.Body) || bytes.IndexByte(w.Body, 0) >= 0 || !json.Valid(w.Body) {
		return fmt.Errorf("%s %q: the body is not a JSON text: %w", w.Kind, w.Name, ErrInvalid)
	}
	if !w.Expires.IsZero() && (w.Expires.Unix() <= 0 || w.Expires.After(lastTime)) {
		return fmt.Errorf("%s %q: got expiry %s, want a time from 1970 to 9999: %w", w.Kind, w.Name, w.Expires, ErrInvalid)
	}
	return nil
}
