package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// state is how the server reads what the session sends, as far as it is known.
type state struct {
	sure    bool // the rest is certain
	ansi    bool // double quotes delimit names
	foreign bool // the client's character set is not plain, or the server reads another language

	database  string // that is current
	temporary []*proxy.OwnRelation
	variables bool // user variables may hold anything
	locked    bool // tables may be locked by LOCK TABLES
	utf8      bool // texts are sent as UTF-8
	changed   changed
}

// stateSQL asks for it.
const stateSQL = "SELECT @@sql_mode, @@character_set_client, DATABASE()"

// ask asks the server at the beginning of a session, before anybody else does.
func (t *state) ask(_ context.Context, s *session) error {
	if s.settings.ReadOnly {
		if _, err := s.upstream.query("SET SESSION TRANSACTION READ ONLY", 0); err != nil {
			return fmt.Errorf("making the session read only: %w", err)
		}
	}
	if s.session.Undo() != nil {
		var l look
		if _, err := s.upstream.table(undoSettings, &l); err != nil {
			return fmt.Errorf("making the session one that undoes something: %w", err)
		}
		s.down.status.Store(uint32(l.ok.Status)) // which says how the server reads backslashes
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
	if len(rows) != 1 || len(rows[0]) != 3 {
		return errState
	}
	t.sure, t.ansi, t.foreign, t.database = true, false, !plainCharset(rows[0][1]), rows[0][2]
	t.utf8 = strings.HasPrefix(strings.ToLower(rows[0][1]), "utf8")
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

// names are what names mean to the session.
func (t *state) names() proxy.Names {
	n := proxy.Names{Path: t.database, Temporary: t.temporary}
	if !t.sure {
		n.Unsure |= proxy.UnsurePath
	}
	if t.variables {
		n.Unsure |= proxy.UnsureTemporary
	}
	return n
}

// opaque are the effects of statements that may change anything of the session.
const opaque = proxy.EffectUnknown | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute

// maxSaid bounds what is kept of a statement for messages that come later.
const maxSaid = 256 << 10

// landed notes what a command has changed that was sent.
func (u *up) landed(a *answer) {
	t, st := &u.state, &a.statement
	f := st.Facts
	switch {
	case a.resets:
		if !a.failed {
			*t = state{}
		}
		t.sure = false
		return
	case f == nil || st.Kind != proxy.KindStatement:
		return
	}
	if u.wantsTexts() && !diagnoses(st.Text) {
		u.said = proxy.Statement{Text: bytes.Clone(st.Text[:min(len(st.Text), maxSaid)]), Facts: f}
	}
	if f.Effects.Has(opaque) {
		t.sure, t.variables, t.temporary = false, true, sql.Unknown(t.temporary)
	}
	switch {
	case f.Statements == 1 && strings.HasPrefix(f.Normalised, "unlock"):
		t.locked = t.locked && a.failed
	case f.Effects.Has(proxy.EffectLock) && strings.Contains(f.Normalised, "lock table") || f.Effects.Has(proxy.EffectUnknown|proxy.EffectExecute):
		t.locked = true
	}
	t.changed.note(f, uint16(u.down.status.Load())&wire.StatusInTransaction != 0)
	for i := range f.Settings {
		if s := &f.Settings[i]; reads(s.Name) || s.Name == "database" {
			t.sure = false
		}
	}
	t.renamed(f, a.failed)
}

// tellCatalog says what an answer's statement may have changed, before the client knows.
func (s *session) tellCatalog(a *answer) {
	c, f := s.handler.Catalog, a.statement.Facts
	if c == nil || f == nil || a.look != nil || a.statement.Kind != proxy.KindStatement {
		return
	}
	of := proxy.Reading{Resource: s.session.Target.Resource.Name, Account: s.session.Target.Account.Name}
	switch {
	case f.Effects.Has(proxy.EffectsDDL | proxy.EffectGrant):
		c.Changed(&of, []proxy.NameChange{{Kind: proxy.NameObject}})
	case f.Effects.Has(opaque):
		c.Doubt(&of)
	}
}

// renamed notes what a statement has changed of what the session alone sees.
func (t *state) renamed(f *proxy.Facts, failed bool) {
	for _, c := range f.Renames {
		switch {
		case c.Kind == proxy.NameTemporary && c.Value == "@":
			t.variables = true
		case failed && f.Statements > 1:
			t.temporary = sql.Unknown(t.temporary)
			c.Known, c.Columns = false, nil
			t.temporary = sql.Rename(t.names(), c).Temporary
		case !failed:
			t.temporary = sql.Rename(t.names(), c).Temporary
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
	if f.Unknown != "" && (text == "" || slices.ContainsFunc(setters, func(word string) bool { return strings.Contains(text, word) })) {
		return "this session is read only, and it is not known whether this would make it write", ""
	}
	if f.Effects.Has(hidden) && !f.Effects.Has(proxy.EffectRead) || strings.Contains(text, "read write") || strings.Contains(text, "read_only") && f.Effects.Has(proxy.EffectSet) {
		return "this session is read only, and this may make it write", ""
	}
	return "", ""
}

// setters are words without which a text that is not understood changes no setting.
var setters = []string{"set", "execute", "prepare", "begin", "declare"}

// look asks the server something in the client's session, and returns at most limit rows. The
// client gets nothing of it.
func (u *up) look(text string, limit int) ([][]string, error) {
	l := &look{limit: limit, most: maxLook}
	err := u.lookInto(text, l)
	return l.rows, err
}

// lookInto is look with the bounds of l.
func (u *up) lookInto(text string, l *look) error {
	a := &answer{phase: phaseHeader, seq: 1, look: l}
	last := u.last
	if err := u.owe(a, nil, append([]byte{byte(wire.Query)}, text...)); err != nil {
		return err
	}
	u.last = last
	u.presence.begin()
	_, over := u.turn.wait()
	u.presence.end()
	if over {
		return errQuit
	}
	return l.err
}

// query asks the server something on a connection that serves no client yet.
func (u *upstream) query(text string, limit int) ([][]string, error) {
	return u.queryOf(text, look{limit: limit, most: maxLook})
}

// queryOf is query with the bounds of l.
func (u *upstream) queryOf(text string, l look) ([][]string, error) {
	_, err := u.table(text, &l)
	return l.rows, err
}

// table asks for what l takes, and returns the names of the columns.
func (u *upstream) table(text string, l *look) (names []string, err error) {
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
		l.ok, err = wire.ParseOK(b, u.agreed)
		return nil, err
	}
	n, size := wire.Length(b)
	if size != len(b) || n > maxColumns {
		return nil, unexpected(b[0])
	}
	for range n {
		b, err := read()
		if err != nil {
			return nil, err
		}
		c, err := wire.ParseColumn(b, u.agreed)
		if err != nil {
			return nil, err
		}
		names = append(names, string(c.Name))
	}
	if !u.agreed.Has(wire.DeprecateEOF) {
		if _, err := read(); err != nil {
			return nil, err
		}
	}
	for {
		b, err := read()
		if err != nil {
			return nil, err
		}
		if wire.IsEnd(b[0], len(b), u.agreed) {
			return names, l.err
		}
		if err := l.row(b); err != nil {
			return nil, err
		}
	}
}
