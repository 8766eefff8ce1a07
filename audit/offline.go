package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/internal/plainfile"
	"github.com/sallyport/sallyport/proxy"
)

// What a gateway hands out for a time when its store may be down is proven by the log's key, which is kept with the log, and what has
// become of it is in the gateway's own record, from where a counter is read back.

// maxNote bounds a signed note, in bytes.
const maxNote = 64 << 10

// ErrNotSigned says that a note is not one of the log's, of its purpose.
var ErrNotSigned = errors.New("this gateway has not signed it")

// purposeLine is what a note of a purpose begins with, so that it is not taken for another.
func purposeLine(origin, purpose string) string { return origin + "/" + purpose + "\n" }

// SignNote signs a text for a purpose with the log's key. The purpose is one word; the text ends with a line break.
func (l *Log) SignNote(purpose, text string) ([]byte, error) {
	return signNote(l.tree.signer, purpose, text)
}

// SignNote signs a text as [Log.SignNote] does, by the key of the log whose directory is root, which may be open. The key is not read
// through a link, which would sign with the key of another log for who puts links there.
func SignNote(root *os.Root, purpose, text string) ([]byte, error) {
	f, err := plainfile.Open(root, "log/key", 0)
	if err != nil {
		return nil, fmt.Errorf("signing a note: %w", err)
	}
	private, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("signing a note: %w", err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(private)))
	if err != nil {
		return nil, fmt.Errorf("signing a note: the log's key: %w", err)
	}
	return signNote(signer, purpose, text)
}

func signNote(by note.Signer, purpose, text string) ([]byte, error) {
	if purpose == "" || strings.Trim(purpose, "abcdefghijklmnopqrstuvwxyz-") != "" || purpose == strings.Trim(tailLine, "/") {
		return nil, fmt.Errorf("signing a note: got the purpose %q, want a word of its own", purpose)
	}
	signed, err := note.Sign(&note.Note{Text: purposeLine(by.Name(), purpose) + text}, by)
	if err == nil && len(signed) > maxNote {
		err = fmt.Errorf("got %d bytes, want at most %d", len(signed), maxNote)
	}
	if err != nil {
		return nil, fmt.Errorf("signing a note: %w", err)
	}
	return signed, nil
}

// OpenNote returns the text of a note that this log has signed for a purpose. The error is ErrNotSigned otherwise.
func (l *Log) OpenNote(purpose string, signed []byte) (string, error) {
	return OpenNote(l.tree.public, purpose, signed)
}

// OpenNote returns the text of a note as [Log.OpenNote] does, by a log's public key.
func OpenNote(public, purpose string, signed []byte) (string, error) {
	v, err := note.NewVerifier(public)
	if err != nil {
		return "", fmt.Errorf("the log's public key: %w", err)
	}
	if len(signed) > maxNote {
		return "", ErrNotSigned
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return "", ErrNotSigned
	}
	text, ok := strings.CutPrefix(n.Text, purposeLine(v.Name(), purpose))
	if !ok {
		return "", ErrNotSigned
	}
	return text, nil
}

// RecordCounted records, as Record does, a note about a request that was counted. The disk has it when RecordCounted returns, whatever
// the log's durability.
func (l *Log) RecordCounted(n *proxy.Note, count uint64) error {
	if n.Kind != proxy.NoteReview || n.Request == nil || count == 0 {
		return errors.New("recording a counted note: want one about a request, and a count from 1 on")
	}
	r := n.Request
	return l.own.event(time.Now(), ReviewPrefix+r.State, settled, func(b []byte) []byte {
		b = str(b, "user", r.Requester)
		b = str(b, "request", r.ID)
		b = num(b, "count", count)
		b = str(b, "hash", r.Hash)
		b = str(b, "rule", strings.Join(r.Rules, ","))
		b = str(b, "decided_by", r.DecidedBy)
		b = str(b, "channel", r.Channel)
		b = str(b, "resource", r.Resource)
		b = str(b, "account", r.Account)
		b = str(b, "deadline", r.Until.UTC().Format(time.RFC3339))
		return str(b, "reason", r.Reason)
	})
}

// Counted returns the highest count of a note that RecordCounted has recorded with a state; 0: nothing was counted. A record of the
// gateway itself that cannot be read is an error: it may hold a higher one.
func (l *Log) Counted(state string) (count uint64, err error) {
	list, err := l.archive.own()
	if err != nil {
		return 0, err
	}
	slices.Sort(list)
	slices.Reverse(list) // the newest first: counts grow
	for _, id := range list {
		err := l.archive.read(id, func(raw []byte) bool {
			if typeOf(raw) != ReviewPrefix+state {
				return true
			}
			e := &Event{}
			if err = json.Unmarshal(raw, e); err != nil {
				return false
			}
			count = max(count, e.Count)
			return true
		})
		if err != nil {
			return 0, fmt.Errorf("the gateway's own record %s: %w", id, err)
		}
		if count > 0 {
			break
		}
	}
	return count, nil
}
