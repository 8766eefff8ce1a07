package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sallyport/sallyport/audit"
)

const maxParts = 10_000 // of an upload, by the protocol

// Put stores an object whose SHA-256 the server verifies, on the condition that
// none is there. What is there is compared.
func (b *Bucket) Put(ctx context.Context, o audit.Object) error {
	if err := b.check(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	unconditional := b.unconditional
	b.mu.Unlock()
	if unconditional && !o.Replace {
		if there, err := b.same(ctx, o); there || err != nil {
			return err
		}
	}
	err := b.put(ctx, o, !o.Replace && !unconditional)
	switch code(err) {
	case "PreconditionFailed", "ConditionalRequestConflict":
		there, err := b.same(ctx, o)
		if err == nil && !there {
			err = fmt.Errorf("s3: %s is being written by another gateway", o.Name)
		}
		return err
	case "NotImplemented":
		if !unconditional && !o.Replace {
			b.mu.Lock()
			b.unconditional = true
			b.mu.Unlock()
			return b.Put(ctx, o)
		}
	}
	return b.failed("writing "+o.Name, err)
}

func (b *Bucket) put(ctx context.Context, o audit.Object, onlyNew bool) error {
	if o.Size > b.config.PartSize {
		return b.putParts(ctx, o, onlyNew)
	}
	opts := b.options(o)
	opts.UserMetadata = map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(o.SHA256[:])}
	if onlyNew {
		opts.SetMatchETagExcept("*")
	}
	return attempt(ctx, func() error {
		_, err := b.client.PutObject(ctx, b.config.Bucket, b.key(o.Name), section(o, 0, o.Size), o.Size, "", hex.EncodeToString(o.SHA256[:]), opts)
		return err
	})
}

// maxAttempts is how often a request is made that may go better the next time.
// What fails for longer is the caller's to wait for.
const maxAttempts = 3

func attempt(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == maxAttempts || !pause(ctx, n, err) {
			return err
		}
	}
}

// section is a part of an object, of its own for each request: the transport may
// still be reading that of one that failed.
func section(o audit.Object, from, n int64) io.Reader { return io.NewSectionReader(o.Content, from, n) }

func (b *Bucket) options(o audit.Object) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{
		ContentType: "application/octet-stream", ServerSideEncryption: b.encryption,
		DisableContentSha256: true, // it is given, and need not be made in chunks
	}
	// What is replaced is never what proofs stand on, and need not be kept.
	if b.config.Lock != (Lock{}) && !o.Replace {
		opts.Mode, opts.RetainUntilDate = b.config.Lock.mode(), time.Now().Add(b.config.Lock.For)
		if o.Hold {
			opts.LegalHold = minio.LegalHoldEnabled
		}
	}
	return opts
}

// putParts uploads an object in parts, one after the other, from where it is: no
// part is held in memory.
func (b *Bucket) putParts(ctx context.Context, o audit.Object, onlyNew bool) (err error) {
	size := max(b.config.PartSize, (o.Size+maxParts-1)/maxParts)
	opts := b.options(o)
	opts.UserMetadata = map[string]string{"x-amz-checksum-algorithm": "SHA256"}
	bucket, key := b.config.Bucket, b.key(o.Name)
	var id string
	err = attempt(ctx, func() (err error) {
		id, err = b.client.NewMultipartUpload(ctx, bucket, key, opts)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // its parts would be paid for
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.config.Timeout)
			defer cancel()
			_ = b.client.AbortMultipartUpload(ctx, bucket, key, id) // why it failed says more
		}
	}()
	var parts []minio.CompletePart
	for at := int64(0); at < o.Size; at += size {
		n := min(size, o.Size-at)
		h := sha256.New()
		if _, err := io.Copy(h, section(o, at, n)); err != nil {
			return err
		}
		sum := h.Sum(nil)
		text := base64.StdEncoding.EncodeToString(sum)
		var p minio.ObjectPart
		err := attempt(ctx, func() (err error) {
			p, err = b.client.PutObjectPart(ctx, bucket, key, id, len(parts)+1, section(o, at, n), n, minio.PutObjectPartOptions{
				Sha256Hex: hex.EncodeToString(sum), DisableContentSha256: true,
				CustomHeader: http.Header{"X-Amz-Checksum-Sha256": {text}},
			})
			return err
		})
		if err != nil {
			return err
		}
		parts = append(parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumSHA256: text})
	}
	var complete minio.PutObjectOptions
	if onlyNew {
		complete.SetMatchETagExcept("*")
	}
	return attempt(ctx, func() error {
		_, err := b.client.CompleteMultipartUpload(ctx, bucket, key, id, parts, complete)
		return err
	})
}

// same reports whether an object is there. When it has another content the error
// is an *audit.ConflictError.
func (b *Bucket) same(ctx context.Context, o audit.Object) (bool, error) {
	r, err := b.Open(ctx, o.Name)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, o.Size+1))
	if err != nil {
		return false, err
	}
	if n != o.Size || [sha256.Size]byte(h.Sum(nil)) != o.SHA256 {
		return false, &audit.ConflictError{Err: fmt.Errorf("s3: %s is there already, with another content", o.Name)}
	}
	if o.Hold {
		return true, b.Hold(ctx, o.Name, true)
	}
	return true, nil
}

// Hold puts a legal hold on an object, or ends it. Without Lock it does nothing.
func (b *Bucket) Hold(ctx context.Context, name string, on bool) error {
	if b.config.Lock == (Lock{}) {
		return nil
	}
	if err := b.check(ctx); err != nil {
		return err
	}
	status := minio.LegalHoldDisabled
	if on {
		status = minio.LegalHoldEnabled
	}
	err := b.client.PutObjectLegalHold(ctx, b.config.Bucket, b.key(name), minio.PutObjectLegalHoldOptions{Status: &status})
	return b.failed("holding "+name, err)
}

func isGone(err error) bool { return errors.Is(err, errGone) }
