package aws

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// asked is one thing that an exchange does, or the exchange itself, which is decided about.
type asked struct {
	*exchange
	op *proxy.Request
}

// parts are what the exchange does besides, each once, and itself as the last one.
func (x *exchange) parts() []relay.Exchange {
	own := part{x.call.method, x.call.action, x.call.path}
	seen := map[part]bool{own: true}
	list := make([]relay.Exchange, 0, len(x.call.further)+1)
	for _, p := range x.call.further {
		if !seen[p] {
			seen[p] = true
			list = append(list, asked{x, x.call.request(p, "for="+own.action+" "+own.path, nil)})
		}
	}
	return append(list, asked{x, x.op})
}

func (x asked) Op() proxy.Op { return x.op }

func (x asked) Key() string { return x.op.Action + " " + x.op.Host + x.op.Path + "?" + x.op.Query }

func (x asked) Buffer(limit int64) error {
	return x.read.Buffer(x.visit.Session().Context(), x.w, x.r, limit)
}

func (x asked) Print() [sha256.Size]byte {
	body := sha256.Sum256(x.read.Bytes())
	t := x.call.target
	parts := []string{x.call.method, x.op.Method, x.op.Action, x.op.Host, x.op.Path, x.op.Query, string(body[:]), t.Encoded(), sigv4.EncodedQuery(t.Query)}
	for _, name := range slices.Sorted(maps.Keys(x.r.Header)) { // all that is sent on, also where the address has said it
		if lower := strings.ToLower(name); x.sends(name) && !slices.Contains(perRequest, lower) {
			parts = append(parts, lower, strings.Join(x.r.Header[name], ","))
		}
	}
	return relay.Print(parts...)
}

// perRequest are headers that may be others each time a request is sent, and change nothing of what it asks for.
var perRequest = []string{
	"accept", "accept-encoding", "user-agent", "date", "amz-sdk-request", "amz-sdk-invocation-id", "x-amz-content-sha256", "x-amz-user-agent",
}

func (x asked) Run(op proxy.Op, v *proxy.Verdict) {
	x.exchange.op, _ = op.(*proxy.Request) // it was this one's, or that of one like it
	x.run(v)
}

func (x asked) Denied(v *proxy.Verdict) { x.refuse(denied(v)) }

func (x asked) Waits(p *proxy.Pending) { x.refuse(waits(p)) }

func (x asked) TooLong(err error) {
	x.refuse(&problem{http.StatusForbidden, "AccessDenied", relay.Sentence("this request needs an approval, and its body cannot wait for it: " + err.Error())})
}
