package mysql

import (
	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// tellError shows an error to the interceptors, which may change its text.
func (d *down) tellError(op proxy.Op, e *wire.Error) error {
	if !d.wantsTexts() || d.cur != nil && d.cur.look != nil {
		return nil
	}
	state := stateGeneral
	if e.State != nil {
		state = string(e.State)
	}
	m := &proxy.Message{
		Kind: proxy.MessageError, Code: state, Severe: op == nil,
		Fields: []proxy.MessageField{{Name: "message", Value: e.Message}},
	}
	if err := d.session.session.Tell(op, m); err != nil {
		return err
	}
	e.Message = m.Fields[0].Value
	return nil
}

// showOK passes an OK on, after the interceptors have seen what it says in words.
func (d *down) showOK(a *answer, ok *wire.OK, total int) error {
	if a.look != nil || d.muted || !d.wantsTexts() || len(ok.Info) == 0 && len(ok.State) == 0 {
		d.pass(total)
		return nil
	}
	changed := false
	if len(ok.Info) > 0 {
		info, err := d.tellStatus(a.op, []byte("info"), ok.Info)
		if err != nil {
			return err
		}
		if string(info) != string(ok.Info) {
			ok.Info, changed = info, true
		}
	}
	var state []byte
	err := wire.EachChange(ok.State, func(c wire.Change) error {
		switch c.Kind {
		case wire.ChangeVariable:
			value, err := d.tellStatus(a.op, c.Name, c.Data)
			if err != nil {
				return err
			}
			changed = changed || string(value) != string(c.Data)
			state = wire.AppendVariable(state, c.Name, value)
		case wire.ChangeSchema, wire.ChangeAny, wire.ChangeState:
			state = append(state, c.Raw...)
		default: // a transaction's statements and the like
			changed = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !changed {
		d.pass(total)
		return nil
	}
	if ok.State = state; len(state) == 0 {
		ok.Status &^= wire.StatusStateChanged
	}
	return d.replace(total, wire.AppendOK(nil, ok, d.agreed))
}

func (d *down) tellStatus(op proxy.Op, name, value []byte) ([]byte, error) {
	m := &proxy.Message{Kind: proxy.MessageStatus, Code: "00000", Fields: []proxy.MessageField{{Name: "name", Value: name}, {Name: "value", Value: value}}}
	if err := d.session.session.Tell(op, m); err != nil {
		return nil, err
	}
	return m.Fields[1].Value, nil
}
