package kubernetes

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// status is an error as clients of the API read it: a Status of version v1.
type status struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   struct{} `json:"metadata"`
	Status     string   `json:"status"`
	Message    string   `json:"message"`
	Reason     string   `json:"reason,omitempty"`
	Code       int      `json:"code"`
}

var reasons = map[int]string{
	http.StatusBadRequest: "BadRequest", http.StatusUnauthorized: "Unauthorized", http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound",
	http.StatusMethodNotAllowed: "MethodNotAllowed", http.StatusNotAcceptable: "NotAcceptable", http.StatusUnsupportedMediaType: "UnsupportedMediaType",
	http.StatusRequestEntityTooLarge: "RequestEntityTooLarge", http.StatusServiceUnavailable: "ServiceUnavailable", http.StatusBadGateway: "ServiceUnavailable",
	http.StatusMisdirectedRequest: "BadRequest",
}

// refuse answers with sentences.
func (x *exchange) refuse(code int, sentences ...string) {
	text := ""
	for _, s := range sentences {
		if s != "" {
			text = strings.TrimSpace(text + " " + relay.Sentence(s))
		}
	}
	text = terminal.Visible(text) // kubectl prints it as it is
	// No client asks again by itself: what is refused stays so until somebody decides.
	b, err := json.Marshal(status{Kind: "Status", APIVersion: "v1", Status: "Failure", Message: text, Reason: reasons[code], Code: code})
	if err != nil {
		x.h.log().Error("kubernetes: an answer", "err", err)
	}
	head := x.w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Type", "application/json")
	head.Set("Content-Length", strconv.Itoa(len(b)))
	x.w.WriteHeader(code)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(b) // the client is gone when this fails
	}
}

// denied answers an operation that the chain refuses.
func (x *exchange) denied(v *proxy.Verdict) {
	code := http.StatusForbidden
	if v.Cause == proxy.CauseInternal {
		code = http.StatusServiceUnavailable
	}
	x.refuse(code, v.Message(), v.Remedy)
}

// waits answers an operation that waits for an approval. It is an error to clients: one that is told of success
// would believe that it was done.
func (x *exchange) waits(p *proxy.Pending) {
	text, link := "This waits for an approval", ""
	if p != nil {
		if p.Message != "" {
			text = p.Message
		}
		link = p.Link
		if p.ID != "" {
			x.w.Header().Set("X-Gateway-Request", relay.Line(p.ID))
		}
	}
	if link != "" {
		link = "It is decided at " + link
	}
	x.refuse(http.StatusForbidden, text, link, "Run the command again when it is approved.")
}
