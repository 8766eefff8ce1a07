package backup

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"filippo.io/age"
)

// sink takes the files of a backup that is read. A name may come again; what comes last counts.
type sink interface {
	create(name string, mode fs.FileMode, again bool) (io.WriteCloser, error)
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) create(string, fs.FileMode, bool) (io.WriteCloser, error) {
	return closing{io.Discard}, nil
}

type closing struct{ io.Writer }

func (closing) Close() error { return nil }

// reader reads a backup and holds that it is as it was written.
type reader struct {
	ctx     context.Context
	to      sink
	public  string // of the audit log; empty: the one that the backup brings
	files   manifest
	names   int // bytes of the names of files
	summary Summary
	brought string // the public key in the backup
}

const publicName = dataDir + "/" + auditDir + "/log/key.pub"

// read reads a whole backup. Nothing of what it has handed to the sink counts unless it returns no error.
func (r *reader) read(from io.Reader, keys []age.Identity) error {
	opened, err := age.Decrypt(from, keys...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return errors.New("it cannot be opened: it is for other keys, or the passphrase is another")
	}
	if err != nil {
		return fmt.Errorf("it cannot be opened: %w", err)
	}
	r.files = make(manifest)
	archive := tar.NewReader(opened)
	first, err := archive.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it was cut off, or is a file of age and not a backup of a gateway")
	case errors.Is(err, tar.ErrHeader), err == nil && first.Name != headerName:
		return errors.New("it is a file of age, and not a backup of a gateway")
	case err != nil:
		return damaged(err)
	}
	b, err := r.small(archive, first, maxHeader)
	if err != nil {
		return err
	}
	if r.summary.Header, err = readHeader(b); err != nil {
		return err
	}
	for {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		h, err := archive.Next()
		if err != nil {
			return damaged(err)
		}
		if h.Name == manifestName {
			return r.end(archive, h, opened)
		}
		if err := r.file(archive, h); err != nil {
			return damaged(err)
		}
	}
}

// damaged says what an error of reading means. One of writing means what it says.
func damaged(err error) error {
	if errors.As(err, new(*fs.PathError)) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it was cut off: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("it is damaged, or was altered: %w", err)
}

// small reads a file into memory, and counts it.
func (r *reader) small(archive *tar.Reader, h *tar.Header, limit int64) ([]byte, error) {
	b, err := contents(archive, h, limit)
	if err == nil {
		r.files[h.Name] = file{h.Size, fs.FileMode(h.Mode), digest(b)}
	}
	return b, err
}

// contents reads a file into memory.
func contents(archive *tar.Reader, h *tar.Header, limit int64) ([]byte, error) {
	if h.Typeflag != tar.TypeReg || h.Size > limit {
		return nil, fmt.Errorf("%s: got %d bytes, want a file of at most %d", h.Name, h.Size, limit)
	}
	b, err := io.ReadAll(archive)
	if err != nil {
		return nil, damaged(err)
	}
	return b, nil
}

// file hands a file to the sink.
func (r *reader) file(archive *tar.Reader, h *tar.Header) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") { // a few bytes that become many
			return fmt.Errorf("%q is a sparse file: no gateway has made it", h.Name)
		}
	}
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%q is not a file", h.Name)
	}
	if err := checkName(h.Name); err != nil {
		return err
	}
	if len(r.files) >= maxFiles {
		return fmt.Errorf("it has more than %d files", maxFiles)
	}
	if r.names += len(h.Name); r.names > maxManifest {
		return fmt.Errorf("the names of its files have more than %d bytes", maxManifest)
	}
	mode := fs.FileMode(h.Mode) & 0o755
	if fs.FileMode(h.Mode)&^fs.ModePerm != 0 {
		return fmt.Errorf("%s: got mode %o, want one of a plain file", h.Name, h.Mode)
	}
	_, again := r.files[h.Name]
	w, err := r.to.create(h.Name, mode, again)
	if err != nil {
		return err
	}
	sum := sha256.New()
	var public strings.Builder
	out := []io.Writer{w, sum}
	if h.Name == publicName && h.Size <= maxHeader {
		public.Grow(int(h.Size))
		out = append(out, &public)
	}
	_, err = io.Copy(io.MultiWriter(out...), archive)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if h.Name == publicName {
		r.brought = strings.TrimSpace(public.String())
	}
	r.files[h.Name] = file{h.Size, fs.FileMode(h.Mode), hex.EncodeToString(sum.Sum(nil))}
	return nil
}

// end holds that what was read is what was written, all of it, by this gateway.
func (r *reader) end(archive *tar.Reader, h *tar.Header, rest io.Reader) error {
	encoded, err := contents(archive, h, maxManifest)
	if err != nil {
		return err
	}
	signature, err := readSignature(archive)
	if err != nil {
		return err
	}
	if err := nothingMore(archive, rest); err != nil {
		return err
	}
	if err := r.signed(encoded, signature); err != nil {
		return err
	}
	return r.listed(encoded) // read when it is known whose it is
}

// readSignature reads the last file.
func readSignature(archive *tar.Reader) ([]byte, error) {
	h, err := archive.Next()
	if err != nil {
		return nil, damaged(err)
	}
	if h.Name != signatureName {
		return nil, fmt.Errorf("after %s: got %q, want %s", manifestName, h.Name, signatureName)
	}
	return contents(archive, h, maxHeader)
}

// nothingMore holds that the archive ends, and the file that it is in, whose last part says that it is the last.
func nothingMore(archive *tar.Reader, rest io.Reader) error {
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("it has more than was written"), err)
	}
	if n, err := io.Copy(io.Discard, rest); err != nil || n > 0 {
		return errors.Join(fmt.Errorf("it has %d bytes more than were written", n), err)
	}
	return nil
}

// signed holds that a manifest is by the audit log's key, and that this is the key of the log in the backup.
func (r *reader) signed(encoded, signature []byte) error {
	public := cmp.Or(r.public, r.brought)
	if public == "" {
		return fmt.Errorf("%s is not in it", publicName)
	}
	if err := checkSignature(public, encoded, signature); err != nil {
		return err
	}
	if r.brought != public {
		return errNotSigned
	}
	return nil
}

// listed holds that a manifest lists what was read, and nothing else.
func (r *reader) listed(encoded []byte) error {
	var list manifest
	if err := json.Unmarshal(encoded, &list); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	for name, want := range list {
		got, ok := r.files[name]
		if !ok {
			return fmt.Errorf("%s is not in it", name)
		}
		if got != want {
			return fmt.Errorf("%s is not as it was written", name)
		}
		r.summary.Bytes += got.Size
	}
	if len(r.files) != len(list) {
		return errors.New("it has files that its list does not name")
	}
	r.summary.Files = len(list)
	return nil
}
