package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// copyFilter passes the rows of a COPY to the client through a Flow. The bytes
// may be cut anywhere; rows are put together first.
type copyFilter struct {
	open   bool // between CopyOutResponse and CopyDone
	active bool // somebody wants the rows
	flow   *proxy.Flow
	format copyFormat
	header bool // the next record is a line of names
	held   []byte
	row    proxy.Row
	values [][]byte

	columns  int
	encoding string // that the server has reported for the client
}

// copyFormat cuts a COPY's bytes into records, and records into values. See
// https://www.postgresql.org/docs/current/sql-copy.html, "File Formats".
type copyFormat interface {
	// next returns the length of the first whole record in b, 0 when there is none
	// yet. A record that holds no row, such as a trailer, is not one. What it returns
	// is valid for decode and encode of that record, as long as b is.
	next(b []byte) (n int, row bool, err error)
	// decode appends the values of a record to dst; nil is NULL. They are valid
	// until the next call.
	decode(dst [][]byte, record []byte) ([][]byte, error)
	// encode appends the record of values.
	encode(dst []byte, values [][]byte) []byte
}

// copyOut handles CopyOutResponse.
func (d *down) copyOut(e *entry, body []byte, total int) error {
	isBinary, columns, err := wire.ParseCopyResponse(body)
	if err != nil {
		return err
	}
	c := &d.copied
	c.open, c.active, c.held = true, false, c.held[:0]
	if e.filtered && e.op != nil {
		if err := d.filterCopy(e, isBinary, columns); err != nil {
			return d.withhold(total, err)
		}
	}
	return d.show(e, total)
}

func (d *down) filterCopy(e *entry, isBinary bool, columns int) error {
	c := &d.copied
	facts := copyFacts(e.op)
	shape := &proxy.Shape{Kind: proxy.ShapeCopy, Copy: facts, Columns: make([]proxy.ShapeColumn, columns)}
	for i := range shape.Columns {
		shape.Columns[i].Binary = isBinary
		if facts != nil && len(facts.Columns) == columns {
			shape.Columns[i].Name = facts.Columns[i].Name
		}
	}
	flow, err := d.session.session.Flow(e.op, shape)
	if err != nil {
		return err
	}
	if flow.HasBytes() {
		return errors.New("a filter asked for rows as bytes, which this protocol does not have")
	}
	if !flow.HasRow() {
		return nil
	}
	c.flow, c.active, c.header, c.columns = flow, true, false, columns
	if !isBinary && (e.newEncoding || !c.separable(facts)) {
		return errCopyEncoding
	}
	switch {
	case isBinary:
		c.format = &binaryCopy{columns: columns}
	case facts == nil:
		return errors.New("the format of this COPY is not understood, so it cannot be filtered")
	case facts.Format == "csv":
		c.format, c.header = newCSV(facts), facts.Header
	case facts.Format == "text" || facts.Format == "":
		c.format, c.header = newTextCopy(facts), facts.Header
	default:
		return fmt.Errorf("the COPY format %q is not understood, so it cannot be filtered", facts.Format)
	}
	return nil
}

var errCopyEncoding = errors.New("the gateway cannot separate rows in this encoding, so this COPY cannot be filtered; set client_encoding to UTF8 first")

// separable reports whether the rows' encoding is one in which no part of a
// character looks like a delimiter or a backslash.
func (c *copyFilter) separable(f *proxy.CopyFacts) bool {
	name := c.encoding
	if f != nil && f.Encoding != "" {
		name = f.Encoding
	}
	name = strings.ToUpper(name)
	for _, safe := range []string{"UTF8", "UTF-8", "UNICODE", "SQL_ASCII"} {
		if name == safe {
			return true
		}
	}
	for _, family := range []string{"LATIN", "ISO_8859_", "WIN", "KOI8", "EUC_"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

// changesEncoding reports whether a statement may change the session's encoding.
// The server reports that at the end of the batch only.
func changesEncoding(f *proxy.Facts) bool {
	const opaque = proxy.EffectDo | proxy.EffectCall | proxy.EffectUnknown | proxy.EffectExecute
	if f.Effects.Has(opaque) {
		return true
	}
	if !f.Effects.Has(proxy.EffectSet) {
		return false
	}
	for _, s := range f.Settings {
		switch strings.ToLower(s.Name) {
		case "client_encoding", "names", "all", "":
			return true
		}
	}
	return len(f.Settings) == 0
}

// copyFacts are the facts of the one COPY in op, nil when it is not certain
// which.
func copyFacts(op proxy.Op) *proxy.CopyFacts {
	st, ok := op.(*proxy.Statement)
	if !ok || st.Facts == nil || st.Facts.Statements != 1 || st.Facts.Unknown != "" {
		return nil
	}
	return st.Facts.Copy
}

// copyData passes the rows in one CopyData message on.
func (d *down) copyData(e *entry, body []byte, total int) error {
	c := &d.copied
	if !c.open && !e.copying {
		return unexpected(wire.CopyData)
	}
	if d.muted {
		d.drop(total)
		return nil
	}
	whole, rest := len(c.held) == 0, body
	if !whole {
		if len(c.held)+len(body) > d.settings.maxData() {
			return d.withhold(total, fmt.Errorf("%w: a row of this COPY", wire.ErrTooLarge))
		}
		c.held = append(c.held, body...)
		rest = c.held
	}
	dropped := false
	for len(rest) > 0 {
		n, isRow, err := c.format.next(rest)
		if err != nil {
			return d.withhold(unless(dropped, total), err)
		}
		if n == 0 {
			break
		}
		changed, err := c.filter(rest[:n], isRow)
		if err != nil {
			return d.withhold(unless(dropped, total), err)
		}
		if whole && n == len(body) && !changed {
			// The common case: one message is one row, and passes as it is.
			d.done.BytesOut += uint64(total)
			d.pass(total)
			return nil
		}
		if !dropped {
			d.drop(total)
			dropped = true
		}
		if changed {
			d.appendRow()
		} else {
			d.out = wire.AppendMessage(d.out, wire.CopyData, rest[:n])
		}
		rest = rest[n:]
	}
	if !dropped {
		d.drop(total)
	}
	if len(rest) > d.settings.maxData() {
		return d.withhold(0, fmt.Errorf("%w: a row of this COPY", wire.ErrTooLarge))
	}
	c.held = append(c.held[:0], rest...)
	return d.replaced(0)
}

func unless(done bool, n int) int {
	if done {
		return 0
	}
	return n
}

// appendRow appends the filtered row to what goes to the client.
func (d *down) appendRow() {
	at := len(d.out)
	d.out = append(d.out, wire.CopyData, 0, 0, 0, 0)
	d.out = d.copied.format.encode(d.out, d.copied.values)
	binary.BigEndian.PutUint32(d.out[at+1:], uint32(len(d.out)-at-1))
	d.done.BytesOut += uint64(len(d.out) - at)
}

// filter passes one record through the flow and reports whether it changed.
func (c *copyFilter) filter(record []byte, isRow bool) (changed bool, err error) {
	if !isRow {
		return false, nil
	}
	if c.header {
		c.header = false
		return false, nil
	}
	if c.values, err = c.format.decode(c.values[:0], record); err != nil {
		return false, err
	}
	if len(c.values) != c.columns {
		return false, fmt.Errorf("%w: a row of %d values, where %d were announced", errCopy, len(c.values), c.columns)
	}
	c.row.Reset(c.values)
	if err := c.flow.Row(&c.row); err != nil {
		return false, err
	}
	return c.row.Changed(), nil
}

// copyDone handles the end of a COPY's data.
func (d *down) copyDone(e *entry, total int) error {
	c := &d.copied
	if !c.open && !e.copying {
		return unexpected(wire.CopyDone)
	}
	if c.active && len(c.held) > 0 && !d.muted {
		return d.withhold(total, errors.New("the COPY ended in the middle of a row"))
	}
	c.open, c.active, c.held = false, false, nil
	return d.show(e, total)
}

var errCopy = fmt.Errorf("%w: COPY data", wire.ErrProtocol)

// textCopy is the text format: one line per row, values separated by a delimiter,
// special bytes escaped by backslashes.
type textCopy struct {
	delimiter byte
	null      []byte
	scratch   []byte
}

func newTextCopy(f *proxy.CopyFacts) *textCopy {
	t := &textCopy{delimiter: '\t', null: []byte(`\N`)}
	if f.Delimiter != 0 {
		t.delimiter = f.Delimiter
	}
	if f.NullSet || f.Null != "" {
		t.null = []byte(f.Null)
	}
	return t
}

func (t *textCopy) next(b []byte) (int, bool, error) {
	return bytes.IndexByte(b, '\n') + 1, true, nil
}

func (t *textCopy) decode(dst [][]byte, record []byte) ([][]byte, error) {
	line := bytes.TrimSuffix(record, []byte{'\n'})
	if cap(t.scratch) < len(line) {
		t.scratch = make([]byte, 0, len(line))
	}
	t.scratch = t.scratch[:0]
	for {
		end := t.fieldEnd(line)
		if raw := line[:end]; bytes.Equal(raw, t.null) {
			dst = append(dst, nil)
		} else {
			dst = append(dst, t.unescape(raw))
		}
		if end == len(line) {
			return dst, nil
		}
		line = line[end+1:]
	}
}

func (t *textCopy) fieldEnd(line []byte) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case t.delimiter:
			return i
		case '\\':
			i++
		}
	}
	return len(line)
}

// unescape returns raw's value. It needs no more room than scratch has, since a
// value is never longer than its escaped form.
func (t *textCopy) unescape(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	at := len(t.scratch)
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		if b == '\\' && i+1 < len(raw) {
			i++
			switch b = raw[i]; b {
			case 'b':
				b = '\b'
			case 'f':
				b = '\f'
			case 'n':
				b = '\n'
			case 'r':
				b = '\r'
			case 't':
				b = '\t'
			case 'v':
				b = '\v'
			case 'x':
				b, i = codeOf(raw, i, i+1, 2, 16)
			case '0', '1', '2', '3', '4', '5', '6', '7':
				b, i = codeOf(raw, i, i, 3, 8)
			}
		}
		t.scratch = append(t.scratch, b)
	}
	return t.scratch[at:len(t.scratch):len(t.scratch)]
}

// codeOf reads at most n digits of a byte from raw[from:], which follow the backslash
// before raw[i], and returns where its last digit is. Without a digit it is raw[i].
func codeOf(raw []byte, i, from, n, base int) (byte, int) {
	to := from
	for to < len(raw) && to-from < n {
		if _, err := strconv.ParseUint(string(raw[to:to+1]), base, 8); err != nil {
			break
		}
		to++
	}
	v, err := strconv.ParseUint(string(raw[from:to]), base, 16)
	if err != nil {
		return raw[i], i
	}
	return byte(v), to - 1
}

func (t *textCopy) encode(dst []byte, values [][]byte) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, t.delimiter)
		}
		if v == nil {
			dst = append(dst, t.null...)
			continue
		}
		for _, b := range v {
			switch b {
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			case '\v':
				dst = append(dst, '\\', 'v')
			case '\\', t.delimiter:
				dst = append(dst, '\\', b)
			default:
				dst = append(dst, b)
			}
		}
	}
	return append(dst, '\n')
}

// csvCopy is the CSV format.
type csvCopy struct {
	delimiter, quote, escape byte
	null                     []byte
	scratch                  []byte
}

func newCSV(f *proxy.CopyFacts) *csvCopy {
	c := &csvCopy{delimiter: ',', quote: '"', null: []byte(f.Null)}
	if f.Delimiter != 0 {
		c.delimiter = f.Delimiter
	}
	if f.Quote != 0 {
		c.quote = f.Quote
	}
	c.escape = c.quote
	if f.Escape != 0 {
		c.escape = f.Escape
	}
	return c
}

func (c *csvCopy) next(b []byte) (int, bool, error) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch x := b[i]; {
		case quoted && x == c.escape && c.escape != c.quote:
			i++
		case x == c.quote:
			quoted = !quoted // a doubled quote toggles twice
		case x == '\n' && !quoted:
			return i + 1, true, nil
		}
	}
	return 0, false, nil
}

func (c *csvCopy) decode(dst [][]byte, record []byte) ([][]byte, error) {
	line := bytes.TrimSuffix(record, []byte{'\n'})
	if cap(c.scratch) < len(line) {
		c.scratch = make([]byte, 0, len(line))
	}
	c.scratch = c.scratch[:0]
	for i := 0; ; i++ {
		at, quoted, was := len(c.scratch), false, false
		for ; i < len(line); i++ {
			x := line[i]
			if quoted {
				if x == c.escape && i+1 < len(line) && (line[i+1] == c.quote || line[i+1] == c.escape) {
					i++
					c.scratch = append(c.scratch, line[i])
				} else if x == c.quote {
					quoted = false
				} else {
					c.scratch = append(c.scratch, x)
				}
				continue
			}
			if x == c.delimiter {
				break
			}
			if x == c.quote {
				quoted, was = true, true
				continue
			}
			c.scratch = append(c.scratch, x)
		}
		if quoted {
			return dst, errCopy
		}
		v := c.scratch[at:len(c.scratch):len(c.scratch)]
		if !was && bytes.Equal(v, c.null) {
			v = nil
		}
		dst = append(dst, v)
		if i >= len(line) {
			return dst, nil
		}
	}
}

func (c *csvCopy) encode(dst []byte, values [][]byte) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, c.delimiter)
		}
		if v == nil {
			dst = append(dst, c.null...)
			continue
		}
		if !bytes.Equal(v, c.null) && !bytes.Equal(v, []byte(`\.`)) &&
			bytes.IndexByte(v, c.delimiter) < 0 && bytes.IndexByte(v, c.quote) < 0 && !bytes.ContainsAny(v, "\n\r") {
			dst = append(dst, v...)
			continue
		}
		dst = append(dst, c.quote)
		for _, b := range v {
			if b == c.quote || b == c.escape {
				dst = append(dst, c.escape)
			}
			dst = append(dst, b)
		}
		dst = append(dst, c.quote)
	}
	return append(dst, '\n')
}

// binaryCopy is the binary format: a header, then tuples of counted values, then
// a trailer. The header belongs to the record that follows it: servers send them
// in one message, and clients rely on that.
type binaryCopy struct {
	columns int
	begun   bool
	header  []byte // of the record that next has found last
}

var copySignature = []byte("PGCOPY\n\xff\r\n\x00")

func (f *binaryCopy) next(b []byte) (int, bool, error) {
	f.header = nil
	if f.begun {
		return f.tuple(b)
	}
	const fixed = 11 + 4 + 4
	if len(b) < fixed {
		return 0, false, nil
	}
	extension := binary.BigEndian.Uint32(b[15:])
	if !bytes.HasPrefix(b, copySignature) || extension > maxMessage {
		return 0, false, errCopy
	}
	begin := fixed + int(extension)
	if len(b) < begin {
		return 0, false, nil
	}
	n, row, err := f.tuple(b[begin:])
	if n == 0 || err != nil {
		return 0, false, err
	}
	f.begun, f.header = true, b[:begin:begin]
	return begin + n, row, nil
}

func (f *binaryCopy) tuple(b []byte) (int, bool, error) {
	if len(b) < 2 {
		return 0, false, nil
	}
	count := int(int16(binary.BigEndian.Uint16(b)))
	if count == -1 {
		return 2, false, nil
	}
	if count != f.columns {
		return 0, false, errCopy
	}
	at := 2
	for range count {
		if len(b) < at+4 {
			return 0, false, nil
		}
		n := int(int32(binary.BigEndian.Uint32(b[at:])))
		at += 4
		if n < -1 {
			return 0, false, errCopy
		}
		if n > 0 {
			if n > len(b)-at {
				return 0, false, nil
			}
			at += n
		}
	}
	return at, true, nil
}

func (f *binaryCopy) decode(dst [][]byte, record []byte) ([][]byte, error) {
	return wire.RowValues(record[len(f.header):], dst)
}

func (f *binaryCopy) encode(dst []byte, values [][]byte) []byte {
	dst = append(dst, f.header...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values)))
	for _, v := range values {
		if v == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
		dst = append(dst, v...)
	}
	return dst
}
