package postgres

import (
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// fieldNames are the names of the fields of errors and notices; see
// https://www.postgresql.org/docs/current/protocol-error-fields.html. The
// others keep their letter.
var fieldNames = map[byte]string{
	'M': "message", 'D': "detail", 'H': "hint", 'W': "context", 'q': "query", 's': "schema", 't': "table",
	'c': "column", 'd': "type", 'n': "constraint", 'P': "position", 'p': "internal position", 'F': "file",
	'L': "line", 'R': "routine", 'S': "severity", 'V': "severity", 'C': "code",
}

// texts passes an error or a notice on, after the interceptors have seen it.
func (d *down) texts(typ byte, body []byte, total int, e *entry) error {
	if !d.wantsTexts() {
		d.pass(total)
		return nil
	}
	var err error
	if d.fields, err = wire.ParseFields(body, d.fields[:0]); err != nil {
		return err
	}
	m := &proxy.Message{Kind: proxy.MessageNotice}
	if typ == wire.ErrorResponse {
		m.Kind = proxy.MessageError
	}
	for _, f := range d.fields {
		name := fieldNames[f.Key]
		if name == "" {
			name = string(rune(f.Key))
		}
		if f.Key == 'C' {
			m.Code = string(sqlstate(f.Value))
		}
		if f.Key == 'V' && string(f.Value) != "ERROR" && typ == wire.ErrorResponse {
			m.Severe = true
		}
		m.Fields = append(m.Fields, proxy.MessageField{Name: name, Value: f.Value})
	}
	if err := d.session.session.Tell(d.operation(e), m); err != nil {
		return err
	}
	if !m.Changed() {
		d.pass(total)
		return nil
	}
	for i := range d.fields {
		if f := &d.fields[i]; !fixed(f) {
			f.Value = m.Fields[i].Value
		}
	}
	return d.replace(total, wire.AppendParsedFields(nil, typ, d.fields))
}

// fixed reports whether a field holds a code or a severity, which filters leave as
// it is: clients act on them. Anything else in their place may be any text.
func fixed(f *wire.Field) bool {
	switch f.Key {
	case 'C':
		return isSQLState(f.Value)
	case 'S', 'V':
		return severities[string(f.Value)]
	}
	return false
}

var severities = map[string]bool{
	"ERROR": true, "FATAL": true, "PANIC": true, "WARNING": true, "NOTICE": true, "DEBUG": true, "INFO": true, "LOG": true,
}

// isSQLState reports whether b is five digits or capitals.
func isSQLState(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(b) == 5
}

// sqlstate returns b, or the code of internal errors when b is not one.
func sqlstate(b []byte) []byte {
	if isSQLState(b) {
		return b
	}
	return internalError
}

var internalError = []byte("XX000")

// operation is the operation that a message about e belongs to.
func (d *down) operation(e *entry) proxy.Op {
	if e == nil {
		e = d.owed()
	}
	if e == nil {
		return nil
	}
	return e.op
}

// pairs passes a notification or a reported setting on, after the interceptors
// have seen it.
func (d *down) pairs(typ byte, body []byte, total int) error {
	m := &proxy.Message{Kind: proxy.MessageStatus}
	var pid uint32
	var a, b []byte
	var err error
	if typ == wire.ParameterStatus {
		a, b, err = wire.ParseStatus(body)
	} else {
		m.Kind = proxy.MessageNotification
		pid, a, b, err = wire.ParseNotification(body)
	}
	if err != nil {
		return err
	}
	if typ == wire.ParameterStatus {
		d.session.reported(string(a), string(b))
	}
	if !d.wantsTexts() {
		d.pass(total)
		return nil
	}
	names := [2]string{"name", "value"}
	if typ == wire.NotificationResponse {
		names = [2]string{"channel", "payload"}
	}
	m.Fields = []proxy.MessageField{{Name: names[0], Value: a}, {Name: names[1], Value: b}}
	if err := d.session.session.Tell(nil, m); err != nil {
		return err
	}
	if !m.Changed() {
		d.pass(total)
		return nil
	}
	return d.replace(total, wire.AppendPair(nil, typ, pid, m.Fields[0].Value, m.Fields[1].Value))
}

// functionResult checks that a FunctionCallResponse was waited for.
func (d *down) functionResult() error {
	if e := d.owed(); e == nil || e.expect != expectFunction || e.refusal != nil {
		return unexpected(wire.FunctionCallResponse)
	}
	return nil
}
