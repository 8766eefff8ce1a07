package wire

import (
	"encoding/binary"
	"fmt"
)

// NonceLen is the length of what a server has clients mix into their proofs.
const NonceLen = 20

// Greeting is what a server says first.
type Greeting struct {
	Version      string
	ID           uint32 // of the connection
	Nonce        [NonceLen]byte
	Capabilities Capabilities
	Charset      byte
	Status       uint16
	Plugin       string // by which the client is to prove itself
}

// AppendGreeting appends g's payload. A greeting with capabilities of MariaDB's own
// says them where g has no LongPassword.
func AppendGreeting(dst []byte, g *Greeting) []byte {
	dst = append(dst, 10)
	dst = append(append(dst, g.Version...), 0)
	dst = binary.LittleEndian.AppendUint32(dst, g.ID)
	dst = append(append(dst, g.Nonce[:8]...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Capabilities))
	dst = append(dst, g.Charset)
	dst = binary.LittleEndian.AppendUint16(dst, g.Status)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Capabilities>>16))
	dst = append(dst, NonceLen+1, 0, 0, 0, 0, 0, 0)
	if g.Capabilities.Has(LongPassword) {
		dst = append(dst, 0, 0, 0, 0)
	} else {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(g.Capabilities>>32))
	}
	dst = append(append(dst, g.Nonce[8:]...), 0)
	return append(append(dst, g.Plugin...), 0)
}

// ParseGreeting reads a greeting's payload.
func ParseGreeting(b []byte) (*Greeting, error) {
	c := cursor{b: b}
	if v := c.byte(); !c.bad && v != 10 {
		return nil, fmt.Errorf("%w: the server speaks version %d of the protocol, want 10", ErrProtocol, v)
	}
	g := &Greeting{Version: string(c.cstring()), ID: c.uint32()}
	copy(g.Nonce[:8], c.bytes(8))
	c.byte()
	low := c.uint16()
	g.Charset, g.Status = c.byte(), c.uint16()
	g.Capabilities = Capabilities(low) | Capabilities(c.uint16())<<16
	n := c.byte()
	c.bytes(6)
	if own := c.uint32(); !g.Capabilities.Has(LongPassword) {
		g.Capabilities |= Capabilities(own) << 32
	}
	if c.bad || !g.Capabilities.Has(Protocol41|SecureConnection) {
		return nil, invalid("greeting, or one of a server from before version 4.1")
	}
	second := c.bytes(uint64(max(13, int(n)-8)))
	if len(second) < 13 || second[12] != 0 {
		return nil, invalid("greeting: the nonce does not have 20 bytes")
	}
	copy(g.Nonce[8:], second[:12])
	if g.Capabilities.Has(PluginAuth) {
		g.Plugin = string(c.ending())
	}
	if c.bad {
		return nil, invalid("greeting")
	}
	return g, nil
}

// Attr is one of a connection's attributes.
type Attr struct{ Name, Value []byte }

// Response is a client's answer to a greeting. Its byte slices are views.
type Response struct {
	Capabilities Capabilities
	MaxPacket    uint32
	Charset      byte
	User         []byte
	Auth         []byte // the proof
	Database     []byte
	Plugin       []byte // whose proof it is
	Attrs        []Attr
}

// responseHead is how long the beginning of a response is, which is all of it when a
// client asks for TLS.
const responseHead = 32

func appendHead(dst []byte, r *Response) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.Capabilities))
	dst = binary.LittleEndian.AppendUint32(dst, r.MaxPacket)
	dst = append(dst, r.Charset)
	dst = append(dst, make([]byte, 19)...)
	if r.Capabilities.Has(LongPassword) {
		return append(dst, 0, 0, 0, 0)
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(r.Capabilities>>32))
}

// AppendTLSRequest appends the payload that asks for TLS, before the response r.
func AppendTLSRequest(dst []byte, r *Response) []byte { return appendHead(dst, r) }

// AppendResponse appends r's payload, in the form for PluginAuthLength where that is agreed
// on.
func AppendResponse(dst []byte, r *Response) []byte {
	dst = appendHead(dst, r)
	dst = append(append(dst, r.User...), 0)
	switch {
	case r.Capabilities.Has(PluginAuthLength):
		dst = AppendBytes(dst, r.Auth)
	default:
		dst = append(append(dst, byte(len(r.Auth))), r.Auth...)
	}
	if r.Capabilities.Has(ConnectWithDB) {
		dst = append(append(dst, r.Database...), 0)
	}
	if r.Capabilities.Has(PluginAuth) {
		dst = append(append(dst, r.Plugin...), 0)
	}
	if r.Capabilities.Has(ConnectAttrs) {
		dst = appendAttrs(dst, r.Attrs)
	}
	return dst
}

func appendAttrs(dst []byte, attrs []Attr) []byte {
	var all []byte
	for _, a := range attrs {
		all = AppendBytes(AppendBytes(all, a.Name), a.Value)
	}
	return AppendBytes(dst, all)
}

// ParseResponse reads a response's payload. tls is true when it is no more than a request
// for TLS.
func ParseResponse(b []byte) (r *Response, tls bool, err error) {
	c := cursor{b: b}
	r = &Response{Capabilities: Capabilities(c.uint32())}
	if !c.bad && !r.Capabilities.Has(Protocol41|SecureConnection) {
		return nil, false, fmt.Errorf("%w: the client is from before version 4.1", ErrProtocol)
	}
	r.MaxPacket, r.Charset = c.uint32(), c.byte()
	c.bytes(19)
	if own := c.uint32(); !r.Capabilities.Has(LongPassword) {
		r.Capabilities |= Capabilities(own) << 32
	}
	if c.bad {
		return nil, false, invalid("handshake response")
	}
	if len(b) == responseHead {
		if !r.Capabilities.Has(TLS) {
			return nil, false, invalid("handshake response")
		}
		return r, true, nil
	}
	r.User = c.cstring()
	if r.Capabilities.Has(PluginAuthLength) {
		r.Auth = c.lengthBytes()
	} else {
		r.Auth = c.bytes(uint64(c.byte()))
	}
	if r.Capabilities.Has(ConnectWithDB) && len(c.b) > 0 {
		r.Database = c.ending()
	}
	if r.Capabilities.Has(PluginAuth) && len(c.b) > 0 {
		r.Plugin = c.ending()
	}
	if r.Capabilities.Has(ConnectAttrs) && len(c.b) > 0 {
		r.Attrs = parseAttrs(&c)
	}
	if c.bad {
		return nil, false, invalid("handshake response")
	}
	return r, false, nil
}

func parseAttrs(c *cursor) (list []Attr) {
	all := cursor{b: c.lengthBytes()}
	for len(all.b) > 0 && !all.bad {
		list = append(list, Attr{all.lengthBytes(), all.lengthBytes()})
	}
	c.bad = c.bad || all.bad
	return list
}

// Switch asks a client to prove itself by another plugin.
type Switch struct {
	Plugin string
	Data   []byte
}

// AppendSwitch appends the payload of s.
func AppendSwitch(dst []byte, s *Switch) []byte {
	dst = append(append(append(dst, EOFHeader), s.Plugin...), 0)
	return append(append(dst, s.Data...), 0)
}

// ParseSwitch reads a payload that begins with EOFHeader. One of that byte alone asks for
// the proof from before version 4.1.
func ParseSwitch(b []byte) (*Switch, error) {
	if len(b) == 1 {
		return &Switch{Plugin: "mysql_old_password"}, nil
	}
	c := cursor{b: b[1:]}
	s := &Switch{Plugin: string(c.cstring()), Data: c.rest()}
	if c.bad {
		return nil, invalid("request for another plugin")
	}
	if n := len(s.Data); n > 0 && s.Data[n-1] == 0 {
		s.Data = s.Data[:n-1]
	}
	return s, nil
}

// UserChange is what a client says that logs in anew on its connection.
type UserChange struct {
	User, Auth, Database []byte
	Charset              uint16
	Plugin               []byte
	Attrs                []Attr
}

// ParseUserChange reads the payload of a ChangeUser after its first byte.
func ParseUserChange(b []byte, agreed Capabilities) (*UserChange, error) {
	c := cursor{b: b}
	u := &UserChange{User: c.cstring()}
	u.Auth = c.bytes(uint64(c.byte()))
	u.Database = c.cstring()
	if len(c.b) >= 2 {
		u.Charset = c.uint16()
	}
	if agreed.Has(PluginAuth) && len(c.b) > 0 {
		u.Plugin = c.ending()
	}
	if agreed.Has(ConnectAttrs) && len(c.b) > 0 {
		u.Attrs = parseAttrs(&c)
	}
	if c.bad {
		return nil, invalid(ChangeUser.String())
	}
	return u, nil
}

// AppendUserChange appends u's payload with its first byte.
func AppendUserChange(dst []byte, u *UserChange, agreed Capabilities) []byte {
	dst = append(append(append(dst, byte(ChangeUser)), u.User...), 0)
	dst = append(append(dst, byte(len(u.Auth))), u.Auth...)
	dst = append(append(dst, u.Database...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, u.Charset)
	if agreed.Has(PluginAuth) {
		dst = append(append(dst, u.Plugin...), 0)
	}
	if agreed.Has(ConnectAttrs) {
		dst = appendAttrs(dst, u.Attrs)
	}
	return dst
}
