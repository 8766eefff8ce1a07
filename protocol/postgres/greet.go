package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// hello is what a client has said before it proves who it is.
type hello struct {
	conn       net.Conn // the raw connection, or TLS over it
	tls        *tls.Conn
	serverName string
	certs      []*x509.Certificate
	shown      *tls.Certificate // that a GetCertificate has chosen
	cancel     *wire.Startup    // a cancel request; then nothing else is set but conn

	user        string // as the client has sent it
	login       proxy.Login
	database    string
	replication string // as the client asks for it, empty for none
	params      []wire.Parameter
	version     uint32 // 3.0 or 3.2, as both sides know it
	negotiate   []byte // NegotiateProtocolVersion, nil when none is needed
}

// greet reads first packets until the client asks for a session or a cancel.
// Encryption comes at most once. It returns nil, nil when the client left.
func (h *Handler) greet(ctx context.Context, c *proxy.Conn) (*hello, error) {
	hi := &hello{conn: c}
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return nil, ignoreEOF(err)
	}
	const tlsHandshake = 0x16
	if first[0] == tlsHandshake { // direct negotiation: TLS from the first byte
		if err := h.secure(ctx, hi, &prefixed{c, first[:]}, true); err != nil {
			return nil, err
		}
		first[0] = 0
		if _, err := io.ReadFull(hi.conn, first[:]); err != nil {
			return nil, ignoreEOF(err)
		}
	}
	rest := first[:]
	var askedSSL, askedGSS bool
	for {
		st, err := wire.ReadStartup(hi.conn, rest)
		rest = nil
		if err != nil {
			if errors.Is(err, wire.ErrProtocol) {
				h.refuse(hi, err)
			}
			return nil, ignoreEOF(err)
		}
		switch st.Kind {
		case wire.StartupSSL, wire.StartupGSS:
			asked := &askedSSL
			if st.Kind == wire.StartupGSS {
				asked = &askedGSS
			}
			if *asked || hi.tls != nil {
				return nil, h.refused(hi, fmt.Errorf("%w: encryption was asked for twice", wire.ErrProtocol))
			}
			*asked = true
			answer := byte('N')
			if st.Kind == wire.StartupSSL && h.TLS != nil {
				answer = 'S'
			}
			if _, err := hi.conn.Write([]byte{answer}); err != nil {
				return nil, err
			}
			if answer == 'S' {
				if err := h.secure(ctx, hi, c, false); err != nil {
					return nil, err
				}
			}
		case wire.StartupCancel:
			hi.cancel = st
			return hi, nil
		default:
			if h.RequireTLS && hi.tls == nil && !c.IsKnown() {
				if hi.user, _ = st.Get("user"); h.retries.take(c.RemoteAddr(), hi.user) {
					return nil, h.refused(hi, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, errNeedsTLS))
				}
				return nil, h.refused(hi, errNeedsTLS)
			}
			if err := hi.read(st); err != nil {
				return nil, h.refused(hi, err)
			}
			return hi, nil
		}
	}
}

var errNeedsTLS = errors.New("this gateway requires TLS: connect with sslmode=require or stricter")

func (h *Handler) refused(hi *hello, err error) error {
	h.refuse(hi, err)
	return err
}

// secure does the TLS handshake. direct negotiation needs ALPN, so that no
// other protocol can be confused with this one.
func (h *Handler) secure(ctx context.Context, hi *hello, under net.Conn, direct bool) error {
	if h.TLS == nil {
		return errors.New("the client starts TLS, which is not configured")
	}
	tc := tls.Server(under, h.serverTLS())
	ctx = context.WithValue(ctx, shownKey{}, &hi.shown)
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := tc.ConnectionState()
	if direct && state.NegotiatedProtocol != "postgresql" {
		return errors.New("direct TLS without the protocol name postgresql")
	}
	hi.conn, hi.tls, hi.serverName = tc, tc, strings.ToLower(state.ServerName)
	if certs := state.PeerCertificates; len(certs) > 0 && (h.KnowsCertificate == nil || h.KnowsCertificate(certs[0])) {
		hi.certs = certs
	}
	return nil
}

// read takes over the startup packet's parameters.
func (hi *hello) read(st *wire.Startup) error {
	hi.version = wire.Version30
	if st.Version >= wire.Version32 {
		hi.version = wire.Version32
	}
	var unknown []string
	for _, p := range st.Params {
		switch name := p.Name; {
		case name == "user":
			login, err := proxy.ParseLogin(plus(p.Value))
			if err != nil {
				return fmt.Errorf("%w: %w", errBadLogin, err)
			}
			hi.login, hi.user = login, p.Value
		case name == "database":
			hi.database = p.Value
		case name == "replication":
			hi.replication = p.Value
		case name == "options":
			opts, err := parseOptions(p.Value)
			if err != nil {
				return err
			}
			hi.params = append(hi.params, opts...)
		case strings.HasPrefix(name, "_pq_."):
			unknown = append(unknown, name)
		default:
			hi.params = append(hi.params, p)
		}
	}
	if hi.login.User == "" {
		return fmt.Errorf("%w: no user name was given", errBadLogin)
	}
	if hi.database == hi.user && hi.login.Resource != "" {
		hi.database = "" // no database has such a name: clients send it when nobody named one
	}
	if len(unknown) > 0 || st.Version != hi.version {
		hi.negotiate = wire.AppendNegotiate(nil, hi.version, unknown)
	}
	switch strings.ToLower(hi.replication) {
	case "false", "off", "no", "0":
		hi.replication = ""
	}
	return nil
}

var errBadLogin = errors.New("invalid login")

// plus turns the spaces of a user name that has no plus sign into such: clients that
// read the name from a URL, as JDBC does, make a space of each.
func plus(user string) string {
	if strings.Contains(user, "+") {
		return user
	}
	return strings.ReplaceAll(user, " ", "+")
}

// parseOptions reads the startup parameter "options", a command line of
// settings: "-c name=value" and "--name=value", backslash escaping spaces.
// Every other switch is refused.
func parseOptions(s string) ([]wire.Parameter, error) {
	var words []string
	var word []byte
	in := false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '\\' && i+1 < len(s):
			i++
			word, in = append(word, s[i]), true
		case b == ' ' || b == '\t' || b == '\n' || b == '\v' || b == '\f' || b == '\r':
			if in {
				words = append(words, string(word))
			}
			word, in = word[:0], false
		default:
			word, in = append(word, b), true
		}
	}
	if in {
		words = append(words, string(word))
	}
	var params []wire.Parameter
	for i := 0; i < len(words); i++ {
		w := words[i]
		setting, ok := strings.CutPrefix(w, "--")
		if !ok {
			if setting, ok = strings.CutPrefix(w, "-c"); ok && setting == "" && i+1 < len(words) {
				i++
				setting = words[i]
			}
		}
		name, value, has := strings.Cut(setting, "=")
		// The server takes a dash in a setting's name for an underscore.
		name = strings.ReplaceAll(name, "-", "_")
		if !ok || !has || !validSettingName(name) {
			return nil, &parameterError{name: "options"}
		}
		params = append(params, wire.Parameter{Name: name, Value: value})
	}
	return params, nil
}

func validSettingName(name string) bool {
	for i := range len(name) {
		b := name[i] | 0x20
		if !(b >= 'a' && b <= 'z' || name[i] == '_' || i > 0 && (name[i] >= '0' && name[i] <= '9' || name[i] == '.')) {
			return false
		}
	}
	return name != ""
}

// parameterError says that a startup parameter is not allowed.
type parameterError struct {
	name   string
	allows string // the setting of the resource that does; empty when that is not one
}

func (e *parameterError) Error() string {
	return fmt.Sprintf("the startup parameter %q is not allowed for this resource", e.name)
}

// allowedParams returns the startup parameters for the server, or an error that
// names the first one that the resource does not allow.
func (hi *hello) allowedParams(s *Settings) ([]wire.Parameter, error) {
	var out []wire.Parameter
	for _, p := range hi.params {
		if !s.allowsParameter(p.Name) {
			err := &parameterError{p.Name, "startup_parameters"}
			if defaultStartupParameters[strings.ToLower(p.Name)] { // refused where everything is only read
				err.allows = ""
			}
			return nil, err
		}
		i := slices.IndexFunc(out, func(o wire.Parameter) bool { return strings.EqualFold(o.Name, p.Name) })
		if i >= 0 {
			out[i].Value = p.Value // the last one counts, as in the server
			continue
		}
		out = append(out, p)
	}
	return out, nil
}

// prefixed is a connection whose first bytes were read already.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
