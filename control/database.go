package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// databaseFrame is what a browser sends for a database.
type databaseFrame struct {
	// Type is open at first; then run, more, cancel, ack, relations, columns, ping or close.
	Type string `json:"type"`

	Account  string `json:"account"`  // open
	Database string `json:"database"` // open

	Run  uint64 `json:"run"`  // run: a number greater than those before; more, cancel: which
	Text string `json:"text"` // run
	// Rows is how many rows may come before the server waits for more: run, more. 0 of a run is 1000.
	Rows int64 `json:"rows"`
	// Save has the rows of a run sent as the text of a file: csv or json. Then Rows does not count.
	Save string `json:"save"`
	// Received is how many bytes of frames with rows the browser has worked off: ack.
	Received int64 `json:"received"`

	Schema   string `json:"schema"`   // columns
	Relation string `json:"relation"` // columns
	At       int64  `json:"at"`       // ping: anything
}

// rowsWindow is how many bytes of frames with rows are sent before the browser has acknowledged
// them; then the server waits.
const rowsWindow = 2 << 20

// rowsFrame is how many bytes of rows a frame holds, about.
const rowsFrame = 32 << 10

// defaultRows is how many rows come where the browser does not say.
const defaultRows = 1000

// maxRelations is how many relations the tree shows.
const maxRelations = 20_000

// What the server sends for a database, besides the frames of clients.go.

// databaseOpened is the answer to open.
type databaseOpened struct {
	Type   string `json:"type"` // opened
	Window int    `json:"window"`
}

// resultBegin begins a result.
type resultBegin struct {
	Type    string         `json:"type"` // result
	Run     uint64         `json:"run"`
	Columns []resultColumn `json:"columns"`
	// File is the name for the file, where rows are saved. Its text comes in binary frames.
	File string `json:"file,omitempty"`
}

type resultColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// resultEnd is the end of a statement.
type resultEnd struct {
	Type string `json:"type"` // end
	Run  uint64 `json:"run"`
	Tag  string `json:"tag,omitempty"`
	Rows int64  `json:"rows"`          // that were sent
	Cut  bool   `json:"cut,omitempty"` // there were more, which nobody wanted
	*savedFile
}

// resultPaused says that as many rows have come as were asked for, and that there are more.
type resultPaused struct {
	Type string `json:"type"` // paused
	Run  uint64 `json:"run"`
	Rows int64  `json:"rows"`
}

// runNotice is an error or a notice, of a run where it has one.
type runNotice struct {
	Type     string `json:"type"` // failed, notice
	Run      uint64 `json:"run,omitempty"`
	Severity string `json:"severity"`
	Code     string `json:"code,omitempty"`
	Message  string `json:"message"`
	Detail   string `json:"detail,omitempty"`
	Hint     string `json:"hint,omitempty"`
	Position int    `json:"position,omitempty"`
}

func noticeFrame(typ string, run uint64, n protocol.ServerNotice) runNotice {
	return runNotice{typ, run, n.Severity, n.Code, n.Message, n.Detail, n.Hint, n.Position}
}

// runHeld says that a statement of a run waits for an approval.
type runHeld struct {
	socketHeld
	Run uint64 `json:"run"`
}

// runMasked says that values of a run were masked.
type runMasked struct {
	Type  string `json:"type"` // masked
	Run   uint64 `json:"run"`
	Class string `json:"class"`
	By    string `json:"by,omitempty"`
	Rule  string `json:"rule,omitempty"`
	Count uint64 `json:"count"`
}

// runColumns says which columns of a run are masked, and why, as far as that is known before.
type runColumns struct {
	Type    string         `json:"type"` // masking
	Run     uint64         `json:"run"`
	Columns []MaskedColumn `json:"columns"`
}

// runDone is the end of a run.
type runDone struct {
	Type        string                    `json:"type"` // done
	Run         uint64                    `json:"run"`
	Transaction protocol.TransactionState `json:"transaction"`
	Micros      int64                     `json:"us"`
}

// relationList answers relations.
type relationList struct {
	Type      string     `json:"type"` // relations
	Relations []relation `json:"relations"`
	More      bool       `json:"more,omitempty"` // there are more than are shown
	Error     string     `json:"error,omitempty"`
}

type relation struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

// columnList answers columns.
type columnList struct {
	Type     string           `json:"type"` // columns
	Schema   string           `json:"schema"`
	Relation string           `json:"relation"`
	Columns  []relationColumn `json:"columns"`
	Error    string           `json:"error,omitempty"`
}

type relationColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
	Key     bool   `json:"key,omitempty"`
}

// serveDatabase serves a session at a database over a WebSocket.
func (h *Handler) serveDatabase(c *call) error {
	clients, err := c.clients()
	if err != nil {
		return err
	}
	s, err := h.upgrade(c, maxTextFrame)
	if err != nil {
		return err
	}
	s.end(h.databaseSocket(c, clients, s))
	return nil
}

// workbench is a session at a database that a browser works with.
type workbench struct {
	attended
	handler  *Handler
	who      *proxy.Identity
	target   ClientTarget
	name     string // of the database
	database protocol.Database

	// Below mu:
	run     uint64 // the last one
	running bool
	working bool  // the database is used, for a run or otherwise
	granted int64 // rows of the run that may be sent
	dropped bool  // the run is cancelled: its rows are not sent any more
	// cancelling are how many requests to cancel the run are under way: the next one is not theirs.
	cancelling int
	sent       int64 // bytes of frames with rows
	acked      int64
}

// last is the number of the last run, 0 when there was none.
func (d *workbench) last() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run
}

// client is who the session is opened for.
func (d *workbench) client() *proxy.Client {
	return &proxy.Client{
		Identity: d.who, Via: via,
		Opened: func(s *proxy.Session) {
			first := false
			d.update(func() {
				if first = d.session == nil; first {
					d.session = s
				}
			})
			if !first { // by which what runs in the first one is cancelled
				return
			}
			d.aside(sessionFrame(s))
			context.AfterFunc(s.Context(), d.killed)
		},
		Held: func(_ proxy.Op, p *proxy.Pending) { d.aside(runHeld{heldFrame(p), d.last()}) },
		Noted: func(_ proxy.Op, n *proxy.Note) {
			if n.Kind == proxy.NoteMasked {
				d.aside(runMasked{"masked", d.last(), n.Type, n.By, n.Rule, n.Count})
			}
		},
	}
}

func (h *Handler) databaseSocket(c *call, clients Clients, s *socket) (err error) {
	var f databaseFrame
	if err := s.first(&f); err != nil {
		return err
	}
	if f.Type != "open" || f.Account != "" && !validName(f.Account) || len(f.Database) > 256 {
		return wrongFrame("the first frame is %.20q, want open, with the name of an account or without", f.Type)
	}
	d := &workbench{
		handler: h, who: c.who, target: ClientTarget{c.PathValue("name"), f.Account, remote(c.Request)}, name: f.Database,
	}
	d.attend(s, 256)
	if err := s.send(databaseOpened{"opened", rowsWindow}); err != nil {
		return err
	}
	frames := make(chan databaseFrame)
	go d.read(frames) // also while the session opens: it may wait for an approval
	if err := d.open(clients, frames); err != nil {
		return err
	}
	var work sync.WaitGroup
	defer func() {
		s.cancel(err)
		d.database.Close()
		work.Wait()
	}()
	d.tell(runDone{Type: "done", Transaction: d.database.Transaction()})
	for {
		select {
		case f := <-frames:
			if err := d.do(f, &work); err != nil {
				return err
			}
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// read reads what the browser sends, until the socket ends.
func (d *workbench) read(frames chan<- databaseFrame) {
	for {
		var f databaseFrame
		data, err := d.receive(&f)
		if err == nil && data != nil {
			err = wrongFrame("a binary frame is not known here")
		}
		if err != nil {
			d.cancel(err)
			return
		}
		select {
		case frames <- f:
		case <-d.ctx.Done():
			return
		}
	}
}

// open opens the session. What could not be opened is told, and an error.
func (d *workbench) open(clients Clients, frames <-chan databaseFrame) error {
	opened := make(chan error, 1)
	go func() {
		db, err := clients.Database(d.ctx, d.client(), d.target, protocol.DatabaseRequest{
			Database: d.name, Note: func(n protocol.ServerNotice) { d.tell(noticeFrame("notice", d.last(), n)) },
		})
		d.database = db
		opened <- err
	}()
	for {
		select {
		case err := <-opened:
			if err != nil {
				d.failed(0, d.handler.openError(err))
				return errClosed
			}
			return nil
		case f := <-frames:
			switch f.Type {
			case "ping":
				d.tell(terminalPong{"pong", f.At})
			case "close":
				d.cancel(errClosed) // the opening ends with the socket
			default:
				d.cancel(wrongFrame("%.20q comes before the session is open", f.Type))
			}
		case <-d.ctx.Done():
			if err := <-opened; err == nil {
				d.database.Close()
			}
			return context.Cause(d.ctx)
		}
	}
}

// do does what a frame asks for.
func (d *workbench) do(f databaseFrame, work *sync.WaitGroup) error {
	switch f.Type {
	case "run":
		d.mu.Lock()
		busy, last := d.working, d.run
		d.mu.Unlock()
		if f.Save != "" && saves[f.Save] == nil {
			return wrongFrame("run %d: save: got %.20q, want csv or json", f.Run, f.Save)
		}
		if busy || f.Run <= last || f.Rows < 0 {
			return wrongFrame("run %d: something runs, or its number is not greater than those before", f.Run)
		}
		d.used()
		d.update(func() {
			d.run, d.granted, d.running, d.working, d.dropped = f.Run, cmp.Or(f.Rows, defaultRows), true, true, false
		})
		work.Go(func() { d.explain(f) })
		work.Go(func() { d.execute(f) })
	case "more":
		d.update(func() {
			if d.running && d.run == f.Run && f.Rows > 0 {
				d.granted += min(f.Rows, 1<<40)
			}
		})
	case "cancel":
		runs := false
		d.update(func() {
			if runs = d.running && d.run == f.Run; runs {
				d.dropped = true
				d.cancelling++
			}
		})
		if !runs {
			return nil // it has ended
		}
		work.Go(d.giveUp)
	case "ack":
		d.mu.Lock()
		wrong := f.Received < d.acked || f.Received > d.sent
		d.mu.Unlock()
		if wrong {
			return wrongFrame("ack: got %d bytes, want no more than were sent", f.Received)
		}
		d.update(func() { d.acked = f.Received })
	case "relations", "columns":
		d.mu.Lock()
		busy := d.working
		d.working = true
		d.mu.Unlock()
		if busy {
			return wrongFrame("%s: something runs", f.Type)
		}
		work.Go(func() { d.look(f) })
	case "ping":
		d.tell(terminalPong{"pong", f.At})
	case "close":
		return errClosed
	default:
		return wrongFrame("a frame %.20q is not known here", f.Type)
	}
	return nil
}

// errClosed says that the browser wants no more.
var errClosed = errors.New("the browser has closed the session")

// giveUp has the server give up what runs, for one of those who are counted in cancelling.
func (d *workbench) giveUp() {
	defer d.update(func() { d.cancelling-- })
	if err := d.database.Cancel(context.WithoutCancel(d.ctx)); err != nil {
		d.handler.log().Debug("control: cancelling a statement", "err", err)
	}
}

// execute runs a text.
func (d *workbench) execute(f databaseFrame) {
	begun := time.Now()
	r := &results{workbench: d, number: f.Run, form: &shownRows{f.Run}}
	if f.Save != "" {
		r.saver = d.saver(f.Save)
		r.form = r.saver
		if err := r.saver.record("begin", ""); err != nil {
			d.failed(f.Run, err)
			return
		}
		d.update(func() { d.granted = maxSavedRows })
	}
	err := d.database.Run(context.WithoutCancel(d.ctx), f.Text, r)
	if err == nil {
		err = r.flush()
	}
	if err != nil {
		d.failed(f.Run, err)
		return
	}
	d.rest()
	if d.ended() {
		d.killed()
		return
	}
	d.tell(runDone{"done", f.Run, d.database.Transaction(), time.Since(begun).Microseconds()})
}

// rest ends a run, once no request to cancel it is under way.
func (d *workbench) rest() {
	for {
		d.mu.Lock()
		changed, still := d.changed, d.cancelling > 0
		if !still {
			d.running, d.working = false, false
		}
		d.mu.Unlock()
		if !still {
			return
		}
		<-changed
	}
}

// failed tells what a run has failed with, where the server says it, and why the session has ended.
func (d *workbench) failed(run uint64, err error) {
	var notice *protocol.ServerNotice
	if errors.As(err, &notice) {
		d.over(err, noticeFrame("failed", run, *notice))
		return
	}
	d.over(err)
}

// killed tells that the session has ended while nothing runs. Otherwise that is told with what runs.
func (d *workbench) killed() {
	d.mu.Lock()
	working := d.working
	d.mu.Unlock()
	if !working {
		d.over(nil)
	}
}

func (d *workbench) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session != nil && d.session.Context().Err() != nil
}

// explain tells which columns are masked, and why, as far as that is known without running the text.
func (d *workbench) explain(f databaseFrame) {
	resources := d.handler.portal().Resources
	if resources == nil {
		return
	}
	a, err := resources.Can(d.ctx, d.who, Question{Resource: d.target.Resource, Account: d.target.Account, Database: d.name, Text: f.Text})
	if err != nil {
		d.handler.log().Debug("control: which columns of a statement are masked is not known", "err", err)
		return
	}
	if len(a.Columns) > 0 {
		d.tell(runColumns{"masking", f.Run, a.Columns})
	}
}

// look answers what the tree shows.
func (d *workbench) look(f databaseFrame) {
	ctx := context.WithoutCancel(d.ctx)
	var answer any
	var err error
	if f.Type == "relations" {
		var list []protocol.Relation
		list, err = d.database.Relations(ctx, maxRelations+1)
		out := relationList{Type: "relations", Relations: make([]relation, 0, len(list)), More: len(list) > maxRelations, Error: said(err)}
		for _, r := range list[:min(len(list), maxRelations)] {
			out.Relations = append(out.Relations, relation(r))
		}
		answer = out
	} else {
		var list []protocol.RelationColumn
		list, err = d.database.Columns(ctx, f.Schema, f.Relation)
		out := columnList{Type: "columns", Schema: f.Schema, Relation: f.Relation, Columns: make([]relationColumn, 0, len(list)), Error: said(err)}
		for _, c := range list {
			out.Columns = append(out.Columns, relationColumn(c))
		}
		answer = out
	}
	var refused *protocol.ServerNotice
	if err != nil && (!errors.As(err, &refused) || refused.Severity == "FATAL") {
		d.failed(0, err)
		return
	}
	d.update(func() { d.working = false })
	d.tell(answer)
	if d.ended() {
		d.killed()
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// results sends what comes of a text.
type results struct {
	*workbench
	number uint64
	form   rowForm
	saver  *saver // nil: the rows are shown
	all    int64  // rows of the run
	rows   int64  // of the result
	frame  []byte
	begun  time.Time // of the frame
	paused bool
	cut    bool // rows of the result were not sent
}

// rowForm is how rows are written.
type rowForm interface {
	// row appends a row to those that a frame has.
	row(frame []byte, cells []protocol.Cell) []byte
	// frame returns a frame with its end, and its type.
	frame(frame []byte) ([]byte, websocket.MessageType)
}

// Begin implements [protocol.Results].
func (r *results) Begin(columns []protocol.ResultColumn) error {
	r.rows, r.cut = 0, false
	out := resultBegin{Type: "result", Run: r.number, Columns: make([]resultColumn, len(columns))}
	for i, c := range columns {
		out.Columns[i] = resultColumn(c)
	}
	if r.saver != nil {
		out.File, r.frame = r.saver.begin(r.frame, columns)
	}
	return r.send(out)
}

// Row implements [protocol.Results].
func (r *results) Row(cells []protocol.Cell) error {
	if send, err := r.wait(); err != nil || !send {
		return err
	}
	if len(r.frame) == 0 {
		r.begun = time.Now()
	}
	r.frame = r.form.row(r.frame, cells)
	r.rows++
	r.all++
	if r.all > 1 && len(r.frame) < rowsFrame && (r.all%64 != 0 || time.Since(r.begun) < rowsDelay) {
		return nil
	}
	return r.flush()
}

// shownRows are the rows of a run as they are shown.
type shownRows struct{ run uint64 }

// row implements [rowForm]. A value is a string, null, or, where it is more than is sent, an array with its beginning and its
// size.
func (s *shownRows) row(frame []byte, cells []protocol.Cell) []byte {
	if len(frame) == 0 {
		frame = append(strconv.AppendUint(append(frame, `{"type":"rows","run":`...), s.run, 10), `,"rows":[[`...)
	} else {
		frame = append(frame, `,[`...)
	}
	for i, c := range cells {
		if i > 0 {
			frame = append(frame, ',')
		}
		switch {
		case c.Text == nil:
			frame = append(frame, "null"...)
		case c.Size > int64(len(c.Text)):
			frame = append(appendText(append(frame, '['), c.Text), ',')
			frame = append(strconv.AppendInt(frame, c.Size, 10), ']')
		default:
			frame = appendText(frame, c.Text)
		}
	}
	return append(frame, ']')
}

// frame implements [rowForm].
func (*shownRows) frame(frame []byte) ([]byte, websocket.MessageType) {
	return append(frame, "]}"...), websocket.MessageText
}

// rowsDelay is for how long rows wait for others that are sent with them, about.
const rowsDelay = 50 * time.Millisecond

// appendText appends a value as a JSON string.
func appendText(dst, text []byte) []byte {
	for _, b := range text {
		if b < ' ' || b >= 0x7f || b == '"' || b == '\\' {
			quoted, err := json.Marshal(string(text))
			if err != nil {
				return append(dst, "null"...) // a string has JSON
			}
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}

// flush sends the rows that wait for it.
func (r *results) flush() error {
	if len(r.frame) == 0 {
		return nil
	}
	b, typ := r.form.frame(r.frame)
	r.frame = b[:0]
	r.update(func() { r.sent += int64(len(b)) })
	return r.write(typ, b)
}

// wait waits until the browser has room for another row, and wants it. It is false when nobody
// wants what still comes.
func (r *results) wait() (bool, error) {
	for {
		r.mu.Lock()
		changed, dropped := r.changed, r.dropped
		full, enough := r.sent-r.acked >= rowsWindow, r.all >= r.granted || r.saver != nil && r.saver.bytes >= maxSavedBytes
		r.mu.Unlock()
		if dropped {
			if r.saver == nil || !r.saver.full { // a file that is full is sent
				r.frame = r.frame[:0]
			}
			r.cut = true
			return false, nil
		}
		if !full && !enough {
			r.paused = false
			return true, nil
		}
		if r.saver != nil && enough {
			r.fill()
			return false, nil
		}
		if err := r.flush(); err != nil {
			return false, err
		}
		if enough && !r.paused {
			r.paused = true
			if err := r.send(resultPaused{"paused", r.number, r.all}); err != nil {
				return false, err
			}
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return false, context.Cause(r.ctx)
		}
	}
}

// End implements [protocol.Results].
func (r *results) End(tag string) error {
	out := resultEnd{Type: "end", Run: r.number, Tag: tag, Rows: r.rows, Cut: r.cut}
	if r.saver != nil && (!r.cut || r.saver.full) { // what somebody has given up has no end
		var err error
		if r.frame, out.savedFile, err = r.saver.end(r.frame, r.rows); err != nil {
			return err
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.cut = false
	return r.send(out)
}

// Fail implements [protocol.Results].
func (r *results) Fail(n protocol.ServerNotice) error {
	if r.saver != nil && r.saver.full && r.saver.open && n.Severity == "ERROR" {
		return r.End("") // it was given up since the file was full
	}
	if err := r.flush(); err != nil {
		return err
	}
	return r.send(noticeFrame("failed", r.number, n))
}
