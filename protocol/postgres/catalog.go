package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// CatalogReader reads what databases hold, over connections of the gateway's own:
// short-lived, read-only, with the account's credential. Its Load is
// [sql.CatalogCache]'s.
type CatalogReader struct {
	// Gateway's directory, dialer and credentials are used.
	Gateway *proxy.Gateway
	// Timeout bounds one reading, login included; 0 is 20 s.
	Timeout time.Duration
	// MaxBytes bounds what a server may send in one reading; 0 is 64 MiB.
	MaxBytes int
}

// Load reads the catalog that k names.
func (c *CatalogReader) Load(ctx context.Context, k sql.CatalogKey) (*sql.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, defaultReading))
	defer cancel()
	r, closed, err := c.open(ctx, k)
	if err != nil {
		return nil, err
	}
	defer closed()
	if err := r.read(serverVersion(r.status["server_version"])); err != nil {
		return nil, fmt.Errorf("reading the catalog of %s: %w", k.Resource, err)
	}
	return sql.NewSnapshot(r.contents), nil
}

const defaultReading = 20 * time.Second

// open logs in at k's server, until ctx ends, which has a deadline. closed ends
// the connection.
func (c *CatalogReader) open(ctx context.Context, k sql.CatalogKey) (r *catalogRows, closed func(), err error) {
	s, release, err := c.server(ctx, k)
	if err != nil {
		return nil, nil, err
	}
	timeout := s.timeout
	if end, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(end), time.Millisecond)
	}
	u, err := s.connect(ctx, []wire.Parameter{
		{Name: "application_name", Value: "sallyport catalog"},
		{Name: "client_encoding", Value: "UTF8"},
		{Name: "default_transaction_read_only", Value: "on"},
		{Name: "statement_timeout", Value: strconv.FormatInt(max(timeout.Milliseconds(), 1), 10)},
	}, "")
	if err != nil {
		release()
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { u.conn.SetDeadline(time.Unix(1, 0)) })
	r = &catalogRows{upstream: u, left: cmp.Or(c.MaxBytes, 64<<20), relations: make(map[uint32]*sql.Relation)}
	r.contents.Account = k.Account
	return r, func() {
		if stop() {
			u.conn.Write(wire.AppendMessage(nil, wire.Terminate))
		}
		u.conn.Close()
		u.reader.Close()
		release()
	}, nil
}

// server finds k's server. release gives back the credentials that were leased.
func (c *CatalogReader) server(ctx context.Context, k sql.CatalogKey) (s *server, release func(), err error) {
	if c.Gateway.Revision().Directory == nil {
		return nil, nil, proxy.ErrNotFound
	}
	r, err := c.Gateway.Revision().Directory.Lookup(ctx, k.Resource)
	if err != nil {
		return nil, nil, err
	}
	account, ok := r.Account(k.Account)
	if !ok && (k.Account != "" || len(r.Accounts) > 0) {
		return nil, nil, fmt.Errorf("%w: account %q of %s", proxy.ErrNotFound, k.Account, k.Resource)
	}
	settings, ok := r.Settings.(Settings)
	if !ok && r.Settings != nil {
		return nil, nil, fmt.Errorf("resource %s has settings of type %T", r.Name, r.Settings)
	}
	var leases []*proxy.Lease
	s = &server{
		target: proxy.Target{Resource: r, Account: account, Database: k.Database}, settings: &settings, timeout: cmp.Or(c.Timeout, defaultReading),
		dial: func(ctx context.Context) (net.Conn, error) { return c.Gateway.Dial(ctx, r) },
	}
	s.credential = func(ctx context.Context, fresh bool) (proxy.Credential, error) {
		if c.Gateway.Revision().Credentials == nil {
			return proxy.Credential{Username: account.Username}, nil
		}
		lease, err := c.Gateway.Revision().Credentials.Lease(ctx, s.target, fresh)
		if err != nil {
			return proxy.Credential{}, &proxy.CredentialError{Target: s.target, Err: err}
		}
		leases = append(leases, lease)
		return lease.Credential, nil
	}
	return s, func() {
		for _, l := range leases {
			if l.Release != nil {
				l.Release()
			}
		}
	}, nil
}

// catalogRows reads a catalog from a connection.
type catalogRows struct {
	*upstream
	left      int // bytes that the server may still send
	contents  sql.Contents
	relations map[uint32]*sql.Relation
	values    [][]byte
}

func (r *catalogRows) read(version int) error {
	if err := r.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, nil); err != nil {
		return err
	}
	for _, q := range catalogQueries {
		if err := r.query(q.text, q.columns, q.row(r)); err != nil {
			return err
		}
	}
	functions := functionsQuery
	if version < 140000 {
		functions = functionsQuery13
	}
	if err := r.query(functions, 7, r.function); err != nil {
		return err
	}
	return r.definitions()
}

// definitions reads the queries of views and the actions of rules. The server
// waits for locks on everything that they name, which we do not: without them
// views are opaque.
func (r *catalogRows) definitions() error {
	for _, text := range []string{"SAVEPOINT definitions", "SET LOCAL lock_timeout = '500ms'"} {
		if err := r.query(text, 0, nil); err != nil {
			return err
		}
	}
	err := r.query(viewsQuery, 2, r.view)
	if err == nil {
		err = r.query(rulesQuery, 4, r.rule)
	}
	if err == nil {
		err = r.query(generatedQuery, 3, r.generated)
	}
	var refused *serverError
	if errors.As(err, &refused) {
		r.contents.Partial = true
		if err := r.query("ROLLBACK TO SAVEPOINT definitions", 0, nil); err != nil {
			return err
		}
		for _, rel := range r.contents.Relations {
			rel.Definition, rel.Rules = "", nil
		}
		return r.query(rulesWithoutQuery, 4, r.rule)
	}
	return err
}

// query runs text and calls row with the values of each row, which are valid
// until it returns; nil is NULL.
func (r *catalogRows) query(text string, columns int, row func(v [][]byte) error) error {
	if _, err := r.conn.Write(wire.AppendQuery(nil, []byte(text))); err != nil {
		return err
	}
	var failed error
	for {
		typ, body, err := r.reader.ReadMessage(maxGreeting)
		if err != nil {
			return ofServer(err)
		}
		if r.left -= len(body) + wire.HeaderLen; r.left < 0 {
			return fmt.Errorf("%w: catalog", wire.ErrTooLarge)
		}
		switch typ {
		case wire.DataRow:
			if r.values, err = wire.RowValues(body, r.values[:0]); err != nil {
				return err
			}
			if len(r.values) != columns || row == nil {
				return fmt.Errorf("%w: a row of %d values, where %d were asked for", wire.ErrProtocol, len(r.values), columns)
			}
			if failed == nil {
				failed = row(r.values)
			}
		case wire.ErrorResponse:
			// Its text is the server's, and goes to the log only.
			failed = &serverError{code: string(wire.ErrorField(body, 'C')), message: string(wire.ErrorField(body, 'M'))}
		case wire.ReadyForQuery:
			return failed
		case wire.RowDescription, wire.CommandComplete, wire.NoticeResponse, wire.ParameterStatus, wire.NotificationResponse:
		default:
			return fmt.Errorf("%w: server sent %s", wire.ErrProtocol, wire.TypeName(typ))
		}
	}
}

var errCatalogValue = fmt.Errorf("%w: a value in the catalog", wire.ErrProtocol)

// number reads an OID or another number that is not negative.
func number(v []byte) (uint32, error) {
	n, err := strconv.ParseUint(string(v), 10, 32)
	if err != nil {
		return 0, errCatalogValue
	}
	return uint32(n), nil
}

// letter reads a value of type "char".
func letter(v []byte) byte {
	if len(v) != 1 {
		return 0
	}
	return v[0]
}

// schema takes the search_path as it is set, and then the schemas that it means.
func (r *catalogRows) schema(v [][]byte) error {
	if r.contents.Setting == "" {
		r.contents.Setting = strings.ReplaceAll(string(v[0]), `"$user"`, "$user")
		return nil
	}
	r.contents.Path = append(r.contents.Path, string(v[0]))
	return nil
}

// usable takes the role, and then the schemas that it may use.
func (r *catalogRows) usable(v [][]byte) error {
	if r.contents.Role == "" {
		r.contents.Role = string(v[0])
		return nil
	}
	r.contents.Schemas = append(r.contents.Schemas, string(v[0]))
	return nil
}

var relationKinds = map[byte]sql.RelationKind{
	'r': sql.RelationTable, 'v': sql.RelationView, 'm': sql.RelationMaterialized, 'f': sql.RelationForeign,
	'p': sql.RelationPartitioned, 'S': sql.RelationSequence,
}

func (r *catalogRows) relation(v [][]byte) error {
	oid, err := number(v[0])
	if err != nil || r.relations[oid] != nil {
		return errCatalogValue
	}
	rel := &sql.Relation{OID: oid, Schema: string(v[1]), Name: string(v[2]), Kind: relationKinds[letter(v[3])], Server: oid < firstOwn}
	r.relations[oid] = rel
	r.contents.Relations = append(r.contents.Relations, rel)
	return nil
}

// firstOwn is the first OID that the server gives to what it did not come with
// (FirstNormalObjectId).
const firstOwn = 16384

// of calls f with the relation that v names, when it is known: others came after
// the relations were read, or are of no interest.
func (r *catalogRows) of(v []byte, f func(*sql.Relation) error) error {
	oid, err := number(v)
	if err != nil {
		return err
	}
	if rel := r.relations[oid]; rel != nil {
		return f(rel)
	}
	return nil
}

func (r *catalogRows) column(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		attr, err := number(v[1])
		last := uint16(0)
		if n := len(rel.Columns); n > 0 {
			last = rel.Columns[n-1].Attr
		}
		if err != nil || attr > 1<<15 || uint16(attr) <= last {
			return errCatalogValue
		}
		typ, err := number(v[3])
		rel.Columns = append(rel.Columns, sql.Column{Attr: uint16(attr), Name: string(v[2]), Type: typ, Generated: string(v[4])})
		return err
	})
}

func (r *catalogRows) notNull(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		attr, err := number(v[1])
		if c := rel.ByAttr(uint16(attr)); err == nil && attr <= 1<<15 && c != nil {
			c.NotNull = true
		}
		return err
	})
}

func (r *catalogRows) extension(v [][]byte) error {
	r.contents.Extensions = append(r.contents.Extensions, string(v[0]))
	return nil
}

func (r *catalogRows) trigger(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		bits, err := number(v[1])
		if err != nil {
			return err
		}
		function, err := number(v[2])
		t := sql.Trigger{Instead: bits&64 != 0, Function: function}
		for bit, e := range map[uint32]proxy.Effects{4: proxy.EffectInsert, 8: proxy.EffectDelete, 16: proxy.EffectUpdate, 32: proxy.EffectTruncate} {
			if bits&bit != 0 {
				t.On |= e
			}
		}
		rel.Triggers = append(rel.Triggers, t)
		return err
	})
}

func (r *catalogRows) child(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		oid, err := number(v[1])
		rel.Children = append(rel.Children, oid)
		return err
	})
}

func (r *catalogRows) reference(v [][]byte) error {
	effect := func(action, deletes byte) proxy.Effects {
		switch action {
		case 'c':
			if deletes != 0 {
				return proxy.EffectDelete
			}
			return proxy.EffectUpdate
		case 'n', 'd':
			return proxy.EffectUpdate
		}
		return 0
	}
	return r.of(v[0], func(rel *sql.Relation) error {
		oid, err := number(v[1])
		rel.References = append(rel.References, sql.Reference{From: oid, OnDelete: effect(letter(v[2]), 1), OnMove: effect(letter(v[3]), 0)})
		return err
	})
}

func (r *catalogRows) view(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		rel.Definition = string(v[1])
		return nil
	})
}

func (r *catalogRows) generated(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		attr, err := number(v[1])
		if c := rel.ByAttr(uint16(attr)); err == nil && c != nil {
			c.Generated = string(v[2])
		}
		return err
	})
}

var ruleEvents = map[byte]proxy.Effects{'1': proxy.EffectRead, '2': proxy.EffectUpdate, '3': proxy.EffectInsert, '4': proxy.EffectDelete}

func (r *catalogRows) rule(v [][]byte) error {
	return r.of(v[0], func(rel *sql.Relation) error {
		on := ruleEvents[letter(v[1])]
		if on == 0 {
			return errCatalogValue
		}
		rel.Rules = append(rel.Rules, sql.Rule{On: on, Instead: letter(v[2]) == 't', Definition: string(v[3])})
		return nil
	})
}

func (r *catalogRows) function(v [][]byte) error {
	oid, err := number(v[0])
	f := &sql.Function{
		OID: oid, Schema: string(v[1]), Name: string(v[2]), Language: string(v[4]), Body: string(v[5]),
		Pinned: letter(v[6]) == 't', Server: oid < firstOwn,
	}
	switch letter(v[3]) {
	case 'i':
		f.Volatility = sql.Immutable
	case 's':
		f.Volatility = sql.Stable
	}
	r.contents.Functions = append(r.contents.Functions, f)
	return err
}

func (r *catalogRows) operator(v [][]byte) error {
	oid, err := number(v[1])
	r.contents.Operators = append(r.contents.Operators, sql.Operator{Name: string(v[0]), Function: oid})
	return err
}
