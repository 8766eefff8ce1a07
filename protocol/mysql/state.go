package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// state is how the server reads what the session sends, as far as it is known.
type state struct {
	sure    bool // the rest is certain
	ansi    bool // double quotes delimit names
	foreign bool // the client's character set is not plain, or the server reads another language
}

// stateSQL asks for it.
const stateSQL = "SELECT @@sql_mode, @@character_set_client"

// ask asks the server at the beginning of a session, before anybody else does.
func (t *state) ask(_ context.Context, s *session) error {
	if s.settings.ReadOnly {
		if _, err := s.upstream.query("SET SESSION TRANSACTION READ ONLY", 0); err != nil {
			return fmt.Errorf("making the session read only: %w", err)
		}
	}
	rows, err := s.upstream.query(stateSQL, 1)
	if err != nil {
		return err
	}
	return t.take(rows)
}

// look asks the server in the middle of a session.
func (t *state) look(u *up) error {
	rows, err := u.look(stateSQL, 1)
	if err != nil {
		return err
	}
	return t.take(rows)
}

var errState = errors.New("the server does not say how it reads statements")

func (t *state) take(rows [][]string) error {
	if len(rows) != 1 || len(rows[0]) != 2 {
		return errState
	}
	*t = state{sure: true, foreign: !plainCharset(rows[0][1])}
	for mode := range strings.SplitSeq(strings.ToUpper(rows[0][0]), ",") {
		switch mode {
		case "ANSI_QUOTES":
			t.ansi = true
		case "ORACLE", "MSSQL", "POSTGRESQL", "DB2", "MAXDB": // each with ANSI_QUOTES; ORACLE is another language
			t.ansi = true
			t.foreign = t.foreign || mode == "ORACLE"
		}
	}
	return nil
}

// landed notes what a command has changed that was sent.
func (t *state) landed(a *answer) {
	st := &a.statement
	switch {
	case a.resets:
		t.sure = false
	case st.Facts == nil || st.Kind != proxy.KindStatement:
	case st.Facts.Effects.Has(proxy.EffectUnknown | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute):
		t.sure = false
	default:
		for i := range st.Facts.Settings {
			if reads(st.Facts.Settings[i].Name) {
				t.sure = false
			}
		}
	}
}

// reads reports whether a setting decides how the server reads what it is sent.
func reads(name string) bool {
	switch name {
	case "sql_mode", "names", "character_set_client", "charset", "character_set", "":
		return true
	}
	return false
}

// charsetOf reports whether a setting is of a character set of the client's.
func ofCharset(name string) bool {
	return name == "names" || strings.HasPrefix(name, "character_set") || name == "charset"
}

// verdict returns why the session's settings do not let a statement run; empty when they do.
func (u *up) verdict(f *proxy.Facts) (reason, remedy string) {
	for i := range f.Settings {
		if s := &f.Settings[i]; ofCharset(s.Name) && s.Value != "" && !plainCharset(s.Value) {
			return "the character set " + s.Value + " is not taken, since a backslash, a quote or a digit may be part of its characters", "Use utf8mb4"
		}
	}
	if !u.settings.ReadOnly {
		return "", ""
	}
	const hidden = proxy.EffectPrepare | proxy.EffectExecute
	text := f.Normalised
	if f.Effects.Has(hidden) && !f.Effects.Has(proxy.EffectRead) || strings.Contains(text, "read write") || strings.Contains(text, "read_only") && f.Effects.Has(proxy.EffectSet) {
		return "this session is read only, and this may make it write", ""
	}
	return "", ""
}

// look asks the server something in the client's session, and returns at most limit rows. The
// client gets nothing of it.
func (u *up) look(text string, limit int) ([][]string, error) {
	a := &answer{phase: phaseHeader, seq: 1, look: &look{limit: limit}}
	last := u.last
	if err := u.owe(a, nil, append([]byte{byte(wire.Query)}, text...)); err != nil {
		return nil, err
	}
	u.last = last
	u.presence.begin()
	_, over := u.turn.wait()
	u.presence.end()
	if over {
		return nil, errQuit
	}
	return a.look.rows, a.look.err
}

// query asks the server something on a connection that serves no client yet.
func (u *upstream) query(text string, limit int) ([][]string, error) {
	talk := &wire.Conversation{Conn: u.conn}
	if err := talk.Write(append([]byte{byte(wire.Query)}, text...)); err != nil {
		return nil, err
	}
	read := func() ([]byte, error) {
		b, err := talk.Read(maxControl)
		switch {
		case err != nil:
			return nil, ofServer(err)
		case len(b) == 0:
			return nil, fmt.Errorf("%w: the server sent an empty packet", wire.ErrProtocol)
		case b[0] == wire.ErrHeader:
			return nil, newServerError(b)
		}
		return b, nil
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	if b[0] == wire.OKHeader {
		return nil, nil
	}
	n, size := wire.Length(b)
	if size != len(b) || n > maxColumns {
		return nil, unexpected(b[0])
	}
	if !u.agreed.Has(wire.DeprecateEOF) {
		n++
	}
	for range n {
		if _, err := read(); err != nil {
			return nil, err
		}
	}
	l := look{limit: limit}
	for {
		b, err := read()
		if err != nil {
			return nil, err
		}
		if wire.IsEnd(b[0], len(b), u.agreed) {
			return l.rows, l.err
		}
		if err := l.row(b); err != nil {
			return nil, err
		}
	}
}
