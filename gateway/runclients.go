package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/runbook"
)

// viaRunbook is how the clients of runs came, in records.
const viaRunbook = "runbook"

// runClient is who a step's session is opened for, and what became of it.
type runClient struct {
	opened func(session string) // nil: nobody wants to know

	mu   sync.Mutex
	id   string
	step context.Context // of the step that the session works for
}

// during has the session work for the step of ctx.
func (c *runClient) during(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step = ctx
}

// held has the time until an approval is given not count for the step's limit.
func (c *runClient) held(_ proxy.Op, p *proxy.Pending) {
	wait := p.Wait
	p.Wait = func(ctx context.Context) proxy.Verdict {
		c.mu.Lock()
		step := c.step
		c.mu.Unlock()
		defer runbook.OnHold(step)()
		return wait(ctx)
	}
}

func (c *runClient) client(who *proxy.Identity) *proxy.Client {
	return &proxy.Client{Identity: who, Via: viaRunbook, Held: c.held, Opened: func(s *proxy.Session) {
		c.mu.Lock()
		c.id = s.ID
		c.mu.Unlock()
		if c.opened != nil {
			c.opened(s.ID)
		}
	}}
}

// session is the session that was opened; empty: there is none.
func (c *runClient) session() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// fromHere is the address of clients of runs: they are in the gateway's own process.
var fromHere = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

func targetOf(at runbook.Resource) control.ClientTarget {
	return control.ClientTarget{Resource: at.Name, Account: at.Account, Remote: fromHere}
}

// Database implements [runbook.Gate].
func (r runGate) Database(ctx context.Context, who *proxy.Identity, at runbook.Resource) (runbook.Database, error) {
	c := &runClient{step: ctx}
	d, err := clients{r.Gateway}.Database(ctx, c.client(who), targetOf(at), protocol.DatabaseRequest{Note: func(protocol.ServerNotice) {}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", runbook.ErrRefused, err) // nothing has run
	}
	e, ok := d.(protocol.Executor)
	if !ok {
		d.Close()
		return nil, fmt.Errorf("%w: %s binds no values", runbook.ErrRefused, at.Name)
	}
	return &runDatabase{d, e, c}, nil
}

// runDatabase is a session at a database, as a run uses it.
type runDatabase struct {
	protocol.Database
	executor protocol.Executor
	client   *runClient
}

func (d *runDatabase) ID() string { return d.client.session() }

// cancelTime is how long a statement may take to end once it is cancelled.
const cancelTime = 15 * time.Second

// Execute implements [runbook.Database].
func (d *runDatabase) Execute(ctx context.Context, text string, args []runbook.Arg, limit int64, keep int) (runbook.Result, error) {
	d.client.during(ctx)
	c := &collected{limit: limit, keep: keep, cancel: d.cancel}
	if err := context.Cause(ctx); err != nil {
		return c.result, &runbook.StatementError{Message: err.Error()} // it was not sent
	}
	stop := context.AfterFunc(ctx, c.giveUp)
	defer stop()
	list := make([]protocol.Argument, len(args))
	for i, a := range args {
		if !a.Null {
			list[i] = protocol.Argument{Text: []byte(a.Text), Integer: a.Integer}
		}
	}
	err := d.executor.Execute(context.WithoutCancel(ctx), text, list, c)
	c.wait()
	switch {
	case err != nil:
		return c.result, err
	case c.failed != nil:
		return c.result, c.failed
	case limit > 0 && c.result.Rows > limit:
		return c.result, &runbook.StatementError{Message: fmt.Sprintf("the statement returns more than %d rows", limit)}
	}
	return c.result, nil
}

// cancel has the server give up what runs. Where it does not, the session is ended.
func (d *runDatabase) cancel() {
	ctx, stop := context.WithTimeout(context.Background(), cancelTime)
	defer stop()
	if err := d.Cancel(ctx); err != nil {
		d.Close()
	}
}

// collected takes what comes of a statement, and keeps some of it.
type collected struct {
	limit  int64
	keep   int
	kept   int // bytes
	result runbook.Result
	failed *runbook.StatementError

	cancel func()
	once   sync.Once
	gone   sync.WaitGroup
}

const (
	maxKeptCell = 1000
	maxKeptRows = 32 << 10 // bytes
)

// giveUp has the statement cancelled, once.
func (c *collected) giveUp() { c.once.Do(func() { c.gone.Go(c.cancel) }) }

// wait waits for what giveUp has begun: it must not reach the next statement.
func (c *collected) wait() {
	c.once.Do(func() {})
	c.gone.Wait()
}

// Begin implements [protocol.Results].
func (c *collected) Begin(columns []protocol.ResultColumn) error {
	c.result.Columns = nil
	for _, col := range columns {
		c.result.Columns = append(c.result.Columns, col.Name)
	}
	return nil
}

// Row implements [protocol.Results].
func (c *collected) Row(cells []protocol.Cell) error {
	if c.result.Rows++; c.limit > 0 && c.result.Rows > c.limit {
		c.giveUp()
		return nil
	}
	if c.result.Rows == 1 {
		for _, cell := range cells {
			c.result.First = append(c.result.First, runbook.Cell{Text: string(cell.Text), Null: cell.Text == nil, Cut: cell.Size > int64(len(cell.Text))})
		}
	}
	if len(c.result.Kept) >= c.keep || c.kept > maxKeptRows {
		return nil
	}
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = "NULL"
		if cell.Text != nil {
			row[i] = strings.ToValidUTF8(string(cell.Text[:min(len(cell.Text), maxKeptCell)]), "�")
		}
		c.kept += len(row[i])
	}
	c.result.Kept = append(c.result.Kept, row)
	return nil
}

// End implements [protocol.Results].
func (c *collected) End(tag string) error {
	words := strings.Fields(tag)
	if len(words) < 2 {
		return nil
	}
	switch words[0] {
	case "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "REPLACE", "OK":
		if n, err := strconv.ParseInt(words[len(words)-1], 10, 64); err == nil {
			c.result.Affected += n
		}
	}
	return nil
}

// Fail implements [protocol.Results].
func (c *collected) Fail(n protocol.ServerNotice) error {
	c.failed = &runbook.StatementError{Code: n.Code, Message: strings.TrimSpace(n.Message + " " + n.Hint)}
	return nil
}

var errMuch = errors.New("the command prints more than it may: it was left")

// Command implements [runbook.Gate].
func (r runGate) Command(ctx context.Context, who *proxy.Identity, at runbook.Resource, q runbook.Command) (out runbook.CommandResult, err error) {
	c := &runClient{step: ctx}
	s, dial, err := clients{r.Gateway}.reach(c.client(who), targetOf(at))
	if err == nil && s.Clients.Command == nil {
		err = fmt.Errorf("%s runs no commands", at.Name)
	}
	var conn net.Conn
	if err == nil {
		conn, err = dial(ctx)
	}
	if err != nil {
		return out, fmt.Errorf("%w: %w", runbook.ErrRefused, err)
	}
	var printed int64
	out.Status, err = s.Clients.Command(ctx, conn, protocol.CommandRequest{
		User: loginOf(c.client(who), targetOf(at)), Line: q.Line, Input: q.Input, Output: func(b []byte, stderr bool) error {
			if printed += int64(len(b)); q.Limit > 0 && printed > q.Limit {
				return errMuch
			}
			if q.Seen != nil {
				q.Seen(b)
			}
			if stderr {
				out.Stderr = append(out.Stderr, b...)
			} else {
				out.Output = append(out.Output, b...)
			}
			return nil
		},
	})
	if out.Session = c.session(); err != nil && out.Session == "" {
		err = fmt.Errorf("%w: %w", runbook.ErrRefused, err)
	}
	return out, err
}

// Request implements [runbook.Gate].
func (r runGate) Request(ctx context.Context, who *proxy.Identity, at runbook.Resource, q runbook.Request) (out runbook.Response, err error) {
	c := &runClient{opened: q.Opened, step: ctx}
	s, dial, err := clients{r.Gateway}.reach(c.client(who), targetOf(at))
	if err == nil && s.Clients.Request == nil {
		err = fmt.Errorf("%s is not a web application", at.Name)
	}
	var conn net.Conn
	if err == nil {
		conn, err = dial(ctx)
	}
	if err != nil {
		return out, fmt.Errorf("%w: %w", runbook.ErrRefused, err)
	}
	header := make(http.Header, len(q.Header)+1)
	header.Set("User-Agent", "sallyport-runbook")
	for _, h := range q.Header {
		header.Set(h.Name, h.Value)
	}
	got, err := s.Clients.Request(ctx, conn, protocol.Request{
		Resource: at.Name, Account: at.Account, Method: q.Method, Path: q.Path, Query: q.Query, Header: header, Body: q.Body, Limit: q.Limit,
	})
	out.Session = c.session()
	if got != nil {
		out.Status, out.Body, out.Cut = got.Status, got.Body, got.Cut
	}
	var own *protocol.UnansweredError
	switch {
	case err == nil:
	case errors.As(err, &own) && own.Refused:
		err = fmt.Errorf("%w: %w", runbook.ErrRefused, err)
	case own != nil && !own.Asked, own == nil && out.Session == "":
		err = fmt.Errorf("%w: %w", runbook.ErrUnsent, err)
	}
	return out, err
}
