package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosignatureAlgorithm is that of Ed25519 cosignatures in keys of C2SP signed-note.
const cosignatureAlgorithm = 0x04

// cosigner verifies the cosignatures of one witness, as C2SP tlog-cosignature has
// them: Ed25519 over a header, the time and the checkpoint's text.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// ParseWitnessKey reads the key of a witness, NAME+HASH+KEY as witnesses print
// it. Keys of other algorithms than Ed25519 cosignatures are an error.
func ParseWitnessKey(vkey string) (note.Verifier, error) {
	vkey = strings.TrimSpace(vkey)
	name, rest, ok := strings.Cut(vkey, "+")
	hash, text, ok2 := strings.Cut(rest, "+")
	n, err := strconv.ParseUint(hash, 16, 32)
	b, err2 := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || !ok2 || err != nil || err2 != nil || len(hash) != 8 || name == "" || strings.ContainsAny(name, " \n") {
		return nil, errors.New("a witness's key is NAME+HASH+KEY, as the witness prints it")
	}
	if len(b) != 1+ed25519.PublicKeySize || b[0] != cosignatureAlgorithm {
		return nil, fmt.Errorf("the key of witness %s is not for Ed25519 cosignatures", name)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), b...))
	if binary.BigEndian.Uint32(sum[:]) != uint32(n) {
		return nil, fmt.Errorf("the key of witness %s was mistyped: its hash is another", name)
	}
	return &cosigner{name, uint32(n), b[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

// Verify reports whether sig, a time and a signature, cosigns text.
func (c *cosigner) Verify(text, sig []byte) bool {
	at, ok := cosignedAt(sig)
	if !ok {
		return false
	}
	msg := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
	return ed25519.Verify(c.key, msg, sig[8:])
}

func cosignedAt(sig []byte) (unix int64, ok bool) {
	if len(sig) != 8+ed25519.SignatureSize {
		return 0, false
	}
	unix = int64(binary.BigEndian.Uint64(sig))
	return unix, unix >= 0
}

// Cosignatures returns those of lines that are cosignatures of a checkpoint by
// the witnesses of keys, and leaves the others out. One that is said to be theirs and
// is not is an error.
func Cosignatures(checkpoint, lines []byte, keys ...note.Verifier) ([]byte, error) {
	text, _, ok := strings.Cut(string(checkpoint), "\n\n")
	if !ok {
		return nil, errors.New("no checkpoint")
	}
	n, err := note.Open([]byte(text+"\n\n"+string(lines)), note.VerifierList(keys...))
	var unknown *note.UnverifiedNoteError
	if errors.As(err, &unknown) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cosignatures: %w", err)
	}
	var out []byte
	for _, s := range n.Sigs {
		out = fmt.Appendf(out, "%s%s %s\n", signaturePrefix, s.Name, s.Base64)
	}
	return out, nil
}

// Cosigned is a head that a witness cosigned: it had seen no other history of the
// log up to then.
type Cosigned struct {
	tlog.Tree
	Witness string
	At      time.Time
	Note    []byte
}

// CosignedHeads returns, for each witness key, the newest head in the log in dir
// that it cosigned. A key without one is an error. That the log continues these
// heads is for [Verify], to which their notes are given.
func CosignedHeads(dir, public string, vkeys ...string) ([]Cosigned, error) {
	files, err := filepath.Glob(filepath.Join(escape(dir), witnessFolder, "*"))
	if err != nil {
		return nil, err
	}
	var out []Cosigned
	for _, vkey := range vkeys {
		v, err := ParseWitnessKey(vkey)
		if err != nil {
			return nil, err
		}
		newest := Cosigned{Witness: v.Name()}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue // replaced meanwhile
			}
			if err != nil {
				return nil, err
			}
			head, err := openCheckpoint(b, public)
			if err != nil {
				continue // proves nothing
			}
			n, err := note.Open(b, note.VerifierList(v))
			if err != nil || head.N < newest.N {
				continue
			}
			sig, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
			if err != nil || len(sig) < 4 {
				continue
			}
			at, _ := cosignedAt(sig[4:]) // it was verified
			newest = Cosigned{head, v.Name(), time.Unix(at, 0), b}
		}
		if newest.Note == nil {
			return nil, fmt.Errorf("no head of the log was cosigned by %s", v.Name())
		}
		out = append(out, newest)
	}
	return out, nil
}
