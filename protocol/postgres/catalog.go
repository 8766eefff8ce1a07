package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	// MaxBytes bounds what a server may send in one reading, and in those after it that
	// read what has changed since; 0 is 64 MiB.
	MaxBytes int

	mu     sync.Mutex
	idle   map[connFor]*catalogConn
	closed bool

	rows  atomic.Int64 // read so far
	whole atomic.Int64 // readings of everything
}

// Load reads the catalog that k names. With an earlier reading of it, it reads only what
// has changed since, where it can tell.
func (c *CatalogReader) Load(ctx context.Context, k sql.CatalogKey, before *sql.Snapshot) (*sql.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, defaultReading))
	defer cancel()
	var s *sql.Snapshot
	err := c.reading(ctx, connFor{CatalogKey: k}, func(r *catalogRows) error {
		m, err := r.read(before)
		if err != nil {
			return fmt.Errorf("reading the catalog of %s: %w", k.Resource, err)
		}
		if r.whole {
			c.whole.Add(1)
		}
		s = sql.NewSnapshot(r.contents)
		s.Mark = m
		return nil
	})
	return s, err
}

const defaultReading = 20 * time.Second

// catalogRows reads a catalog from a connection.
type catalogRows struct {
	*catalogConn
	most, left int // bytes that the server may send, and may still send
	rows       int // that it has sent
	whole      bool
	contents   sql.Contents
	relations  map[uint32]*sql.Relation // those read here, by OID
	defined    bool                     // one of them may have a definition that the server prints
	mark       *mark
	since      changedSince
	values     [][]byte
}

// read reads what has changed since before was read, or everything.
func (r *catalogRows) read(before *sql.Snapshot) (*mark, error) {
	last := r.lastOf(before)
	list := beginQueries
	if last != nil {
		list = slices.Concat(list, []catalogQuery{usableDigest}, listQueries, []catalogQuery{changedQuery(last.horizon), totalsQuery})
	}
	if err := r.queries(nil, list...); err != nil {
		return nil, err
	}
	if r.settings == "" {
		r.settings = r.mark.settings
	} else if r.settings != r.mark.settings {
		return nil, errOtherSettings
	}
	merged := false
	if last != nil && last.instance == r.mark.instance {
		var err error
		if merged, err = r.merge(before, last); err != nil {
			return nil, err
		}
	}
	if !merged {
		if err := r.readWhole(); err != nil {
			return nil, err
		}
	}
	return r.mark, r.send("COMMIT")
}

var errOtherSettings = errors.New("the role has other settings than when the connection was made")

// readWhole reads everything.
func (r *catalogRows) readWhole() error {
	r.whole = true
	r.contents.Relations, r.contents.Functions, r.contents.Extensions, r.contents.Operators = nil, nil, nil, nil
	r.contents.Role, r.contents.Schemas, r.contents.Partial = "", nil, false
	clear(r.relations)
	begun := r.left
	list := slices.Concat([]catalogQuery{usableDigest, usableQuery}, listQueries, relationQueries, []catalogQuery{r.functionsQuery()})
	if err := r.queries(nil, list...); err != nil {
		return err
	}
	err := r.definitions(nil)
	r.mark.usable, r.mark.read = r.since.usable, begun-r.left
	return err
}

// functionsQuery is that of the server's version.
func (r *catalogRows) functionsQuery() catalogQuery {
	if serverVersion(r.status["server_version"]) < 140000 {
		return functionsQuery13
	}
	return functionsQuery
}

// definitions reads the queries of views, the actions of rules and the expressions of
// columns, of all or of some relations. The server waits for locks on everything that they
// name, which we do not: without them views are opaque.
func (r *catalogRows) definitions(of []uint32) error {
	err := r.queries(of, catalogQuery{text: "SAVEPOINT definitions"}, catalogQuery{text: "SET LOCAL lock_timeout = '500ms'"}, viewsQuery, rulesQuery, generatedQuery)
	var refused *serverError
	if errors.As(err, &refused) {
		r.contents.Partial = true
		for _, rel := range r.relations {
			rel.Definition, rel.Rules = "", nil
		}
		return r.queries(of, catalogQuery{text: "ROLLBACK TO SAVEPOINT definitions"}, rulesWithoutQuery)
	}
	return err
}

// queries runs list, each of the relations or functions of those numbers alone, or of all.
// It sends several at once, so that they cost one round trip. The error is the first one's.
func (r *catalogRows) queries(of []uint32, list ...catalogQuery) (first error) {
	for ; r.owed > 0; r.owed-- {
		if failed, err := r.answer(&catalogQuery{}); err != nil || failed != nil {
			return cmp.Or(err, failed)
		}
	}
	var b []byte
	for len(list) > 0 {
		n := 0
		for b = b[:0]; n < len(list); n++ {
			// Of more, the server might wait for us to read, and we for it.
			if text := list[n].only(of); n == 0 || len(b)+len(text) < sentAtOnce {
				b = wire.AppendQuery(b, []byte(text))
			} else {
				break
			}
		}
		if _, err := r.conn.Write(b); err != nil {
			return err
		}
		for i := range list[:n] {
			failed, err := r.answer(&list[i])
			if err != nil {
				return err
			}
			first = cmp.Or(first, failed)
		}
		list = list[n:]
	}
	return first
}

const sentAtOnce = 16 << 10

// send sends text, which returns no rows. Its answer is read before that of
// the next query.
func (r *catalogRows) send(text string) error {
	r.owed++
	_, err := r.conn.Write(wire.AppendQuery(nil, []byte(text)))
	return err
}

// answer reads the answer to q. failed is what the server or a row has against it, after
// which the next answer can be read.
func (r *catalogRows) answer(q *catalogQuery) (failed, err error) {
	for {
		typ, body, err := r.reader.ReadMessage(maxGreeting)
		if err != nil {
			return nil, ofServer(err)
		}
		if r.left -= len(body) + wire.HeaderLen; r.left < 0 {
			return nil, fmt.Errorf("%w: catalog", wire.ErrTooLarge)
		}
		switch typ {
		case wire.DataRow:
			r.rows++
			if r.values, err = wire.RowValues(body, r.values[:0]); err != nil {
				return nil, err
			}
			if len(r.values) != q.columns || q.row == nil {
				return nil, fmt.Errorf("%w: a row of %d values, where %d were asked for", wire.ErrProtocol, len(r.values), q.columns)
			}
			if failed == nil {
				failed = q.row(r, r.values)
			}
		case wire.ErrorResponse:
			// Its text is the server's, and goes to the log only.
			failed = &serverError{code: string(wire.ErrorField(body, 'C')), message: string(wire.ErrorField(body, 'M'))}
		case wire.ReadyForQuery:
			return failed, nil
		case wire.RowDescription, wire.CommandComplete, wire.NoticeResponse, wire.ParameterStatus, wire.NotificationResponse:
		default:
			return nil, fmt.Errorf("%w: server sent %s", wire.ErrProtocol, wire.TypeName(typ))
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
	r.relations[oid], r.defined = rel, r.defined || letter(v[4]) == 't'
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
		r.defined = r.defined || len(v[4]) > 0
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
