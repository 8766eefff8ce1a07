package ssh

import (
	"encoding/binary"
	"errors"
)

// The payloads of requests, read strictly: every field within its bounds, and
// nothing after the last one. RFC 4254 gives their forms.

var errPayload = errors.New("malformed request")

// payload reads fields off a request's payload. After the last field, done
// tells whether all of it was well formed.
type payload struct {
	b   []byte
	bad bool
}

func (p *payload) uint32() uint32 {
	if len(p.b) < 4 {
		p.bad = true
		return 0
	}
	v := binary.BigEndian.Uint32(p.b)
	p.b = p.b[4:]
	return v
}

func (p *payload) boolean() bool {
	if len(p.b) < 1 {
		p.bad = true
		return false
	}
	v := p.b[0] != 0
	p.b = p.b[1:]
	return v
}

func (p *payload) text(limit int) string {
	n := p.uint32()
	if p.bad || uint64(n) > uint64(len(p.b)) || uint64(n) > uint64(limit) {
		p.bad = true
		return ""
	}
	v := string(p.b[:n])
	p.b = p.b[n:]
	return v
}

func (p *payload) done() error {
	if p.bad || len(p.b) > 0 {
		return errPayload
	}
	return nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

const (
	maxName    = 256       // names of variables, signals, terminals, subsystems
	maxValue   = 32 << 10  // a variable's value
	maxCommand = 128 << 10 // Linux' own limit for one argument
	maxModes   = 4 << 10   // encoded terminal modes
	maxHost    = 1024      // host names and socket paths
)

// ptyRequest is "pty-req", RFC 4254 section 6.2.
type ptyRequest struct {
	Term          string
	Columns, Rows uint32
	Width, Height uint32 // pixels
	Modes         string
}

func parsePty(b []byte) (r ptyRequest, err error) {
	p := payload{b: b}
	r = ptyRequest{p.text(maxName), p.uint32(), p.uint32(), p.uint32(), p.uint32(), p.text(maxModes)}
	return r, p.done()
}

func (r *ptyRequest) marshal() []byte {
	b := appendText(nil, r.Term)
	for _, v := range []uint32{r.Columns, r.Rows, r.Width, r.Height} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return appendText(b, r.Modes)
}

// windowChange is "window-change", section 6.7.
type windowChange struct{ Columns, Rows, Width, Height uint32 }

func parseWindowChange(b []byte) (r windowChange, err error) {
	p := payload{b: b}
	r = windowChange{p.uint32(), p.uint32(), p.uint32(), p.uint32()}
	return r, p.done()
}

// parseText reads a payload of one string, as of "exec" and "subsystem" (section
// 6.5) and "signal" (section 6.9).
func parseText(b []byte, limit int) (string, error) {
	p := payload{b: b}
	s := p.text(limit)
	return s, p.done()
}

func parseEnv(b []byte) (name, value string, err error) {
	p := payload{b: b}
	name, value = p.text(maxName), p.text(maxValue)
	return name, value, p.done()
}

// x11Request is "x11-req", section 6.3.1.
type x11Request struct {
	Single           bool
	Protocol, Cookie string
	Screen           uint32
}

func parseX11(b []byte) (r x11Request, err error) {
	p := payload{b: b}
	r = x11Request{p.boolean(), p.text(maxName), p.text(maxName), p.uint32()}
	return r, p.done()
}

// exitSignal is "exit-signal", section 6.10.
type exitSignal struct {
	Signal   string
	Core     bool
	Message  string
	Language string
}

func parseExitSignal(b []byte) (r exitSignal, err error) {
	p := payload{b: b}
	r = exitSignal{p.text(maxName), p.boolean(), p.text(maxValue), p.text(maxName)}
	return r, p.done()
}

func parseUint32(b []byte) (uint32, error) {
	p := payload{b: b}
	v := p.uint32()
	return v, p.done()
}

// tcpChannel is the extra data of "direct-tcpip" and "forwarded-tcpip" channels,
// section 7.2.
type tcpChannel struct {
	Host       string
	Port       uint32
	Originator string
	OrigPort   uint32
}

func parseTCPChannel(b []byte) (r tcpChannel, err error) {
	p := payload{b: b}
	r = tcpChannel{p.text(maxHost), p.uint32(), p.text(maxHost), p.uint32()}
	if r.Port > 65535 || r.OrigPort > 65535 {
		p.bad = true
	}
	return r, p.done()
}

func (r tcpChannel) marshal() []byte {
	b := appendText(nil, r.Host)
	b = binary.BigEndian.AppendUint32(b, r.Port)
	b = appendText(b, r.Originator)
	return binary.BigEndian.AppendUint32(b, r.OrigPort)
}

// tcpForward is "tcpip-forward" and "cancel-tcpip-forward", section 7.1.
type tcpForward struct {
	Host string
	Port uint32
}

func parseTCPForward(b []byte) (r tcpForward, err error) {
	p := payload{b: b}
	r = tcpForward{p.text(maxHost), p.uint32()}
	if r.Port > 65535 {
		p.bad = true
	}
	return r, p.done()
}

// socketChannel is the extra data of "direct-streamlocal@openssh.com" (with an
// originator) and "forwarded-streamlocal@openssh.com" (with a reserved string);
// OpenSSH's PROTOCOL, section 2.4.
func parseDirectSocket(b []byte) (socket string, err error) {
	p := payload{b: b}
	socket = p.text(maxHost)
	p.text(maxHost)
	p.uint32()
	return socket, p.done()
}

func appendDirectSocket(b []byte, socket string) []byte {
	b = appendText(b, socket)
	b = appendText(b, "")
	return binary.BigEndian.AppendUint32(b, 0)
}

func parseForwardedSocket(b []byte) (socket string, err error) {
	p := payload{b: b}
	socket = p.text(maxHost)
	p.text(maxHost)
	return socket, p.done()
}

// parseX11Channel reads the extra data of "x11" channels, section 6.3.2.
func parseX11Channel(b []byte) (originator string, port uint32, err error) {
	p := payload{b: b}
	originator, port = p.text(maxHost), p.uint32()
	return originator, port, p.done()
}

// signals are the names of section 6.9, and OpenSSH's INFO.
var signals = map[string]bool{
	"ABRT": true, "ALRM": true, "FPE": true, "HUP": true, "ILL": true, "INT": true, "KILL": true, "PIPE": true,
	"QUIT": true, "SEGV": true, "TERM": true, "USR1": true, "USR2": true, "INFO@openssh.com": true,
}
