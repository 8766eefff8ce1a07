package ssh

import (
	"bytes"
	"testing"
)

// FuzzPayloads: the payload of any request is either refused or lies within the
// limits, and forwarding requests survive being written again.
func FuzzPayloads(f *testing.F) {
	f.Add(appendText(nil, "ls"))
	f.Add(tcpChannel{"localhost", 80, "127.0.0.1", 1}.marshal())
	f.Add(appendDirectSocket(nil, "/run/x"))
	f.Add(append(appendText(appendText(nil, "LANG"), "C"), 0))
	f.Add(append(appendText(nil, "xterm"), make([]byte, 20)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseTCPChannel(b); err == nil && !bytes.Equal(r.marshal(), b) {
			t.Fatalf("%+v is not %x", r, b)
		}
		if s, err := parseText(b, maxCommand); err == nil && !bytes.Equal(appendText(nil, s), b) {
			t.Fatal("a text is not what was read")
		}
		if r, err := parsePty(b); err == nil && (len(r.Term) > maxName || len(r.Modes) > maxModes) {
			t.Fatal("a terminal beyond the limits")
		}
		if name, value, err := parseEnv(b); err == nil && (len(name) > maxName || len(value) > maxValue) {
			t.Fatal("a variable beyond the limits")
		}
		if s, err := parseDirectSocket(b); err == nil && len(s) > maxHost {
			t.Fatal("a socket beyond the limits")
		}
		if r, err := parseTCPForward(b); err == nil && r.Port > 65535 {
			t.Fatal("no port")
		}
		parseForwardedSocket(b)
		parseX11(b)
		parseX11Channel(b)
		parseExitSignal(b)
		parseWindowChange(b)
		parseUint32(b)
		if len(b) > 0 && harmlessQuestion(b) && b[0] != agentRequestIdentities && b[0] != agentSignRequest {
			t.Fatal("an agent is asked for something else")
		}
	})
}
