package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
)

var errGone = fmt.Errorf("s3: no such object: %w", fs.ErrNotExist)

// code is the server's word for what went wrong; empty when it gave none.
func code(err error) string {
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// temporary reports whether it may go better next time.
func temporary(err error) bool {
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		return e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout
	}
	return !errors.Is(err, context.Canceled)
}

// failed says what failed and why. The server's own sentence stays out: it can
// hold anything, and what is recorded holds no secrets.
func (b *Bucket) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which says nothing that what does not
		}
		return fmt.Errorf("s3: %s: %w", what, err)
	}
	switch e.Code {
	case "NoSuchKey", "NoSuchVersion":
		return errGone
	case "NoSuchBucket":
		return fmt.Errorf("s3: bucket %s does not exist", b.config.Bucket)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken":
		b.creds.Expire() // they may have been replaced
	case "MethodNotAllowed":
		if strings.HasPrefix(what, "reading ") {
			return errGone // what is there is the mark of its deletion
		}
	}
	if e.StatusCode == http.StatusNotFound && strings.HasPrefix(what, "reading ") {
		return errGone
	}
	return fmt.Errorf("s3: %s: the server answers %d %s", what, e.StatusCode, word(e.Code))
}

// word keeps a server's code to what codes are made of.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < '0' || r > 'z' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 64)]
}
