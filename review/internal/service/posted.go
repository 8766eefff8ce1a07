package service

import (
	"io"
	"net/http"
)

// Posted returns the body of a POST, of at most so many bytes. Otherwise it answers why not, and ok is false.
func Posted(w http.ResponseWriter, r *http.Request, most int64) (body []byte, ok bool) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return nil, false
	}
	return body, true
}
