package mcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Bridge serves an agent's program by its standard input and output, a message a line, and hands its messages to a gateway's MCP server.
// It understands no more of them than it needs to address them.
type Bridge struct {
	URL   string       // of the server
	Token proxy.Secret // of the agent
	// HTTP is what it asks by; it follows no redirects.
	HTTP *http.Client
	// Failed is told what goes wrong, besides the agent. Nil: nobody is.
	Failed func(error)

	writing sync.Mutex
	out     io.Writer

	mu      sync.Mutex
	version string // that was agreed on, by revisions that agree on one
	running map[string]context.CancelFunc
}

const maxAnswer = 16 << 20 // bytes of an answer

// message is what the bridge reads of one.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			Version string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// Run hands messages over until in has ended and all are answered. Its error is one of reading or writing.
func (b *Bridge) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.out, b.running = out, make(map[string]context.CancelFunc)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxBody)
	var calls sync.WaitGroup
	room := make(chan struct{}, maxOfPerson)
	failed := make(chan error, 1)
	for lines.Scan() {
		text := bytes.Clone(bytes.TrimSpace(lines.Bytes()))
		if len(text) == 0 {
			continue
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			if err := b.refuse(json.RawMessage("null"), -32700, "a line of the input is not a message of the protocol"); err != nil {
				return err
			}
			continue
		}
		if m.Method == "notifications/cancelled" {
			b.cancel(m.Params.RequestID) // the server has no state: its call ends with the request
			continue
		}
		hand := func(ctx context.Context) {
			if err := b.hand(ctx, &m, text); err != nil {
				select {
				case failed <- err:
					cancel()
				default:
				}
			}
		}
		if m.Method == "initialize" || len(m.ID) == 0 { // what follows builds upon it
			hand(ctx)
			continue
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		call, end := context.WithCancel(ctx)
		b.begin(m.ID, end)
		calls.Go(func() {
			defer func() { <-room }()
			defer b.cancel(m.ID)
			hand(call)
		})
	}
	calls.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("a message of the input has more than %d KiB", maxBody>>10)
	} else if err != nil {
		return fmt.Errorf("reading the input: %w", err)
	}
	return nil
}

func (b *Bridge) begin(id json.RawMessage, end context.CancelFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[string(id)] = end
}

// cancel ends the request of an id, if it runs.
func (b *Bridge) cancel(id json.RawMessage) {
	b.mu.Lock()
	end := b.running[string(id)]
	delete(b.running, string(id))
	b.mu.Unlock()
	if end != nil {
		end()
	}
}

// hand hands one message over, and writes the answers. Its error is one of writing.
func (b *Bridge) hand(ctx context.Context, m *message, text []byte) error {
	resp, err := b.post(ctx, m, text)
	if err == nil {
		defer resp.Body.Close()
		err = b.answers(m, resp)
	}
	var writing *writeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &writing):
		return err
	case ctx.Err() != nil: // the agent waits for no answer any more
		return nil
	}
	if b.Failed != nil {
		b.Failed(err)
	}
	if len(m.ID) == 0 {
		return nil
	}
	return b.refuse(m.ID, -32603, err.Error())
}

func (b *Bridge) post(ctx context.Context, m *message, text []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+b.Token.Reveal())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	b.mu.Lock()
	version := b.version
	b.mu.Unlock()
	if own := m.Params.Meta.Version; own != "" {
		version = own
		r.Header.Set("Mcp-Method", m.Method)
		if m.Method == "tools/call" {
			r.Header.Set("Mcp-Name", m.Params.Name)
		}
	}
	if version != "" && m.Method != "initialize" {
		r.Header.Set("Mcp-Protocol-Version", version)
	}
	resp, err := b.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the gateway cannot be asked: %w", err)
	}
	return resp, nil
}

// answers writes what the gateway has answered.
func (b *Bridge) answers(m *message, resp *http.Response) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		events := bufio.NewScanner(io.LimitReader(resp.Body, maxAnswer))
		events.Buffer(nil, maxAnswer)
		for events.Scan() {
			if data, ok := bytes.CutPrefix(events.Bytes(), []byte("data:")); ok && len(bytes.TrimSpace(data)) > 0 {
				if err := b.write(data); err != nil {
					return err
				}
			}
		}
		return events.Err()
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the gateway's answer: %w", err)
	case len(body) > maxAnswer:
		return fmt.Errorf("the gateway's answer has more than %d MiB", maxAnswer>>20)
	case len(bytes.TrimSpace(body)) == 0 && resp.StatusCode < 300: // to a notification
		return nil
	}
	var got struct {
		Version string          `json:"jsonrpc"`
		Error   json.RawMessage `json:"error"`
		Result  struct {
			Version string `json:"protocolVersion"`
		} `json:"result"`
	}
	if json.Unmarshal(body, &got) == nil && got.Version != "" {
		if m.Method == "initialize" {
			b.mu.Lock()
			b.version = got.Result.Version
			b.mu.Unlock()
		}
		return b.write(body)
	}
	return refusal(resp.Status, got.Error)
}

// refusal is why the gateway did not take a message.
func refusal(status string, answer json.RawMessage) error {
	var told struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &told) != nil || told.Message == "" {
		return fmt.Errorf("the gateway answers %q, and says no more: is the address that of a gateway, and mcp enabled there?", status)
	}
	return fmt.Errorf("the gateway refuses: %s", plain(told.Message))
}

// refuse answers a message that was not handed over.
func (b *Bridge) refuse(id json.RawMessage, code int, why string) error {
	type failure struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	text, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   failure         `json:"error"`
	}{"2.0", id, failure{code, why}})
	if err != nil {
		return err
	}
	return b.write(text)
}

// writeError says that the agent's program reads no more.
type writeError struct{ error }

// write writes one message as a line.
func (b *Bridge) write(text []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return errors.New("the gateway's answer is not a message of the protocol")
	}
	line.WriteByte('\n')
	b.writing.Lock()
	defer b.writing.Unlock()
	if _, err := b.out.Write(line.Bytes()); err != nil {
		return &writeError{fmt.Errorf("writing an answer: %w", err)}
	}
	return nil
}
