package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// evidenceLine follows the log's name in what signs a manifest of evidence, so that it is not taken for a head or a grant.
const evidenceLine = "/evidence"

// SignEvidence signs a manifest of evidence that was made from the log: its SHA-256, with the log's key, as a signed note of C2SP.
func (l *Log) SignEvidence(manifest []byte) (string, error) {
	signed, err := note.Sign(&note.Note{Text: l.tree.origin + evidenceLine + "\n" + evidenceDigest(manifest) + "\n"}, l.tree.signer)
	if err != nil {
		return "", fmt.Errorf("signing a manifest of evidence: %w", err)
	}
	return string(signed), nil
}

// CheckEvidence holds that the log of a public key has signed a manifest.
func CheckEvidence(signed string, manifest []byte, public string) error {
	v, err := note.NewVerifier(public)
	if err != nil {
		return fmt.Errorf("the public key: %w", err)
	}
	text, err := openSigned(signed, evidenceLine, v)
	if err != nil {
		return err
	}
	if text != evidenceDigest(manifest)+"\n" {
		return fmt.Errorf("%s has signed another manifest", v.Name())
	}
	return nil
}

func evidenceDigest(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return "sha256:" + hex.EncodeToString(sum[:])
}
