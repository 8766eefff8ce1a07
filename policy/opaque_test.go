package policy

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestOpaque: a connection into which nobody looks needs a rule that allows connections as such, and that needs to see nothing. Connections
// through a resource, as SSH has them, are judged as before.
func TestOpaque(t *testing.T) {
	dev := []string{"dev"}
	rule := func(allow ...string) Rule { return Rule{Name: "dev", Groups: dev, Allow: allow} }
	with := func(o Obligations, allow ...string) []Rule {
		r := rule(allow...)
		r.Obligations = o
		return []Rule{r}
	}
	everything := rule("all")
	relations := rule("all")
	relations.Relations = []string{"public.orders"}
	for name, c := range map[string]struct {
		rules []Rule
		says  string // empty: it is allowed
		other bool   // a connection through a resource is allowed
	}{
		"forward":                    {[]Rule{rule("connect", "forward")}, "", true},
		"everything":                 {[]Rule{everything}, "", true},
		"read and write":             {[]Rule{rule("connect", "read", "write")}, "forward", false},
		"every other right":          {[]Rule{rule("connect", "read", "write", "ddl", "admin", "exec", "shell", "file-read", "file-write", "upgrade", "tool")}, "forward", false},
		"it is denied elsewhere":     {[]Rule{everything, {Name: "no", Groups: dev, Deny: []string{"forward"}}}, "forward", false},
		"of relations":               {[]Rule{relations}, "forward", false},
		"of relations, and of more":  {[]Rule{relations, rule("connect", "forward")}, "", true},
		"for masking":                {with(Obligations{Masking: []string{"staff"}}, "connect", "forward"), "masking", true},
		"for a recording":            {with(Obligations{Recording: RecordingDigest}, "connect", "forward"), "a recording", true},
		"for a budget of rows":       {with(Obligations{Rows: 10}, "connect", "forward"), "a budget", true},
		"for a budget of statements": {with(Obligations{Statements: 10}, "all"), "a budget", true},
		"another rule asks for it":   {[]Rule{everything, {Name: "masked", Groups: []string{"*"}, Obligations: Obligations{Masking: []string{"staff"}}}}, "masking", true},
		"for a time":                 {with(Obligations{Session: time.Hour}, "connect", "forward"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(c.rules, CarriesMasking, CarriesRecording)
			require.NoError(t, err)
			s, op, err := (&proxy.Gateway{Interceptors: []proxy.Interceptor{p}}).Open(context.Background(), proxy.OpenRequest{
				Identity: &proxy.Identity{Subject: "alice", Groups: dev, Method: proxy.MethodOIDC, AuthTime: time.Now()},
				Target:   orders, Remote: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4},
			})
			require.NoError(t, err)
			defer s.Close(nil)
			s.Done(op, &proxy.Outcome{})
			forward := func(opaque bool) *proxy.Verdict {
				return run(s, &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: "cache", Port: 6379, Opaque: opaque})
			}
			v := forward(true)
			require.Equal(t, c.says != "", v.Refuses(), "%s", v.Message())
			if c.says != "" {
				require.Contains(t, v.Message()+v.Remedy, c.says)
			}
			other := forward(false)
			require.Equal(t, c.other, !other.Refuses(), "%s", other.Message())
		})
	}
}
