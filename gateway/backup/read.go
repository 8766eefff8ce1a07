package backup

import (
	"archive/tar"
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
	create(name string, mode fs.FileMode) (io.WriteCloser, error)
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) create(string, fs.FileMode) (io.WriteCloser, error) { return closing{io.Discard}, nil }

type closing struct{ io.Writer }

func (closing) Close() error { return nil }

// reader reads a backup and holds that it is as it was written.
type reader struct {
	ctx     context.Context
	to      sink
	public  string // of the audit log; empty: the one that the backup brings
	files   manifest
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
	if h.Typeflag != tar.TypeReg || h.Size > limit {
		return nil, fmt.Errorf("%s: got %d bytes, want a file of at most %d", h.Name, h.Size, limit)
	}
	b, err := io.ReadAll(archive)
	if err != nil {
		return nil, damaged(err)
	}
	r.files[h.Name] = file{h.Size, fs.FileMode(h.Mode), digest(b)}
	return b, nil
}

// file hands a file to the sink.
func (r *reader) file(archive *tar.Reader, h *tar.Header) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") { // a few bytes that become many
			return fmt.Errorf("%q is a file with holes, which none is that a gateway made", h.Name)
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
	mode := fs.FileMode(h.Mode) & 0o755
	if fs.FileMode(h.Mode)&^fs.ModePerm != 0 {
		return fmt.Errorf("%s: got mode %o, want one of a plain file", h.Name, h.Mode)
	}
	w, err := r.to.create(h.Name, mode)
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
	if h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return fmt.Errorf("%s: got %d bytes, want a file of at most %d", h.Name, h.Size, maxManifest)
	}
	encoded, err := io.ReadAll(archive)
	if err != nil {
		return damaged(err)
	}
	if h, err = archive.Next(); err != nil {
		return damaged(err)
	}
	if h.Name != signatureName || h.Typeflag != tar.TypeReg || h.Size > maxHeader {
		return fmt.Errorf("after %s: got %q, want %s", manifestName, h.Name, signatureName)
	}
	signature, err := io.ReadAll(archive)
	if err != nil {
		return damaged(err)
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("it has more than was written"), err)
	}
	if n, err := io.Copy(io.Discard, rest); err != nil || n > 0 { // age's last part says that it is the last
		return errors.Join(fmt.Errorf("it has %d bytes more than were written", n), err)
	}
	public := r.public
	if public == "" {
		public = r.brought
	}
	if public == "" {
		return fmt.Errorf("%s is not in it", publicName)
	}
	if err := checkSignature(public, encoded, signature); err != nil {
		return err
	}
	if r.brought != public {
		return errNotSigned
	}
	var listed manifest // read now that it is known whose it is
	if err := json.Unmarshal(encoded, &listed); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	for name, want := range listed {
		got, ok := r.files[name]
		if !ok {
			return fmt.Errorf("%s is not in it", name)
		}
		if got != want {
			return fmt.Errorf("%s is not as it was written", name)
		}
		r.summary.Bytes += got.Size
	}
	if len(r.files) != len(listed) {
		return errors.New("it has files that its list does not name")
	}
	r.summary.Files = len(listed)
	return nil
}

// Check reads a backup from its beginning to its end and holds that it is whole and as it was written, without
// keeping anything. public is the audit log's public key; where it is empty the backup's own is taken, which proves
// less.
func Check(ctx context.Context, from io.Reader, keys []age.Identity, public string) (*Summary, error) {
	r := &reader{ctx: ctx, to: nowhere{}, public: public}
	if err := r.read(from, keys); err != nil {
		return nil, fmt.Errorf("reading the backup: %w", err)
	}
	return &r.summary, nil
}
