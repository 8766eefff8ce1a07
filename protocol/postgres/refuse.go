package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// SQLSTATEs of the gateway's own errors.
const (
	codeRefused       = "42501" // insufficient_privilege
	codeAuth          = "28P01" // invalid_password
	codeAuthorization = "28000" // invalid_authorization_specification
	codeNoDatabase    = "3D000" // invalid_catalog_name
	codeProtocol      = "08P01" // protocol_violation
	codeCannotConnect = "08001" // sqlclient_unable_to_establish_sqlconnection
	codeLost          = "08006" // connection_failure
	codeShutdown      = "57P01" // admin_shutdown
	codeTooMany       = "53300" // too_many_connections
	codeTooLarge      = "54000" // program_limit_exceeded
	codeInternal      = "XX000" // internal_error
)

// refusal is the error that tells of a verdict.
func refusal(v *proxy.Verdict) wire.Notice {
	return wire.Notice{Severity: "ERROR", Code: codeRefused, Message: v.Message(), Hint: v.Remedy}
}

func appendNotice(dst []byte, n wire.Notice) []byte {
	if n.Severity == "NOTICE" || n.Severity == "WARNING" {
		return wire.AppendNotice(dst, n)
	}
	return wire.AppendError(dst, n)
}

// fatalNotice is the last message of a session that err ends, or that could not
// begin. Its Message is empty when there is nothing to say.
func fatalNotice(err error) wire.Notice {
	n := wire.Notice{Severity: "FATAL", Code: codeInternal, Message: "the gateway failed to serve this session"}
	var (
		refused *proxy.RefusedError
		param   *parameterError
		server  *serverError
		panicky *proxy.PanicError
		link    *proxy.LinkError
	)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return wire.Notice{}
	case errors.As(err, &link):
		n.Code, n.Message = codeAuthorization, strings.ToValidUTF8(link.Error(), "?")
	case errors.As(err, &refused):
		n = refusal(&refused.Verdict)
		n.Severity = "FATAL"
	case errors.Is(err, proxy.ErrUnauthenticated):
		n.Code, n.Message = codeAuth, "authentication failed"
	case errors.Is(err, errBadLogin), errors.Is(err, errNeedsTLS):
		n.Code, n.Message = codeAuthorization, err.Error()
	case errors.As(err, &param):
		n.Code, n.Message = codeRefused, param.Error()
		n.Hint = "Leave it out, or ask an administrator to allow it for this resource."
		if param.allows != "" {
			n.Hint = "Leave it out, or ask an administrator to allow it for this resource by its setting " + param.allows + "."
		}
	case errors.Is(err, proxy.ErrNotFound), errors.Is(err, errNoResource), errors.Is(err, errAmbiguousResource):
		n.Code, n.Message = codeNoDatabase, err.Error()
		n.Hint = "Connect as USER+RESOURCE, with a resource that you may use."
	case errors.As(err, &server):
		n.Code, n.Message, n.Hint = server.code, server.message, server.hint
		if server.refusesCredential() {
			// The server's words name the account that users are not to know.
			n.Code, n.Message, n.Hint = codeCannotConnect, "the resource does not accept the gateway's credential", askOperator
		}
	case errors.Is(err, proxy.ErrShutdown):
		n.Code, n.Message = codeShutdown, "terminating connection: "+proxy.ErrShutdown.Error()
	case errors.Is(err, proxy.ErrTooMany):
		n.Code, n.Message = codeTooMany, err.Error()
	case errors.Is(err, wire.ErrTooLarge):
		n.Code, n.Message = codeTooLarge, err.Error()
	case errors.Is(err, wire.ErrProtocol):
		n.Code, n.Message = codeProtocol, err.Error()
	case errors.As(err, &panicky):
		n.Message = "terminating connection: internal error of the gateway"
	case errors.Is(err, errServerLeft):
		n.Code, n.Message = codeLost, err.Error()
	case errors.Is(err, context.Canceled):
		n.Code, n.Message = codeShutdown, "terminating connection: the session was ended"
	case errors.Is(err, proxy.ErrDeadline), errors.Is(err, proxy.ErrIdle), errors.Is(err, proxy.ErrStuck):
		n.Code, n.Message = codeShutdown, "terminating connection: "+err.Error()
	default:
		n.Code, n.Message, n.Hint = codeCannotConnect, strings.ToValidUTF8(publicError(err).Error(), "?"), askOperator
	}
	return n
}

// askOperator tells a user what to do about what only an operator can mend.
const askOperator = "Ask the gateway's administrator: the gateway's log says more."

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

// lastNotice is the last message of a session that was established.
func lastNotice(err error) wire.Notice {
	n := fatalNotice(err)
	if n.Code == codeCannotConnect {
		n.Code, n.Message = codeShutdown, "terminating connection: "+n.Message
	}
	return n
}

var errServerLeft = errors.New("the server closed the connection")

const refusedByGateway = "refused by the gateway"

// Messages that the server is certain to refuse, sent in the place of refused
// ones. Whatever state the server is in, it answers them with an error that has
// all an error's consequences.
var (
	poisonQuery = wire.AppendQuery(nil, []byte(refusedByGateway))
	poisonParse = wire.AppendParse(nil, nil, []byte(refusedByGateway), nil)
	// In the place of an Execute or Bind too: a portal of any name could exist. With
	// a name of its own it leaves the unnamed statement alone.
	poisonNamed = wire.AppendParse(nil, []byte("refused"), []byte(refusedByGateway), nil)
	// A FunctionCall of function 0, without arguments.
	poisonFunction = wire.AppendMessage(nil, wire.FunctionCall, make([]byte, 4), make([]byte, 2), make([]byte, 2), make([]byte, 2))
	// giveUp ends the data of a COPY: the server's error quotes it.
	giveUp = wire.AppendMessage(nil, wire.CopyFail, []byte(refusedByGateway+"\x00"))
)
