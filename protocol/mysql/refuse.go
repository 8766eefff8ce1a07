package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// Numbers and states of the gateway's own errors, as servers have them.
const (
	codeAccessDenied = 1045 // ER_ACCESS_DENIED_ERROR
	codeNoDatabase   = 1049 // ER_BAD_DB_ERROR
	codeUnknownCom   = 1047 // ER_UNKNOWN_COM_ERROR
	codeShutdown     = 1053 // ER_SERVER_SHUTDOWN
	codeInternal     = 1105 // ER_UNKNOWN_ERROR
	codeRefused      = 1142 // ER_TABLEACCESS_DENIED_ERROR
	codeTooLarge     = 1153 // ER_NET_PACKET_TOO_LARGE
	codeOutOfOrder   = 1156 // ER_NET_PACKETS_OUT_OF_ORDER
	codeTooMany      = 1203 // ER_TOO_MANY_USER_CONNECTIONS
	codeDeadlock     = 1213 // ER_LOCK_DEADLOCK
	codeNoStatement  = 1243 // ER_UNKNOWN_STMT_HANDLER
	codeCharset      = 1115 // ER_UNKNOWN_CHARACTER_SET
	codeNoSecure     = 3159 // ER_SECURE_TRANSPORT_REQUIRED
	codeKilled       = 1927 // MariaDB's ER_CONNECTION_KILLED

	stateRefused  = "42000"
	stateLogin    = "28000"
	stateGeneral  = "HY000"
	stateComm     = "08S01"
	stateCannot   = "08004"
	stateKilled   = "70100"
	stateRollback = "40001"
	stateProtocol = "08S01"
)

func fault(code uint16, state, message string) wire.Error {
	return wire.Error{Code: code, State: []byte(state), Message: []byte(strings.ToValidUTF8(message, "?"))}
}

// refusal is the error that tells of a verdict: rule and remedy.
func refusal(v *proxy.Verdict) wire.Error {
	message := v.Message()
	if v.Remedy != "" {
		message += ". " + v.Remedy
	}
	return fault(codeRefused, stateRefused, message)
}

// failed tells a client that it has not proven who it is, in the server's words.
func (hi *hello) failed() wire.Error {
	using := "NO"
	if hi.response != nil && !blank(hi.response.Auth) || len(hi.certs) > 0 {
		using = "YES"
	}
	host := "gateway"
	if a, ok := hi.conn.RemoteAddr().(*net.TCPAddr); ok {
		host = a.IP.String()
	}
	return fault(codeAccessDenied, stateLogin, "Access denied for user '"+hi.user+"'@'"+host+"' (using password: "+using+")")
}

// fatal is what is said of why a session could not begin. Its Message is nil when there is
// nothing to say.
func (hi *hello) fatal(err error) wire.Error {
	if errors.Is(err, proxy.ErrUnauthenticated) {
		return hi.failed()
	}
	return fatal(err)
}

// fatal is the last word of a session that err ends.
func fatal(err error) wire.Error {
	var (
		refused *proxy.RefusedError
		server  *serverError
		panicky *proxy.PanicError
	)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return wire.Error{}
	case errors.As(err, &refused):
		return refusal(&refused.Verdict)
	case errors.Is(err, errNeedsTLS):
		return fault(codeNoSecure, stateGeneral, err.Error())
	case errors.Is(err, errBadLogin), errors.Is(err, errOldClient), errors.Is(err, proxy.ErrUnauthenticated):
		return fault(codeAccessDenied, stateLogin, err.Error())
	case errors.Is(err, errCharset):
		return fault(codeCharset, stateRefused, err.Error())
	case errors.Is(err, proxy.ErrNotFound), errors.Is(err, errNoResource), errors.Is(err, errAmbiguousResource):
		return fault(codeNoDatabase, stateRefused, err.Error()+"; connect as USER+RESOURCE, with a resource that you may use")
	case errors.As(err, &server):
		if server.refusesCredential() { // in words that name the account, which users are not to know
			return fault(codeAccessDenied, stateLogin, "the resource does not accept the gateway's credential. "+askOperator)
		}
		e := fault(server.code, stateGeneral, server.message)
		if server.state != "" {
			e.State = []byte(server.state)
		}
		return e
	case errors.Is(err, proxy.ErrShutdown):
		return fault(codeShutdown, stateComm, proxy.ErrShutdown.Error())
	case errors.Is(err, proxy.ErrTooMany):
		return fault(codeTooMany, stateRefused, err.Error())
	case errors.Is(err, wire.ErrTooLarge):
		return fault(codeTooLarge, stateComm, err.Error())
	case errors.Is(err, wire.ErrProtocol):
		return fault(codeOutOfOrder, stateProtocol, err.Error())
	case errors.As(err, &panicky):
		return fault(codeInternal, stateGeneral, "internal error of the gateway")
	case errors.Is(err, errServerLeft):
		return fault(codeKilled, stateKilled, errServerLeft.Error())
	case errors.Is(err, context.Canceled):
		return fault(codeKilled, stateKilled, "the session was ended")
	case errors.Is(err, proxy.ErrDeadline), errors.Is(err, proxy.ErrIdle), errors.Is(err, proxy.ErrStuck):
		return fault(codeKilled, stateKilled, err.Error())
	}
	return fault(codeInternal, stateCannot, publicError(err).Error()+". "+askOperator)
}

// askOperator tells a user what to do about what only an operator can mend.
const askOperator = "Ask the gateway's administrator: the gateway's log says more"

// publicError is err as it may be shown and recorded: an error of the server
// about our credential is reduced to that.
func publicError(err error) error {
	var se *serverError
	if errors.As(err, &se) && se.refusesCredential() {
		return errors.New("the resource does not accept the gateway's credential")
	}
	var op *net.OpError
	if errors.As(err, &op) { // without the resource's address
		return errors.New(strings.Replace(err.Error(), op.Error(), op.Err.Error(), 1))
	}
	return err
}

var errServerLeft = errors.New("the server closed the connection")

// ended says whether err is only the end of a connection.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF)
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
