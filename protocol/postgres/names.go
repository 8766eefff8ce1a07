package postgres

import (
	"github.com/sallyport/sallyport/proxy"
)

// statement is a prepared statement.
type statement struct {
	name     string
	text     []byte
	types    []uint32 // of the parameters, as far as the client declared them
	inferred []uint32 // of the parameters, as the server has described them; nil until then
	facts    *proxy.Facts
	renames  bool // may change what names of statements or portals mean
	shape    *proxy.Shape
	inSQL    bool // text is a PREPARE, whose statement it is
	closed   bool // it is a Close of the name
}

// portal is a statement with its arguments.
type portal struct {
	name        string
	stmt        *statement
	args        []proxy.Arg
	values      []byte // what args refer to
	texts       []byte // of those in binary format
	formats     []byte // result format codes
	describedIn uint64 // one more than the batch in which a Describe of it was sent last
	shape       *proxy.Shape
	closed      bool // it is a Close of the name
}

// meaning is what the name means once the server has answered.
func (s *statement) meaning() *statement {
	if s.closed {
		return unknownStatement
	}
	return s
}

// meaning is what the name means once the server has answered.
func (p *portal) meaning() *portal {
	if p.closed {
		return unknownPortal
	}
	return p
}

// unknownStatement is used for a name that the gateway did not see prepared, or
// whose meaning may have changed in SQL.
var unknownStatement = &statement{
	facts:   proxy.UnknownFacts("the gateway has not seen how the statement with this name was prepared"),
	renames: true,
}

// unknownPortal is a portal of unknownStatement.
var unknownPortal = &portal{stmt: unknownStatement}

// names maps the names of prepared statements or portals to what the server
// will take them for. A name that was just sent is not certain: the server may
// refuse it, and then the older meaning stays.
type names[T comparable] map[string]*meaning[T]

type meaning[T comparable] struct {
	sure    T // confirmed by the server; zero when there is none
	latest  T // sent last and not yet answered; zero when there is none
	batch   uint64
	waiting int // how many were sent and not yet answered
	stale   int // of them, those sent before something that may have changed the meaning
}

// send notes that name was given the meaning x in batch.
func (n *names[T]) send(name []byte, x T, batch uint64) {
	if *n == nil {
		*n = make(names[T])
	}
	m := (*n)[string(name)]
	if m == nil {
		m = &meaning[T]{}
		(*n)[string(name)] = m
	}
	m.latest, m.batch = x, batch
	m.waiting++
}

// settled notes the server's answer to the oldest unanswered message about
// name, which gave it the meaning x: whether the server took it.
func (n names[T]) settled(name string, x T, ok bool) {
	m := n[name]
	if m == nil {
		return
	}
	var zero T
	m.waiting--
	switch {
	case m.stale > 0:
		m.stale--
	case ok:
		m.sure = x
	}
	if m.waiting == 0 {
		m.latest = zero
	}
}

// get returns what name means for a message of the given batch, zero when it
// was never given a meaning. certain is false when an earlier batch has yet to
// tell.
func (n names[T]) get(name []byte, batch uint64) (x T, certain bool) {
	m := n[string(name)]
	var zero T
	switch {
	case m == nil:
		return zero, true
	case m.waiting > 0 && m.batch == batch:
		// Were it refused, the server would skip the rest of this batch.
		return m.latest, true
	case m.waiting > 0:
		return zero, false
	default:
		return m.sure, true
	}
}

// doubt makes every name mean x, because of something that was sent after all of
// them.
func (n names[T]) doubt(x T) {
	for name := range n {
		n.doubtOne(name, x)
	}
}

// doubtOne is doubt of one name, if it has a meaning.
func (n names[T]) doubtOne(name string, x T) {
	if m := n[name]; m != nil {
		m.sure, m.latest, m.stale = x, x, m.waiting
	}
}

// forget makes every name mean x, except those whose answer is still owed.
func (n names[T]) forget(x T) {
	for name, m := range n {
		m.sure = x
		// The unnamed one comes again at once; its place is kept.
		if m.waiting == 0 && name != "" {
			var zero T
			if x == zero {
				delete(n, name)
			}
		}
	}
}
