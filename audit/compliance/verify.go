package compliance

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sallyport/sallyport/audit"
)

// Bounds of what is read of a pack before its signature is checked, and how many files it may have.
const (
	maxManifest = 1 << 20
	maxFiles    = 200
)

// Verified is what was found of a pack.
type Verified struct {
	Manifest Manifest
	Files    int   // as the manifest says
	Proofs   int64 // of records, that lead to the signed head
	// Problems name what is not as it was made, a sentence each; empty when all is proven.
	Problems []string
}

// ErrNoPack says that a file is not a pack of evidence.
var ErrNoPack = errors.New("this is not a pack of evidence")

// Verify checks a pack with the public key of the log that it was made from: the signature of its manifest, the SHA-256 of each file,
// that nothing else is in it, and that each record whose proof it has is among those of its signed head. It reads a file at a time, and no
// more of it than the manifest says. The error is for what cannot be read at all, or is not a pack.
func Verify(r io.ReaderAt, size int64, public string) (*Verified, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPack, err)
	}
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("%w: got %d files, want at most %d", ErrNoPack, len(z.File), maxFiles)
	}
	v := &verifier{files: make(map[string]*zip.File)}
	for _, f := range z.File {
		if v.files[f.Name] != nil {
			v.problem("%s is there twice", quoted(f.Name))
		}
		v.files[f.Name] = f
	}
	text, err := v.read(manifestName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPack, err)
	}
	signature, err := v.read(signatureName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPack, err)
	}
	if err := audit.CheckEvidence(string(signature), text, public); err != nil {
		v.problem("the manifest is not signed by this key: %v", err)
		return &v.Verified, nil // what it says is anybody's
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v.Manifest); err != nil || v.Manifest.Format != format {
		return nil, fmt.Errorf("%w: its manifest is of the format %s, want %s", ErrNoPack, quoted(v.Manifest.Format), format)
	}
	v.listed()
	if err := canonical(r, size, z.File); err != nil {
		v.problem("%v", err)
	}
	v.proofs(public)
	return &v.Verified, nil
}

type verifier struct {
	Verified
	files map[string]*zip.File
}

func (v *verifier) problem(text string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(text, args...))
}

func quoted(s string) string { return fmt.Sprintf("%.80q", s) }

// read reads a small file.
func (v *verifier) read(name string) ([]byte, error) {
	f := v.files[name]
	if f == nil {
		return nil, fmt.Errorf("it has no file %s", name)
	}
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("%s: got more than %d bytes", name, maxManifest)
	}
	return b, err
}

// listed checks the files by the manifest.
func (v *verifier) listed() {
	v.Files = len(v.Manifest.Files)
	there := []string{manifestName, signatureName}
	for _, want := range v.Manifest.Files {
		there = append(there, want.Name)
		f := v.files[want.Name]
		if f == nil {
			v.problem("%s is missing", quoted(want.Name))
			continue
		}
		sum, err := digest(f, want.Bytes)
		switch {
		case err != nil:
			v.problem("%s cannot be read: %v", want.Name, err)
		case sum != want.SHA256:
			v.problem("%s is not the file that was signed: got SHA-256 %s, want %s", want.Name, sum, want.SHA256)
		}
	}
	for name := range v.files {
		if !slices.Contains(there, name) {
			v.problem("%s was added", quoted(name))
		}
	}
}

// digest is the SHA-256 of a file of so many bytes.
func digest(f *zip.File, size int64) (string, error) {
	in, err := f.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(in, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("got another length than the %d bytes that were signed", size)
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}

// canonical holds that an archive is written as [Pack.Write] writes it, byte for byte: another program that unpacks it cannot find
// anything else in it.
func canonical(r io.ReaderAt, size int64, files []*zip.File) error {
	same := &comparer{with: io.NewSectionReader(r, 0, size)}
	z := zip.NewWriter(same)
	for _, f := range files {
		w, err := z.CreateRaw(header(f.Name, f.CRC32, int64(f.CompressedSize64), int64(f.UncompressedSize64)))
		if err != nil {
			return err
		}
		raw, err := f.OpenRaw()
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, raw); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	if same.n != size {
		return errNotCanonical
	}
	return nil
}

var errNotCanonical = errors.New("the archive is not written as it was made: something was added or altered between its files")

// comparer fails on what differs from what is there.
type comparer struct {
	with *io.SectionReader
	n    int64
	buf  []byte
}

func (c *comparer) Write(b []byte) (int, error) {
	c.buf = slices.Grow(c.buf[:0], len(b))[:len(b)]
	if _, err := c.with.ReadAt(c.buf, c.n); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if !bytes.Equal(c.buf, b) {
		return 0, errNotCanonical
	}
	c.n += int64(len(b))
	return len(b), nil
}

// proofs checks the proof of each record.
func (v *verifier) proofs(public string) {
	head := v.Manifest.Head
	x, err := audit.OpenAnchor(head.Checkpoint, public)
	if err != nil {
		v.problem("the signed head: %v", err)
		return
	}
	if x.Size != head.Size || x.Root != head.Root {
		v.problem("the signed head is of %d records with the root %s, and the manifest says %d and %s", x.Size, x.Root, head.Size, quoted(head.Root))
	}
	f := v.files[proofsName]
	if f == nil {
		return // it is missing, which is told
	}
	in, err := f.Open()
	if err != nil {
		v.problem("%s cannot be read: %v", proofsName, err)
		return
	}
	defer in.Close()
	d := json.NewDecoder(io.LimitReader(in, int64(f.UncompressedSize64)))
	if _, err := d.Token(); err != nil {
		v.problem("%s cannot be read: %v", proofsName, err)
		return
	}
	for d.More() {
		var i audit.Inclusion
		err := d.Decode(&i)
		if err != nil {
			v.problem("%s cannot be read: %v", proofsName, err)
			return
		}
		if err := x.Check(&i); err != nil {
			v.problem("the proof of record %s: %v", quoted(i.Session), err)
			return
		}
		v.Proofs++
	}
	if want := int64(v.Manifest.Records.Proven + v.Manifest.Records.Erased); v.Proofs < want {
		v.problem("%s has %d proofs, and %d records are called proven", proofsName, v.Proofs, want)
	}
}

// Key returns the public key that is in a pack. The maker of the pack chose it: a pack that it proves is consistent in itself, and no more.
func Key(r io.ReaderAt, size int64) (string, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoPack, err)
	}
	v := &verifier{files: make(map[string]*zip.File)}
	for _, f := range z.File {
		v.files[f.Name] = f
	}
	b, err := v.read(keyName)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoPack, err)
	}
	return string(bytes.TrimSpace(b)), nil
}
