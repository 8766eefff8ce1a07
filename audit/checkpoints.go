package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// signaturePrefix begins each line of a note's signatures.
const signaturePrefix = "— "

// ReadCheckpoints reads checkpoints that stand one after the other, as a witness
// that appends them to a file keeps them. Nothing of them is verified. What is no
// checkpoint comes as one that does not verify; a last line that was not written
// whole is left out. More than limit bytes are an error.
func ReadCheckpoints(r io.Reader, limit int64) (notes [][]byte, err error) {
	in := bufio.NewReader(io.LimitReader(r, limit+1))
	var note []byte
	signed := false
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if limit -= int64(len(line)); limit < 0 {
			return nil, errors.New("the checkpoints are too long to be read")
		}
		if err != nil { // not ended by a line break
			break
		}
		isSignature := bytes.HasPrefix(line, []byte(signaturePrefix))
		if signed && !isSignature {
			notes, note, signed = append(notes, note), nil, false
		}
		if len(note) == 0 && len(line) == 1 {
			continue // between two
		}
		note, signed = append(note, line...), isSignature
	}
	if signed || len(note) > 0 && len(notes) == 0 {
		notes = append(notes, note)
	}
	return notes, nil
}

// maxCopiedCheckpoints bounds how many are read of a copy.
const maxCopiedCheckpoints = 10_000

// CopiedCheckpoints reads the newest checkpoints of a copy, or of a witness that
// keeps them in the same way, oldest first. Nothing of them is verified.
func CopiedCheckpoints(ctx context.Context, o Objects) (notes [][]byte, err error) {
	var names []string
	for name, err := range o.List(ctx, headPrefix) {
		if err != nil {
			return nil, err
		}
		if names = append(names, name); len(names) == 2*maxCopiedCheckpoints {
			names = append(names[:0], names[maxCopiedCheckpoints:]...)
		}
	}
	for _, name := range names[max(0, len(names)-maxCopiedCheckpoints):] {
		r, err := o.OpenVersion(ctx, name, "")
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(r, maxCheckpoint))
		r.Close()
		if err != nil {
			return nil, err
		}
		notes = append(notes, b)
	}
	return notes, nil
}
