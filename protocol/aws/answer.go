package aws

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// problem is what the gateway itself answers, by the codes that SDKs know. Those of 403 are not tried again by themselves.
type problem struct {
	status        int
	code, message string
}

// problemOf is that of an error of a signature or of what is asked for.
func problemOf(err error) *problem {
	p := &problem{http.StatusBadRequest, "InvalidRequest", relay.Sentence(err.Error())}
	switch {
	case errors.Is(err, sigv4.ErrUnsigned):
		p.status, p.code = http.StatusForbidden, "MissingAuthenticationToken"
		p.message = "The request is not signed. Get keys for this resource from the gateway."
	case errors.Is(err, sigv4.ErrValue):
		p.status, p.code = http.StatusForbidden, "SignatureDoesNotMatch"
	case errors.Is(err, sigv4.ErrSkew):
		p.status, p.code = http.StatusForbidden, "RequestTimeTooSkewed"
	case errors.Is(err, sigv4.ErrExpired):
		p.status, p.code = http.StatusForbidden, "AccessDenied"
	case errors.Is(err, errToken):
		p.status, p.code = http.StatusForbidden, "InvalidClientTokenId"
		p.message = "The keys are not this gateway's. Get new keys for this resource, and send their session token with each request."
	case errors.Is(err, errExpired):
		p.status, p.code = http.StatusForbidden, "ExpiredToken"
	case errors.Is(err, errLength):
		p.status, p.code = http.StatusLengthRequired, "MissingContentLength"
	case errors.Is(err, errSlow):
		p.code = "RequestTimeout" // which SDKs send again
	case errors.Is(err, errRoom):
		p.status, p.code = http.StatusServiceUnavailable, "SlowDown"
	case errors.Is(err, errKeyring):
		return unavailable("The gateway cannot check keys now. Try again in a minute.")
	}
	return p
}

// problem is problemOf, and logs what the gateway has failed at itself.
func (x *exchange) problem(err error) *problem {
	if errors.Is(err, errKeyring) {
		x.h.log().Error("aws: keys cannot be checked", "err", err)
	}
	return problemOf(err)
}

// denied is that of an operation that the chain refuses.
func denied(v *proxy.Verdict) *problem {
	p := &problem{http.StatusForbidden, "AccessDenied", relay.Sentence(v.Message())}
	if v.Cause == proxy.CauseInternal {
		p.status, p.code = http.StatusServiceUnavailable, "ServiceUnavailable"
	}
	if v.Remedy != "" && !strings.Contains(p.message, v.Remedy) {
		p.message += " " + relay.Sentence(v.Remedy)
	}
	return p
}

// waits is that of an operation that waits for an approval: no code of success, since SDKs would take it for one.
func waits(p *proxy.Pending) *problem {
	a := &problem{http.StatusForbidden, "AccessDenied", "This waits for an approval."}
	if p != nil {
		if p.Message != "" {
			a.message = relay.Sentence(p.Message)
		}
		if p.Link != "" {
			a.message += " It is decided at " + p.Link + " ."
		}
	}
	a.message += " Send the request again when it is approved."
	return a
}

func unavailable(message string) *problem {
	return &problem{http.StatusServiceUnavailable, "ServiceUnavailable", message}
}

// refuse answers with a problem, in the form of the service.
func (x *exchange) refuse(p *problem) {
	var b []byte
	var err error
	message := terminal.Visible(p.message) // clients print it
	h := x.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch f := x.form(); f {
	case formJSON, formREST:
		h.Set("Content-Type", "application/x-amz-json-1.1")
		if f == formREST {
			h.Set("Content-Type", "application/json")
		}
		h.Set("X-Amzn-Errortype", p.code)
		b, err = json.Marshal(map[string]string{"__type": p.code, "code": p.code, "message": message, "Message": message})
	default:
		h.Set("Content-Type", "application/xml")
		type said struct {
			Code, Message string
		}
		var doc any
		switch {
		case x.signed != nil && x.signed.Service == "ec2":
			doc = struct {
				XMLName xml.Name `xml:"Response"`
				Error   said     `xml:"Errors>Error"`
			}{Error: said{p.code, message}}
		case f == formQuery:
			doc = struct {
				XMLName xml.Name `xml:"ErrorResponse"`
				Error   said     `xml:"Error"`
			}{Error: said{p.code, message}}
		default:
			doc = struct {
				XMLName xml.Name `xml:"Error"`
				said
			}{said: said{p.code, message}}
		}
		if b, err = xml.Marshal(doc); err == nil {
			b = append([]byte(xml.Header), b...)
		}
	}
	if err != nil {
		x.h.log().Error("aws: an answer", "err", err)
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	x.w.WriteHeader(p.status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(b) // the client is gone when this fails
	}
}

// form is that of the service that the request says that it is for.
func (x *exchange) form() form {
	if x.signed == nil {
		return formUnknown
	}
	if s := services[x.signed.Service]; s != nil {
		return s.form
	}
	return formUnknown
}
