package postgres

import (
	"bytes"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// A refused text that the gateway's grammar does not read may be one that the server's
// does not read either: then the server's error, with its position, says better what is
// wrong with it than the refusal does. So the server is given the text to be parsed, as a
// statement that is closed before anything can run it, and after it what it is certain
// to refuse. It answers with one error in either case.

// unread reports whether a refused operation is a text that the server is asked about.
func (u *up) unread(op proxy.Op) bool {
	st, ok := op.(*proxy.Statement)
	return ok && (st.Facts.Unread || st.Facts.Malformed) && !u.replication
}

// appendTrial appends the question whether the server reads text, which ends as poison
// does. m holds the types of its parameters, and may be nil.
func appendTrial(dst, text []byte, m *wire.ParseMessage, poison []byte) []byte {
	dst = wire.AppendParse(dst, trialName, text, m)
	dst = wire.AppendMessage(dst, wire.Close, []byte{'S'}, trialName, []byte{0})
	return append(dst, poison...)
}

// trialName is that of the statement for which nothing but a Close is ever sent.
var trialName = []byte("refused")

// isUnread reports whether an ErrorResponse to a query, of which no statement has ended,
// says that the server's scanner or grammar stopped somewhere in its text: the server
// reads the whole text before it runs any of it. The routine is not of a function's
// choosing, as a SQLSTATE is. What a function reads has its own text in the field q, and its
// position in p.
func isUnread(body []byte) bool {
	return isSyntaxError(body) && bytes.Equal(wire.ErrorField(body, 'R'), []byte("scanner_yyerror")) &&
		wire.ErrorField(body, 'p') == nil && wire.ErrorField(body, 'q') == nil
}

// isSyntaxError reports whether an ErrorResponse says that a text cannot be read, and
// where: without a position it is about something else, such as several commands in
// one Parse.
func isSyntaxError(body []byte) bool {
	return bytes.Equal(wire.ErrorField(body, 'C'), []byte("42601")) && wire.ErrorField(body, 'P') != nil
}
