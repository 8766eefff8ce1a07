package mcp

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// bridged runs a bridge to a server, and returns what writes to it, what reads its answers, and what waits for its end.
func bridged(t *testing.T, h http.HandlerFunc, failed func(error)) (in io.WriteCloser, out *bufio.Scanner, wait func() error) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	b := &Bridge{URL: s.URL, Token: proxy.NewSecret("spg_x"), HTTP: s.Client(), Failed: failed}
	r, in := io.Pipe()
	answers, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := b.Run(t.Context(), r, w)
		w.Close()
		ended <- err
	}()
	t.Cleanup(func() { in.Close(); answers.Close() })
	return in, bufio.NewScanner(answers), func() error { return <-ended }
}

func send(t *testing.T, in io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(in, text+"\n")
	require.NoError(t, err)
}

func TestBridgeAddresses(t *testing.T) {
	var mu sync.Mutex
	var seen []http.Header
	in, out, wait := bridged(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Clone())
		mu.Unlock()
		b, _ := io.ReadAll(r.Body) // of this test
		var m message
		_ = json.Unmarshal(b, &m)
		switch m.Method {
		case "initialize":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\"}}")
		case "notifications/initialized":
			w.WriteHeader(http.StatusAccepted)
		case "tools/list":
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":{"code":"unauthenticated","message":"only the token of an AI agent counts here"}}`)
		}
	}, nil)
	for _, c := range []struct{ text, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`},
		{`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, `{"jsonrpc":"2.0","id":2,"result":{}}`},
		{`junk`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a line of the input is not a message of the protocol"}}`},
		{
			`{"jsonrpc":"2.0","id":"3","method":"tools/call","params":{"name":"query","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
			`{"jsonrpc":"2.0","id":"3","error":{"code":-32603,"message":"the gateway refuses: only the token of an AI agent counts here"}}`,
		},
	} {
		send(t, in, c.text)
		require.True(t, out.Scan())
		require.Equal(t, c.want, out.Text())
	}
	in.Close()
	require.NoError(t, wait())
	for _, h := range seen {
		require.Equal(t, "Bearer spg_x", h.Get("Authorization"))
	}
	require.Equal(t, []string{"", "2025-11-25", "2026-07-28"}, []string{seen[0].Get("Mcp-Protocol-Version"), seen[1].Get("Mcp-Protocol-Version"), seen[2].Get("Mcp-Protocol-Version")})
	require.Equal(t, []string{"tools/call", "query"}, []string{seen[2].Get("Mcp-Method"), seen[2].Get("Mcp-Name")})
}

// TestBridgeCancels: a call that the agent cancels ends at the gateway, and has no answer; what goes wrong is told besides the agent.
func TestBridgeCancels(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	in, out, wait := bridged(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // of this test
		if strings.Contains(string(b), "slow") {
			close(begun)
			<-r.Context().Done()
			close(ended)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}, func(err error) { require.ErrorContains(t, err, `"404 Not Found"`) })
	send(t, in, `{"jsonrpc":"2.0","id":7,"method":"slow"}`)
	<-begun
	send(t, in, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	<-ended
	send(t, in, `{"jsonrpc":"2.0","id":8,"method":"other"}`)
	require.True(t, out.Scan())
	require.Contains(t, out.Text(), `"id":8`)
	require.Contains(t, out.Text(), "mcp enabled there?")
	go io.WriteString(in, `{"jsonrpc":"2.0","id":9,"method":"`+strings.Repeat("x", maxBody)+`"}`) // nobody reads all of it
	require.ErrorContains(t, wait(), "more than 128 KiB")
}
