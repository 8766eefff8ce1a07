package tunnel

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DialFunc opens connections, as that of a net.Dialer does.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Direct connects by TCP, and has the system notice when the other end is gone.
func Direct(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		keepAlive(c)
	}
	return c, err
}

// proxyTimeout bounds asking a proxy for a connection.
const proxyTimeout = 15 * time.Second

// Through returns what dials by a proxy: http and https ask by CONNECT, socks5 and socks5h by SOCKS 5. The
// user and password of the URL are the proxy's. Names of gateways are resolved by the proxy. dial opens the
// connection to the proxy; nil connects by TCP. No error holds the password.
func Through(proxy *url.URL, dial DialFunc) (DialFunc, error) {
	if dial == nil {
		dial = Direct
	}
	ports := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	port, ok := ports[proxy.Scheme]
	if !ok || proxy.Hostname() == "" {
		return nil, fmt.Errorf("the proxy %s: want http://, https:// or socks5:// with a host", proxy.Redacted())
	}
	if p := proxy.Port(); p != "" {
		port = p
	}
	at := net.JoinHostPort(proxy.Hostname(), port)
	ask := askConnect
	if strings.HasPrefix(proxy.Scheme, "socks5") {
		ask = askSOCKS
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := throughOne(ctx, proxy, at, network, address, dial, ask)
		if err != nil {
			return nil, fmt.Errorf("by the proxy %s: %w", at, err)
		}
		return c, nil
	}, nil
}

func throughOne(ctx context.Context, proxy *url.URL, at, network, address string, dial DialFunc, ask func(io.ReadWriter, *url.Userinfo, string) error) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	c, err := dial(ctx, network, at)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // a connection that is closed has none
	if proxy.Scheme == "https" {
		tc := tls.Client(c, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
		if err = tc.HandshakeContext(ctx); err == nil {
			c = tc
		}
	}
	if err == nil {
		err = ask(c, proxy.User, address)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// maxAnswer bounds the header of a proxy's answer.
const maxAnswer = 16 << 10

// askConnect asks an HTTP proxy for a connection. It reads no byte after the proxy's answer.
func askConnect(c io.ReadWriter, user *url.Userinfo, address string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", address, address)
	if user != nil {
		password, _ := user.Password()
		fmt.Fprintf(&b, "Proxy-Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	b.WriteString("\r\n")
	if strings.ContainsAny(address, "\r\n ") {
		return errors.New("the address has characters that no address has")
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		return err
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		if len(head) >= maxAnswer {
			return fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
		}
		if _, err := io.ReadFull(c, one); err != nil {
			return fmt.Errorf("it does not answer: %w", err)
		}
		head = append(head, one[0])
	}
	line, _, _ := strings.Cut(string(head), "\r\n")
	version, status, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(status, " ")
	switch {
	case !strings.HasPrefix(version, "HTTP/1."):
		return errors.New("its answer is not HTTP")
	case code == "407":
		return errors.New("it wants a user and a password, or others than it got")
	case len(code) != 3 || code[0] != '2':
		return fmt.Errorf("it refuses: %s", clean(status))
	}
	return nil
}

// Of SOCKS 5, RFC 1928 and RFC 1929.
const (
	socksVersion  = 5
	socksNone     = 0
	socksPassword = 2
	socksConnect  = 1
	socksIPv4     = 1
	socksName     = 3
	socksIPv6     = 4
)

var socksErrors = []string{
	"", "it has failed", "its rules do not allow that", "the network cannot be reached", "the gateway cannot be reached", "the gateway refuses connections",
	"the connection took too long", "it does not know the command", "it does not know the kind of address",
}

// askSOCKS asks a SOCKS proxy for a connection.
func askSOCKS(c io.ReadWriter, user *url.Userinfo, address string) error {
	request, err := socksRequest(address)
	if err != nil {
		return err
	}
	methods := []byte{socksVersion, 1, socksNone}
	if user != nil {
		methods = []byte{socksVersion, 2, socksNone, socksPassword}
	}
	var answer [2]byte
	if err := exchange(c, methods, answer[:]); err != nil {
		return err
	}
	switch {
	case answer[0] != socksVersion:
		return errors.New("its answer is not SOCKS 5")
	case answer[1] == socksPassword && user != nil:
		if err := socksLogin(c, user); err != nil {
			return err
		}
	case answer[1] != socksNone:
		return errors.New("it wants a user and a password, or a way to log in that is not known here")
	}
	var head [4]byte
	if err := exchange(c, request, head[:]); err != nil {
		return err
	}
	if head[0] != socksVersion || head[1] != 0 {
		if n := int(head[1]); n < len(socksErrors) && head[0] == socksVersion {
			return errors.New("it refuses: " + socksErrors[n])
		}
		return errors.New("it refuses")
	}
	return socksBound(c, head[3])
}

func exchange(c io.ReadWriter, send, answer []byte) error {
	if _, err := c.Write(send); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	return nil
}

func socksLogin(c io.ReadWriter, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) == 0 || len(name) > 255 || len(password) > 255 {
		return errors.New("the user and the password for it have 1 to 255 bytes")
	}
	b := append([]byte{1, byte(len(name))}, name...)
	b = append(append(b, byte(len(password))), password...)
	var answer [2]byte
	if err := exchange(c, b, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("it does not take the user and password")
	}
	return nil
}

func socksRequest(address string) ([]byte, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, errors.New("the gateway's address has no port that is a number")
	}
	b := []byte{socksVersion, socksConnect, 0}
	if ip, err := netip.ParseAddr(host); err == nil {
		kind := byte(socksIPv6)
		if ip = ip.Unmap(); ip.Is4() {
			kind = socksIPv4
		}
		b = append(append(b, kind), ip.AsSlice()...)
	} else {
		if len(host) == 0 || len(host) > 255 {
			return nil, errors.New("the gateway's name has 1 to 255 bytes")
		}
		b = append(append(b, socksName, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(b, uint16(port)), nil
}

// socksBound reads away the address that the proxy connects from.
func socksBound(c io.Reader, kind byte) error {
	n := 0
	switch kind {
	case socksIPv4:
		n = net.IPv4len
	case socksIPv6:
		n = net.IPv6len
	case socksName:
		var size [1]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return err
		}
		n = int(size[0])
	default:
		return errors.New("its answer is not SOCKS 5")
	}
	_, err := io.CopyN(io.Discard, c, int64(n)+2)
	return err
}
