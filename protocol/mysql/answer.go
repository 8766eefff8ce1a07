package mysql

import (
	"sync/atomic"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// phase is what the server's next packet is, in the answer that it owes.
type phase uint8

const (
	phaseHeader     phase = iota // OK, an error, a request for a file, or how many columns rows have
	phaseColumns                 // the description of a column
	phaseColumnsEnd              // the end of these, where that is said
	phaseRows                    // a row, or the end of them
	phasePrepared                // how a statement was prepared
	phaseParams                  // the description of a parameter
	phaseParamsEnd
	phaseOutput    // the description of a column that a prepared statement returns
	phaseOutputEnd // the end of these
	phaseFields    // the description of a column, or the end of them, without rows
	phaseText      // a text without a form
	phaseSimple    // OK, an error, or the end of nothing
	phaseStream    // what a replica reads, until the server leaves
	phaseLogin     // what the server asks of who logs in anew
)

// answer is what the server owes for one command. up fills it in and owes it, down goes
// on with it until it is complete: neither touches it while it is the other's.
type answer struct {
	phase    phase
	binary   bool // rows are in binary format
	part     int  // how many results have ended
	left     int  // descriptions still to come
	prepared wire.Prepared
	seq      byte // of the server's first packet
	outSeq   byte // of the client's
	// filtered says that an interceptor wanted rows when the command went to the
	// server.
	filtered bool
	op       proxy.Op // nil, or the operation whose Done is owed
	stmt     *stmt
	look     *look  // the gateway asked for itself: the client gets nothing of it
	guard    *guard // the statement runs only as what it was approved as
	infile   *infile
	auth     *upstreamAuth
	refused  error // why a file that the client sent was
	resets   bool  // it makes the session as it was at first
	cursor   bool  // rows are fetched by later commands

	// about is the statement whose messages the rows are, as SHOW WARNINGS has them; nil of all
	// other rows.
	about *proxy.Statement

	row    rowFilter
	done   proxy.Outcome
	failed bool // the server has answered with an error

	// The operation's own memory, valid until its Done.
	statement proxy.Statement
	call      proxy.Call
	text      []byte
	args      []proxy.Arg
	values    []byte // of args
	blobs     bool   // an argument is of a type of bytes, which compare otherwise than text
}

// keptTextSize is how much memory of an operation is kept for the next.
const keptTextSize = 16 << 10

// reset makes a ready for the next command.
func (a *answer) reset(p phase) {
	text, args, values, row := a.text[:0], a.args[:0], a.values[:0], a.row
	if cap(text) > keptTextSize || cap(values) > keptTextSize || cap(args) > 64 {
		text, args, values = nil, nil, nil
	}
	row.end()
	*a = answer{phase: p, seq: 1, text: text, args: args, values: values, row: row}
}

// stmt is a prepared statement.
type stmt struct {
	id     uint32
	text   []byte
	params int
	types  []wire.ParamType // that were said last
	long   map[int][]byte   // values of parameters that were sent in pieces
	sent   int              // bytes of these
	over   bool             // they were too many
	cursor *answer          // whose rows are still to be fetched
}

// look is a question of the gateway's own.
type look struct {
	limit int // of its rows
	most  int // bytes of these
	rows  [][]string
	keep  func(values [][]byte) error // takes the rows, whose values are valid until it returns; nil: rows has them
	count int
	size  int
	err   error
	ok    wire.OK // of what returns no rows
}

// infile is a file of the client's that the server wants.
type infile struct {
	flow   *proxy.Flow
	seq    byte // of the client's next packet
	to     byte // of the server's
	refuse error
	sent   bool        // the server has some of it
	over   atomic.Bool // it was sent to its end; what is above is down's from then on
}
