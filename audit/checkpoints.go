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
// that appends them to a file keeps them. Nothing of them is verified. What was not
// written whole, and is not signed, is left out. More than limit bytes are an error.
func ReadCheckpoints(r io.Reader, limit int64) (notes [][]byte, err error) {
	in := bufio.NewReader(io.LimitReader(r, limit+1))
	var note []byte
	blank, signed := false, false // what the note's last line was
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if limit -= int64(len(line)); limit < 0 {
			return nil, errors.New("the checkpoints are too long to be read")
		}
		isSignature := bytes.HasPrefix(line, []byte(signaturePrefix))
		if signed && !isSignature {
			notes, note, signed = append(notes, note), nil, false
		}
		if err != nil { // what is not ended by a line break was not written whole
			return notes, nil
		}
		isBlank := len(line) == 1
		if blank && !isSignature {
			note = nil // it was to be signed, and was not
		}
		if blank = isBlank && len(note) > 0; isBlank && !blank {
			continue
		}
		note, signed = append(note, line...), isSignature
	}
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
