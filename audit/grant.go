package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/proxy"
)

// Grants of approvals are signed by the log's key, as notes of their own kind: its public key proves one, wherever it
// was kept, and the note's name says which log has signed it.

const (
	grantLine = "/grant" // after the log's name, so that a grant is not taken for a head, nor a head for a grant
	maxGrant  = 64 << 10 // of a note, in bytes
)

// ErrOtherSigner says that a grant was signed by a log whose public key is not among those that it was to be proven with.
var ErrOtherSigner = errors.New("another log has signed it")

// Origin is the log's name, which what it signs begins with.
func (l *Log) Origin() string { return l.tree.origin }

// SignGrant signs a grant with the log's key. The result is a signed note of C2SP, as heads are.
func (l *Log) SignGrant(g *proxy.Grant) (string, error) {
	text, err := g.Encode()
	if err != nil {
		return "", fmt.Errorf("signing the grant of request %s: %w", g.Request, err)
	}
	signed, err := note.Sign(&note.Note{Text: l.tree.origin + grantLine + "\n" + string(text) + "\n"}, l.tree.signer)
	if err == nil && len(signed) > maxGrant {
		err = fmt.Errorf("got %d bytes, want at most %d", len(signed), maxGrant)
	}
	if err != nil {
		return "", fmt.Errorf("signing the grant of request %s: %w", g.Request, err)
	}
	return string(signed), nil
}

// OpenGrant returns a grant that the log has signed. A log is the signer of a gateway that shares its store with no other.
func (l *Log) OpenGrant(_ context.Context, signed string) (*proxy.Grant, error) {
	return OpenGrant(signed, l.tree.public)
}

// GrantOrigin is the name of the log that a grant says has signed it. It proves nothing.
func GrantOrigin(signed string) (string, error) {
	line, _, _ := strings.Cut(signed, "\n")
	origin, ok := strings.CutSuffix(line, grantLine)
	if !ok || origin == "" || len(signed) > maxGrant {
		return "", errors.New("it is not a signed grant")
	}
	return origin, nil
}

// OpenGrant returns a grant that one of the logs has signed whose public keys are given. The error of one that says it is
// another's is ErrOtherSigner.
func OpenGrant(signed string, public ...string) (*proxy.Grant, error) {
	origin, err := GrantOrigin(signed)
	if err != nil {
		return nil, err
	}
	for _, key := range public {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("the public key: %w", err)
		}
		if v.Name() == origin {
			return openGrant(signed, v)
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrOtherSigner, origin)
}

func openGrant(signed string, v note.Verifier) (*proxy.Grant, error) {
	text, err := openSigned(signed, grantLine, v)
	if err != nil {
		return nil, err
	}
	return proxy.DecodeGrant([]byte(strings.TrimSuffix(text, "\n")))
}

// openSigned returns the text of a note that a log has signed alone, without its first line, which is the log's name and the
// kind of the note.
func openSigned(signed, kind string, v note.Verifier) (string, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return "", fmt.Errorf("its signature is not one of %s: %w", v.Name(), err)
	}
	text, ok := strings.CutPrefix(n.Text, v.Name()+kind+"\n")
	if !ok || len(n.Sigs) != 1 {
		return "", fmt.Errorf("it is not a %s with one signature", strings.TrimPrefix(kind, "/"))
	}
	// It is written in one way only, so that no byte can be changed.
	sig := n.Sigs[0]
	if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil || signed != n.Text+"\n— "+sig.Name+" "+sig.Base64+"\n" {
		return "", errors.New("its signature is not written as it was made")
	}
	return text, nil
}
