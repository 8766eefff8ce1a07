package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/spreadsheet"
	"github.com/sallyport/sallyport/protocol"
)

// What a run may save: the statement is given up when its file is full.
const (
	maxSavedRows  = 1_000_000
	maxSavedBytes = 256 << 20
)

// fileForm writes rows as the text of a file.
type fileForm interface {
	begin(dst []byte, columns []string) []byte
	row(dst []byte, values []*string) []byte
	end(dst []byte) []byte
}

// saves are the kinds of files that rows are saved in.
var saves = map[string]func() fileForm{
	"csv":  func() fileForm { return newCSV() },
	"json": func() fileForm { return new(jsonFile) },
}

// savedFile says at the end what a file has.
type savedFile struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Short is how many values are there in part only, with their size.
	Short int64 `json:"short,omitempty"`
}

// saver saves the rows of a run into files, one for each result that has columns.
type saver struct {
	*workbench
	kind  string
	form  fileForm
	open  bool // a file is
	files int
	bytes int64 // of the run's files
	from  int64 // where the file begins among them
	short int64 // values of the file that are there in part
	full  bool
	sum   hash.Hash
}

func (d *workbench) saver(kind string) *saver { return &saver{workbench: d, kind: kind} }

// record records that rows are saved. The statement is in the session's own record.
func (s *saver) record(action, what string) error {
	s.mu.Lock()
	id := ""
	if s.session != nil {
		id = s.session.ID
	}
	s.mu.Unlock()
	reason := "rows as " + s.kind
	if what != "" {
		reason += ": " + what
	}
	a := audit.Action{Type: audit.AdminExport, Action: action, By: s.who, Session: id, Reason: reason}
	if s.target.Remote != nil {
		a.Remote = s.target.Remote.String()
	}
	if err := s.handler.record(a); err != nil {
		return fmt.Errorf("rows are not saved since that could not be recorded: %w", err)
	}
	return nil
}

// begin begins a file, and returns its name.
func (s *saver) begin(frame []byte, columns []protocol.ResultColumn) (name string, out []byte) {
	s.files++
	s.form, s.open, s.from, s.short, s.sum = saves[s.kind](), true, s.bytes, 0, sha256.New()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return savedName(s.target.Resource, s.kind, s.files, time.Now()), s.took(frame, s.form.begin(frame, names))
}

// took counts what was appended to a frame.
func (s *saver) took(before, after []byte) []byte {
	added := after[len(before):]
	s.sum.Write(added)
	s.bytes += int64(len(added))
	return after
}

// row implements [rowForm].
func (s *saver) row(frame []byte, cells []protocol.Cell) []byte {
	values := make([]*string, len(cells))
	for i, c := range cells {
		if c.Text == nil {
			continue
		}
		text := strings.ToValidUTF8(string(c.Text), "\ufffd")
		if c.Size > int64(len(c.Text)) {
			s.short++
			text += fmt.Sprintf("… (the first %d of %d bytes)", len(c.Text), c.Size)
		}
		values[i] = &text
	}
	return s.took(frame, s.form.row(frame, values))
}

// frame implements [rowForm].
func (*saver) frame(frame []byte) ([]byte, websocket.MessageType) {
	return frame, websocket.MessageBinary
}

// end ends the file, where one is open, and records what it has.
func (s *saver) end(frame []byte, rows int64) ([]byte, *savedFile, error) {
	if !s.open {
		return frame, nil, nil
	}
	s.open = false
	frame = s.took(frame, s.form.end(frame))
	out := &savedFile{Bytes: s.bytes - s.from, SHA256: hex.EncodeToString(s.sum.Sum(nil)), Short: s.short}
	return frame, out, s.record("finish", fmt.Sprintf("%d rows, %d bytes, SHA-256 %s", rows, out.Bytes, out.SHA256))
}

// fill ends the rows of a run whose file is full.
func (r *results) fill() {
	r.saver.full, r.cut = true, true
	r.update(func() { r.dropped = true; r.cancelling++ })
	go r.giveUp() // rest waits for it
}

// savedName is the name of a file with rows of a resource, of letters, digits and signs that no system takes for anything
// else.
func savedName(resource, kind string, number int, now time.Time) string {
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r < 0x80 && (r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			return r
		}
		return '-'
	}, resource)
	name = "rows-" + name[:min(len(name), 64)] + now.UTC().Format("-20060102-150405")
	if number > 1 {
		name += "-" + strconv.Itoa(number)
	}
	return name + "." + kind
}

// csvFile is a file of CSV, in which nothing is a formula; NULL is empty.
type csvFile struct {
	buf bytes.Buffer
	out *spreadsheet.Writer
}

func newCSV() *csvFile {
	f := new(csvFile)
	f.out = spreadsheet.NewValueWriter(&f.buf)
	return f
}

func (f *csvFile) begin(dst []byte, columns []string) []byte { return f.line(dst, columns) }

func (f *csvFile) row(dst []byte, values []*string) []byte {
	cells := make([]string, len(values))
	for i, v := range values {
		if v != nil {
			cells[i] = *v
		}
	}
	return f.line(dst, cells)
}

func (f *csvFile) line(dst []byte, cells []string) []byte {
	f.buf.Reset()
	_ = f.out.Write(cells) // a buffer takes everything
	_ = f.out.End()
	return append(dst, f.buf.Bytes()...)
}

func (*csvFile) end(dst []byte) []byte { return dst }

// jsonFile is an array of objects, whose values are texts or null.
type jsonFile struct {
	names [][]byte // with their colons
	rows  bool
}

func (f *jsonFile) begin(dst []byte, columns []string) []byte {
	seen := make(map[string]bool)
	for _, name := range columns {
		key := name
		for n := 2; seen[key]; n++ { // two columns may have one name
			key = name + "_" + strconv.Itoa(n)
		}
		seen[key] = true
		f.names = append(f.names, append(appendText(nil, []byte(key)), ':'))
	}
	return append(dst, '[')
}

func (f *jsonFile) row(dst []byte, values []*string) []byte {
	if f.rows {
		dst = append(dst, ',')
	}
	f.rows = true
	dst = append(dst, "\n{"...)
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, f.names[i]...)
		if v == nil {
			dst = append(dst, "null"...)
		} else {
			dst = appendText(dst, []byte(*v))
		}
	}
	return append(dst, '}')
}

func (*jsonFile) end(dst []byte) []byte { return append(dst, "\n]\n"...) }
