package mcp

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/protocol"
)

type queryInput struct {
	Resource string `json:"resource"`
	Account  string `json:"account"`
	Database string `json:"database"`
	SQL      string `json:"sql"`
	MaxRows  int    `json:"max_rows"`
}

// result is what one statement has returned.
type result struct {
	Columns []column    `json:"columns,omitempty"`
	Rows    [][]*string `json:"rows,omitempty"`
	Tag     string      `json:"tag,omitempty"`
	Total   int64       `json:"total"`         // rows that there were
	Cut     bool        `json:"cut,omitempty"` // not all of them, or not all of a value
}

type column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
	Key     bool   `json:"key,omitempty"`
}

// Bounds of a statement, besides those that the configuration gives.
const (
	// maxPassed is how many rows, and maxPassedBytes how many bytes of them, a statement may return besides what the agent is given.
	// One that returns more is cancelled.
	maxPassed      = 100_000
	maxPassedBytes = 64 << 20
	maxCell        = 8 << 10
	maxResults     = 20
	maxColumns     = 200
	maxNotices     = 8
	cancelTime     = 15 * time.Second
)

// query runs a text at a database.
func query(ctx context.Context, a *control.AIAgent, in queryInput) (*answer, error) {
	if in.Resource == "" || strings.TrimSpace(in.SQL) == "" {
		return nil, errors.New("query: resource and sql are needed")
	}
	if in.MaxRows < 0 {
		return nil, errors.New("max_rows: want a number of at least 1")
	}
	v := &visit{agent: a, resource: in.Resource}
	w, err := v.database(ctx, in.Account, in.Database)
	if err != nil {
		return v.over(err), nil
	}
	defer w.Close()
	c := &collected{rows: a.Portal.AIAgents.Rows, room: a.Portal.AIAgents.Bytes, cancel: w.cancel}
	if in.MaxRows > 0 {
		c.rows = min(c.rows, in.MaxRows)
	}
	stop := context.AfterFunc(ctx, c.giveUp)
	defer stop()
	err = w.Run(context.WithoutCancel(ctx), in.SQL, c)
	c.wait()
	switch {
	case err != nil:
		return v.over(err), nil
	case c.failed != nil:
		out := v.decided()
		if out == nil {
			return v.wrong(c), nil
		}
		if out.Status == statusDenied { // in the words, and with the code, that every client is told: those of the server where it says more
			out.Why, out.Code, out.Untrusted = plain(c.failed.Message), c.failed.Code, true
		}
		return out, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return &answer{Status: statusOK, Untrusted: true, Session: v.session, Results: c.results, Masked: v.masked, Notices: w.said()}, nil
}

// wrong is the answer to a statement that failed at the server. Its message may hold values of rows.
func (v *visit) wrong(c *collected) *answer {
	why := c.failed.Message
	if c.much {
		why = "the statement returned more than 100,000 rows or 64 MiB, and was cancelled; what it had changed was taken back. Use LIMIT, or aggregate"
	}
	for _, more := range []string{c.failed.Detail, c.failed.Hint} {
		if more != "" {
			why += "\n" + more
		}
	}
	return &answer{Status: statusFailed, Untrusted: true, Code: c.failed.Code, Why: plain(why), Session: v.session}
}

// work is a session at a database.
type work struct {
	protocol.Database
	mu      sync.Mutex
	notices []string
}

// database begins a session at a database.
func (v *visit) database(ctx context.Context, account, name string) (*work, error) {
	clients := v.agent.Portal.Clients
	if clients == nil || len(name) > 256 || !control.ValidTarget(v.resource, account) {
		return nil, errNoResource
	}
	w := &work{}
	d, err := clients.Database(ctx, v.client(), v.target(account), protocol.DatabaseRequest{Database: name, Note: w.note})
	if err != nil {
		return nil, err
	}
	w.Database = d
	return w, nil
}

func (w *work) note(n protocol.ServerNotice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.notices) < maxNotices {
		w.notices = append(w.notices, plain(n.Message))
	}
}

func (w *work) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notices
}

// cancel has the server give up what runs. Where it does not, the session is ended.
func (w *work) cancel() {
	ctx, stop := context.WithTimeout(context.Background(), cancelTime)
	defer stop()
	if err := w.Cancel(ctx); err != nil {
		w.Close()
	}
}

// collected takes what comes of a text, and keeps as much of it as the agent is given.
type collected struct {
	rows, room int // that may still be kept
	passed     int64
	bytes      int64
	much       bool
	results    []result
	failed     *protocol.ServerNotice

	cancel func()
	once   sync.Once
	gone   sync.WaitGroup
}

// giveUp has the statement cancelled, once.
func (c *collected) giveUp() { c.once.Do(func() { c.gone.Go(c.cancel) }) }

// wait waits for what giveUp has begun.
func (c *collected) wait() {
	c.once.Do(func() {})
	c.gone.Wait()
}

// last is the result that is being read; nil: there are more than the agent is given.
func (c *collected) last() *result {
	if len(c.results) == 0 || len(c.results) > maxResults {
		return nil
	}
	return &c.results[len(c.results)-1]
}

// Begin implements [protocol.Results].
func (c *collected) Begin(columns []protocol.ResultColumn) error {
	if len(c.results) > maxResults {
		return nil
	}
	r := result{Cut: len(columns) > maxColumns}
	for _, col := range columns[:min(len(columns), maxColumns)] {
		name := plain(col.Name)
		if c.room -= len(name); c.room < 0 {
			r.Cut = true
			break
		}
		r.Columns = append(r.Columns, column{Name: name, Type: col.Type})
	}
	c.results = append(c.results, r)
	return nil
}

// Row implements [protocol.Results].
func (c *collected) Row(cells []protocol.Cell) error {
	c.passed++
	for _, cell := range cells {
		c.bytes += cell.Size
	}
	if c.passed > maxPassed || c.bytes > maxPassedBytes {
		c.much = true
		c.giveUp()
	}
	r := c.last()
	if r == nil {
		return nil
	}
	r.Total++
	if c.rows <= 0 || c.room <= 0 {
		r.Cut = true
		return nil
	}
	row := make([]*string, min(len(cells), len(r.Columns)))
	for i := range row {
		cell := &cells[i]
		if cell.Text == nil {
			continue
		}
		n := min(len(cell.Text), maxCell, max(c.room, 0))
		text := strings.ToValidUTF8(string(cell.Text[:n]), "�")
		r.Cut = r.Cut || int64(n) < cell.Size
		c.room -= n
		row[i] = &text
	}
	c.room -= 2 * len(cells) // the quotes
	c.rows--
	r.Rows = append(r.Rows, row)
	return nil
}

// End implements [protocol.Results].
func (c *collected) End(tag string) error {
	if r := c.last(); r != nil && r.Tag == "" {
		r.Tag = tag
		return nil
	}
	if len(c.results) <= maxResults {
		c.results = append(c.results, result{Tag: tag})
	}
	return nil
}

// Fail implements [protocol.Results].
func (c *collected) Fail(n protocol.ServerNotice) error {
	c.failed = &n
	return nil
}
