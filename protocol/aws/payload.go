package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// payload is what a request says of its body.
type payload struct {
	word    string // what the signature covers
	known   bool   // before the body is read
	chunked bool
	signed  bool // each chunk is
	size    int64
	names   []string // of the trailer
	chunks  *sigv4.Chunks
}

var errLength = errors.New("the request does not say how long its body is: send Content-Length")

// maxObject is the longest body that S3 takes in one request.
const maxObject = 5 << 30

// payloadOf reads what a request says of its body.
func payloadOf(r *http.Request, s *sigv4.Signed, isS3 bool) (payload, error) {
	p := payload{word: s.Payload, known: true}
	if !strings.HasPrefix(p.word, "STREAMING-") && slices.ContainsFunc(r.Header["Content-Encoding"], chunkCoded) {
		return p, fmt.Errorf("%w: Content-Encoding says aws-chunked, and X-Amz-Content-Sha256 does not", sigv4.ErrForm)
	}
	if p.word == "" && s.Presigned && isS3 {
		p.word = sigv4.Unsigned
	}
	if isS3 && r.ContentLength < 0 && !strings.HasPrefix(p.word, "STREAMING-") {
		return p, errLength
	}
	switch b, err := hex.DecodeString(p.word); {
	case err == nil && len(b) == sha256.Size:
		return p, nil
	case p.word == "" && !isS3:
		p.known = false
		return p, nil
	case p.word == sigv4.Unsigned && isS3:
		return p, nil
	case s.Presigned || !isS3:
		return p, fmt.Errorf("%w: X-Amz-Content-Sha256 is not the digest of the body", sigv4.ErrForm)
	}
	p.chunked = true
	switch p.word {
	case sigv4.StreamSigned, sigv4.StreamSignedTrailer:
		p.signed = true
	case sigv4.StreamUnsignedTrailer:
	default:
		return p, fmt.Errorf("%w: X-Amz-Content-Sha256 is missing, or is a word that the gateway does not know", sigv4.ErrForm)
	}
	var n int64
	if _, err := fmt.Sscanf(r.Header.Get("X-Amz-Decoded-Content-Length"), "%d", &n); err != nil || n < 0 || n > maxObject || fmt.Sprint(n) != r.Header.Get("X-Amz-Decoded-Content-Length") {
		return p, fmt.Errorf("%w: X-Amz-Decoded-Content-Length is not the length of the body", sigv4.ErrForm)
	}
	p.size = n
	if p.word != sigv4.StreamSigned {
		for name := range strings.SplitSeq(r.Header.Get("X-Amz-Trailer"), ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if sums[name] == 0 || len(p.names) == 4 || slices.Contains(p.names, name) {
				return p, fmt.Errorf("%w: X-Amz-Trailer names something else than checksums that S3 knows", sigv4.ErrForm)
			}
			p.names = append(p.names, name)
		}
	} else if r.Header.Get("X-Amz-Trailer") != "" {
		return p, fmt.Errorf("%w: X-Amz-Trailer belongs to another word in X-Amz-Content-Sha256", sigv4.ErrForm)
	}
	return p, nil
}

// decode has the body of a request be what the signature covers, decoded. An empty one is checked at once, since nobody reads it.
func (p *payload) decode(r *http.Request, s *sigv4.Signed, key []byte) error {
	body := r.Body
	switch {
	case p.chunked:
		if !p.signed {
			key = nil
		}
		p.chunks = sigv4.NewChunks(body, p.size, p.names, s.Scope, key, s.Value())
		r.Body, r.ContentLength = struct {
			io.Reader
			io.Closer
		}{p.chunks, body}, p.size
		if p.size == 0 {
			_, err := p.chunks.Read(make([]byte, 1))
			switch {
			case errors.Is(err, errSlow):
				return err
			case !errors.Is(err, io.EOF):
				return fmt.Errorf("%w: %w", sigv4.ErrValue, sigv4.ErrChunk)
			}
		}
	case p.word != sigv4.Unsigned:
		if r.ContentLength == 0 && p.word != sigv4.Digest(nil) {
			return sigv4.ErrValue
		}
		r.Body = newChecked(body, p.word)
	}
	return nil
}
