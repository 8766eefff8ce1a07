package compliance

import (
	"archive/zip"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
)

// ErrTooLarge says that a pack would be larger than it may be.
var ErrTooLarge = errors.New("the pack would be too large: choose a shorter period")

// spool keeps files of a pack, compressed, until all are made. They have no names on the disk, where the system lets them.
type spool struct {
	dir   string
	left  int64 // bytes that may still be written
	files []*spooled
}

// create begins a file of the pack. A file is written by one goroutine at a time.
func (s *spool) create(name string) (*spooled, error) {
	f, err := os.CreateTemp(s.dir, "evidence-*")
	if err != nil {
		return nil, fmt.Errorf("spooling %s: %w", name, err)
	}
	x := &spooled{name: name, of: s, file: f, sum: sha256.New(), crc: crc32.NewIEEE()}
	if os.Remove(f.Name()) != nil { // a system that does not remove what is open
		x.path = f.Name()
	}
	s.files = append(s.files, x)
	// All files are open at once: the fastest way also needs the least memory.
	if x.deflate, err = flate.NewWriter(onDisk{x}, flate.BestSpeed); err != nil {
		return nil, err
	}
	return x, nil
}

// Close removes the files.
func (s *spool) Close() error {
	var errs []error
	for _, x := range s.files {
		errs = append(errs, x.file.Close())
		if x.path != "" {
			errs = append(errs, os.Remove(x.path))
		}
	}
	s.files = nil
	return errors.Join(errs...)
}

// spooled is a file of a pack.
type spooled struct {
	name    string
	of      *spool
	path    string // to be removed; empty: it has no name
	file    *os.File
	deflate *flate.Writer
	sum     hash.Hash
	crc     hash.Hash32
	size    int64 // as it is
	packed  int64 // compressed
}

// Write implements [io.Writer].
func (x *spooled) Write(b []byte) (int, error) {
	x.sum.Write(b)
	x.crc.Write(b)
	x.size += int64(len(b))
	return x.deflate.Write(b)
}

// end ends the file, which is not written to afterwards.
func (x *spooled) end() error {
	err := x.deflate.Close()
	x.deflate = nil
	return err
}

func (x *spooled) digest() string { return hex.EncodeToString(x.sum.Sum(nil)) }

// to adds the file to an archive.
func (x *spooled) to(z *zip.Writer) error {
	w, err := z.CreateRaw(header(x.name, x.crc.Sum32(), x.packed, x.size))
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(x.file, 0, x.packed))
	return err
}

// header is that of a file in an archive. There is one for each file, so that an archive is written in one way only.
func header(name string, crc uint32, packed, size int64) *zip.FileHeader {
	return &zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: crc, CompressedSize64: uint64(packed), UncompressedSize64: uint64(size)}
}

// onDisk takes what is compressed.
type onDisk struct{ *spooled }

func (d onDisk) Write(b []byte) (int, error) {
	if d.of.left -= int64(len(b)); d.of.left < 0 {
		return 0, ErrTooLarge
	}
	n, err := d.file.Write(b)
	d.packed += int64(n)
	return n, err
}

// put adds a file of a text.
func (s *spool) put(name string, text []byte) error {
	x, err := s.create(name)
	if err != nil {
		return err
	}
	if _, err := x.Write(text); err != nil {
		return err
	}
	return x.end()
}

// sort orders the files by name, what people open first before all.
func (s *spool) sort() {
	slices.SortFunc(s.files, func(a, b *spooled) int {
		if first := a.name == indexName; first != (b.name == indexName) {
			if first {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
}
