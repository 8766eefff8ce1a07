package s3

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport/sallyport/audit"
)

// maxResumes is how often reading that broke off is taken up again, each time
// without having come on.
const maxResumes = 8

// pause waits before reading is taken up for the nth time, and reports whether it
// is to be.
func pause(ctx context.Context, n int, err error) bool {
	if n > maxResumes || !temporary(err) {
		return false
	}
	select {
	case <-time.After(time.Duration(n) * 100 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

// Open reads an object.
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	return b.OpenVersion(ctx, name, "")
}

// OpenVersion reads a version of an object, or the object as it is now when none
// is given.
func (b *Bucket) OpenVersion(ctx context.Context, name, version string) (io.ReadCloser, error) {
	d := &download{bucket: b, ctx: ctx, name: name, version: version}
	for n := 1; ; n++ {
		err := d.open()
		if err == nil {
			return d, nil
		}
		if !pause(ctx, n, err) {
			return nil, b.failed("reading "+name, err)
		}
	}
}

// download reads an object, and takes it up where it broke off.
type download struct {
	bucket        *Bucket
	ctx           context.Context
	name, version string
	etag          string
	body          io.ReadCloser
	at, size      int64
	reached       int64 // when it was taken up last
	resumed       int   // times without having come on
}

func (d *download) open() error {
	opts := minio.GetObjectOptions{VersionID: d.version}
	if d.at > 0 {
		if err := opts.SetRange(d.at, 0); err != nil {
			return err
		}
		if err := opts.SetMatchETag(d.etag); err != nil {
			return err
		}
	}
	body, info, _, err := d.bucket.client.GetObject(d.ctx, d.bucket.config.Bucket, d.bucket.key(d.name), opts)
	if err != nil {
		return err
	}
	d.body = body
	if d.at == 0 {
		d.etag, d.size = info.ETag, info.Size
	}
	return nil
}

// Read reads on.
func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.body.Read(p)
		d.at += int64(n)
		whole := d.size < 0 || d.at >= d.size
		switch {
		case err == nil, errors.Is(err, io.EOF) && whole:
			return n, err
		case n > 0:
			return n, nil // the error comes again
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		d.body.Close()
		for again := true; again; {
			if d.resumed++; !pause(d.ctx, d.resumed, err) {
				return 0, d.bucket.failed("reading "+d.name, err)
			}
			if again = d.open() != nil; !again && d.at > d.reached {
				d.reached, d.resumed = d.at, 0
			}
		}
	}
}

// Close ends the download.
func (d *download) Close() error { return d.body.Close() }

// List lists the names that begin with prefix.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		last, err := "", error(nil)
		for n := 1; ; n++ {
			err = nil
			for o := range b.client.ListObjectsIter(ctx, b.config.Bucket, minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true, StartAfter: last}) {
				if o.Err != nil {
					err = o.Err
					break
				}
				if last, n = o.Key, 0; !yield(strings.TrimPrefix(o.Key, b.key("")), nil) {
					return
				}
			}
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				return
			}
			if !pause(ctx, n+1, err) {
				yield("", b.failed("listing "+prefix, err))
				return
			}
		}
	}
}

// Versions lists what is kept of an object, oldest first.
func (b *Bucket) Versions(ctx context.Context, name string) ([]audit.ObjectVersion, error) {
	for n := 1; ; n++ {
		list, err := b.versions(ctx, name)
		if err == nil {
			return list, nil
		}
		if !pause(ctx, n, err) {
			return nil, b.failed("listing the versions of "+name, err)
		}
	}
}

func (b *Bucket) versions(ctx context.Context, name string) (list []audit.ObjectVersion, err error) {
	var latest []audit.ObjectVersion // at most one
	for o := range b.client.ListObjectsIter(ctx, b.config.Bucket, minio.ListObjectsOptions{Prefix: b.key(name), Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if o.Key != b.key(name) {
			continue
		}
		v := audit.ObjectVersion{ID: o.VersionID, At: o.LastModified, Deleted: o.IsDeleteMarker}
		if o.IsLatest {
			latest = append(latest, v)
		} else {
			list = append(list, v)
		}
	}
	// Times can be as coarse as a second, and marks of deletion can stand apart.
	slices.Reverse(list) // newest first, as they come
	slices.SortStableFunc(list, func(a, b audit.ObjectVersion) int { return a.At.Compare(b.At) })
	return append(list, latest...), ctx.Err()
}
