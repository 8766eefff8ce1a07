package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// Facts of commands that carry no text of a statement, and do what a statement would.
var (
	factsOfReset  = &proxy.Facts{Dialect: "mysql", Effects: proxy.EffectSet | proxy.EffectTransaction, Statements: 1, ColumnsKnown: true}
	factsOfStatus = &proxy.Facts{Dialect: "mysql", Effects: proxy.EffectShow, Statements: 1, Rows: true}
)

// serve serves one command. Every command has its verdict here:
//
//   - what is a statement, in its text or by its meaning, is asked about as one;
//   - what only keeps the session going, and has no data, passes;
//   - what administers the server is asked about as a command of that name;
//   - everything else is refused.
func (u *up) serve(c *command) error {
	switch c.kind {
	case wire.Quit:
		return errQuit
	case wire.Query:
		return u.query(c)
	case wire.StmtPrepare:
		return u.prepare(c)
	case wire.StmtExecute:
		return u.execute(c)
	case wire.StmtFetch:
		return u.fetch(c)
	case wire.StmtSendLongData:
		return u.longData(c)
	case wire.StmtClose:
		return u.closeStatement(c)
	case wire.StmtReset:
		return u.resetStatement(c)
	case wire.InitDB:
		return u.means(c, phaseSimple, appendName([]byte("USE "), c.body))
	case wire.FieldList:
		return u.fieldList(c)
	case wire.ProcessInfo:
		return u.means(c, phaseHeader, []byte("SHOW PROCESSLIST"))
	case wire.ProcessKill:
		id, _, err := wire.ParseID(c.body)
		if err != nil {
			return err
		}
		return u.kill(kill{id: id}, append([]byte("KILL "), strconv.FormatUint(uint64(id), 10)...))
	case wire.Ping:
		return u.pass(u.take(phaseSimple), c)
	case wire.SetOption: // several statements in one text or not: each text is judged as a whole
		return u.pass(u.take(phaseSimple), c)
	case wire.Statistics:
		return u.meansFacts(c, phaseText, c.kind.String(), factsOfStatus)
	case wire.ResetConnection:
		return u.meansFacts(c, phaseSimple, c.kind.String(), factsOfReset)
	case wire.ChangeUser:
		return u.changeUser(c)
	case wire.Refresh, wire.Debug, wire.Shutdown:
		return u.administers(c)
	case wire.BinlogDump, wire.BinlogDumpGTID, wire.RegisterReplica:
		return u.replicates(c)
	}
	call := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}, Name: c.kind.String()}
	v := proxy.Deny(proxy.CausePolicy, "", c.kind.String()+" is not allowed for any resource", "")
	u.session.session.Refuse(call, v)
	e := refusal(&v)
	e.Code, e.State = codeUnknownCom, []byte(stateComm)
	return u.reply(e)
}

// appendName appends a quoted name.
func appendName(dst, name []byte) []byte {
	dst = append(dst, '`')
	dst = append(dst, bytes.ReplaceAll(name, []byte("`"), []byte("``"))...)
	return append(dst, '`')
}

// means asks about a command as the statement that does the same.
func (u *up) means(c *command, p phase, text []byte) error {
	a := u.take(p)
	a.text = append(a.text, text...)
	return u.asks(a, c, u.analyze(a.text))
}

func (u *up) meansFacts(c *command, p phase, text string, f *proxy.Facts) error {
	a := u.take(p)
	a.text = append(a.text, text...)
	a.resets = f == factsOfReset
	return u.asks(a, c, f)
}

func (u *up) asks(a *answer, c *command, f *proxy.Facts) error {
	a.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: a.text, Facts: f, Reading: &u.reading}
	a.binary = true // it is not sent as a text, so it cannot be another one
	allowed, err := u.ask(a, &a.statement)
	a.binary = false
	if !allowed {
		return err
	}
	return u.pass(a, c)
}

// fieldList asks about the columns of a table.
func (u *up) fieldList(c *command) error {
	table, pattern, ok := bytes.Cut(c.body, []byte{0})
	if !ok {
		return fmt.Errorf("%w: %s names no table", wire.ErrProtocol, c.kind)
	}
	text := appendName([]byte("SHOW COLUMNS FROM "), table)
	if pattern = bytes.TrimSuffix(pattern, []byte{0}); len(pattern) > 0 {
		text = append(text, " LIKE '"...)
		text = append(text, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(string(pattern))...)
		text = append(text, '\'')
	}
	return u.means(c, phaseFields, text)
}

// administers asks about a command that has to do with the whole server.
func (u *up) administers(c *command) error {
	a := u.take(phaseSimple)
	a.text = append(a.text, c.body...)
	a.call = proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}, Name: c.kind.String(), Args: [][]byte{a.text}}
	if allowed, err := u.ask(a, &a.call); !allowed {
		return err
	}
	return u.pass(a, c)
}

// replicates asks about a command of a replica's.
func (u *up) replicates(c *command) error {
	p := phaseStream
	if c.kind == wire.RegisterReplica {
		p = phaseSimple
	}
	a := u.take(p)
	a.text = append(a.text, c.body...)
	a.call = proxy.Call{Meta: proxy.Meta{Kind: proxy.KindReplication}, Name: c.kind.String()}
	if c.kind != wire.RegisterReplica { // which sends a password
		a.call.Args = [][]byte{a.text}
	}
	if !u.settings.Replication {
		return u.refuse(&a.call, "replication is not allowed for this resource", "Ask an administrator to set replication: true for this resource and to allow the right replication")
	}
	if allowed, err := u.ask(a, &a.call); !allowed {
		return err
	}
	return u.pass(a, c)
}

// query runs a text.
func (u *up) query(c *command) error {
	a := u.take(phaseHeader)
	a.text = append(a.text, c.body...)
	if k, ok := parseKill(a.text); ok {
		return u.kill(k, a.text)
	}
	f := u.analyze(a.text)
	a.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: a.text, Facts: f, Giver: u, Measurer: u, Reading: &u.reading}
	if reason, remedy := u.verdict(f); reason != "" {
		return u.refuse(&a.statement, reason, remedy)
	}
	if f.Effects.Has(proxy.EffectShow) && diagnoses(a.text) && u.said.Facts != nil {
		a.about = &proxy.Statement{Text: u.said.Text, Facts: u.said.Facts}
	}
	if allowed, err := u.ask(a, &a.statement); !allowed {
		return err
	}
	if a.guard != nil {
		return u.guarded(a, func() error { return u.run1(a, c) })
	}
	return u.run1(a, c)
}

// run1 sends the text of a's operation.
func (u *up) run1(a *answer, c *command) error {
	if !a.statement.Rewritten {
		return u.pass(a, c)
	}
	if reason, remedy := u.verdict(a.statement.Facts); reason != "" {
		e := fault(codeRefused, stateRefused, reason+". "+remedy)
		u.session.session.Done(&a.statement, &proxy.Outcome{Err: errLateRewrite})
		return u.reply(e)
	}
	return u.owe(a, nil, append([]byte{byte(c.kind)}, a.statement.Text...))
}

// kill is a KILL of one connection.
type kill struct {
	id    uint32
	query bool // of what it runs only
}

// parseKill reads the text of a KILL of a connection by its number, also as clients write
// it for old servers: KILL /*!50000 QUERY */ 5.
func parseKill(text []byte) (k kill, ok bool) {
	const longest = 80
	if len(text) > longest || len(text) == 0 || text[0]|0x20 != 'k' && text[0] != '/' && text[0] != ' ' {
		return kill{}, false
	}
	s := strings.ToLower(string(text))
	for _, mark := range []string{"/*!50000", "/*!"} {
		s = strings.ReplaceAll(s, mark, " ")
	}
	words := strings.Fields(strings.TrimRight(strings.ReplaceAll(s, "*/", " "), "; \n"))
	if len(words) < 2 || words[0] != "kill" {
		return kill{}, false
	}
	words = words[1:]
	if words[0] == "hard" || words[0] == "soft" {
		words = words[1:]
	}
	if len(words) == 2 && (words[0] == "query" || words[0] == "connection") {
		k.query = words[0] == "query"
		words = words[1:]
	}
	if len(words) != 1 {
		return kill{}, false
	}
	n, err := strconv.ParseUint(words[0], 10, 32)
	k.id = uint32(n)
	return k, err == nil
}

// kill ends a connection, or what runs there. A user's own sessions at the same account are
// hers to end, whichever number she knows them by; about all else it is a statement.
func (u *up) kill(k kill, text []byte) error {
	a := u.take(phaseHeader)
	if &a.text != &text {
		a.text = append(a.text[:0], text...)
	}
	own := u.handler.shared.sessions.find(k.id, u.session)
	f := factsOfKill
	if own == nil {
		f = u.analyze(a.text)
	}
	a.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: a.text, Facts: f, Giver: u, Reading: &u.reading}
	if own == nil && k.id&0x40000000 != 0 { // a number of the gateway's that is not hers
		v := proxy.Deny(proxy.CausePolicy, "", fmt.Sprintf("there is no session of yours with the number %d", k.id), "")
		u.session.session.Refuse(&a.statement, v)
		return u.reply(fault(1094, stateGeneral, fmt.Sprintf("Unknown thread id: %d", k.id)))
	}
	a.binary = true
	allowed, err := u.ask(a, &a.statement)
	a.binary = false
	if !allowed {
		return err
	}
	if own == nil {
		return u.owe(a, nil, append([]byte{byte(wire.Query)}, a.text...))
	}
	if k.query && own.session.CancelHolds() {
		u.session.session.Done(&a.statement, &proxy.Outcome{})
		return u.replyOK()
	}
	word := "KILL "
	if k.query {
		word = "KILL QUERY "
	}
	return u.owe(a, nil, append([]byte{byte(wire.Query)}, word+strconv.FormatUint(uint64(own.upstream.greeting.ID), 10)...))
}

// factsOfKill are those of a KILL of a user's own session, which does no more than hanging up
// there would.
var factsOfKill = &proxy.Facts{Dialect: "mysql", Effects: proxy.EffectSet, Statements: 1, ColumnsKnown: true}

// changeUser logs the same user in again, as pools do that hand a connection on. The gateway
// checks her proof, and proves its own to the server.
func (u *up) changeUser(c *command) error {
	m, err := wire.ParseUserChange(c.body, u.agreed)
	if err != nil {
		return err
	}
	if string(m.User) != u.user {
		e := fault(codeAccessDenied, stateLogin, "Access denied for user '"+string(m.User)+"': a connection stays with the user that it was opened by; open another one")
		if err := u.reply(e); err != nil {
			return err
		}
		return errQuit
	}
	if m.Charset > 0 && !plainCollation(m.Charset) {
		return u.reply(fault(codeCharset, stateRefused, errCharset.Error()))
	}
	if err := u.handler.reprove(u.session, &wire.Conversation{Conn: u.client, Seq: u.outSeq}, m, &u.outSeq); err != nil {
		if errors.Is(err, proxy.ErrUnauthenticated) {
			err = errors.Join(errQuit, u.reply(fault(codeAccessDenied, stateLogin, "Access denied for user '"+u.user+"' (using password: YES)")))
		}
		return err
	}
	a := u.take(phaseLogin)
	a.text = append(a.text, c.kind.String()...)
	a.resets = true
	a.statement = proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: a.text, Facts: factsOfReset}
	a.binary = true
	allowed, err := u.ask(a, &a.statement)
	a.binary = false
	if !allowed {
		return err
	}
	a.auth = u.upstreamAuth()
	change := &wire.UserChange{
		User: []byte(a.auth.cred.Username), Database: m.Database, Charset: m.Charset, Plugin: []byte(a.auth.plugin), Attrs: m.Attrs,
	}
	return u.owe(a, nil, wire.AppendUserChange(nil, change, u.upstream.agreed))
}

// upstreamAuth proves the session's credential anew, by whatever the server asks for: what
// is sent unasked would be a proof for the nonce of the first login.
func (u *up) upstreamAuth() *upstreamAuth {
	cred, ok := u.session.session.Leased()
	if !ok {
		cred = proxy.Credential{Username: u.session.session.Target.Account.Username}
	}
	g := u.upstream.greeting
	plugin := g.Plugin
	if plugin != pluginCaching {
		plugin = pluginNative
	}
	return &upstreamAuth{
		cred: cred, settings: &u.settings, announced: g.Plugin, plugin: plugin, nonce: g.Nonce[:],
		sealed: u.upstream.tls || isSocket(u.upstream.conn), local: isLocal(u.upstream.conn),
	}
}
