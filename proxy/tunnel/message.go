package tunnel

import (
	"encoding/json"
	"fmt"
	"time"
)

// Versions of the protocol. A peer of another version is spoken with when both know the lower of the
// two; members of messages that a receiver does not know are left out.
const (
	version       = 1
	oldestVersion = 1
)

// Limits of what messages hold.
const (
	maxText     = 300 // bytes of a text or an address
	maxGateways = 64
	maxChain    = 8 // certificates
)

// hello is the first frame of an agent on a control line.
type hello struct {
	Version  int    `json:"version"`
	Oldest   int    `json:"oldest"`
	Program  string `json:"program,omitempty"`
	Host     string `json:"host,omitempty"`
	Instance string `json:"instance"` // of the process, from one start to the next
}

// welcome is the gateway's answer.
type welcome struct {
	Version  int      `json:"version"`
	Oldest   int      `json:"oldest"`
	Program  string   `json:"program,omitempty"`
	Gateway  string   `json:"gateway"`
	Address  string   `json:"address,omitempty"` // of this gateway and no other one
	Beat     millis   `json:"beat"`
	Gateways []string `json:"gateways,omitempty"`
}

// why says why a connection ends, or a dial or a request has failed.
type why struct {
	ID   []byte `json:"id,omitempty"` // of the dial
	Code Code   `json:"code"`
	Text string `json:"text,omitempty"`
}

// dial asks an agent for a connection to a resource.
type dial struct {
	ID      []byte `json:"id"`
	Key     []byte `json:"key"`
	Address string `json:"address"`
	Session string `json:"session,omitempty"`
	Within  millis `json:"within"`
}

// cancel ends a dial that nobody waits for.
type cancel struct {
	ID []byte `json:"id"`
}

// gateways are the addresses of all gateways.
type gateways struct {
	Gateways []string `json:"gateways"`
}

// renew asks for another certificate.
type renew struct {
	Request []byte `json:"request"`
}

// enrol asks for the first certificate.
type enrol struct {
	Version int    `json:"version"`
	Program string `json:"program,omitempty"`
	ID      string `json:"id"`
	Secret  string `json:"secret"`
	Request []byte `json:"request"`
}

// issued is a certificate with its authorities, or why it was refused.
type issued struct {
	Agent    string   `json:"agent,omitempty"`
	Chain    [][]byte `json:"chain,omitempty"`
	Roots    [][]byte `json:"roots,omitempty"`
	Gateways []string `json:"gateways,omitempty"`
	Code     Code     `json:"code,omitempty"`
	Text     string   `json:"text,omitempty"`
}

// millis is a duration in milliseconds. It is relative: the clocks of agents and gateways are not
// compared.
type millis int64

func inMillis(d time.Duration) millis { return millis(d / time.Millisecond) }

// within returns the duration, between two bounds.
func (m millis) within(low, high time.Duration) time.Duration {
	if m < 0 || m > millis(high/time.Millisecond) {
		return high
	}
	return max(low, time.Duration(m)*time.Millisecond)
}

// Code says why an agent or a gateway did not do what it was asked.
type Code string

// Codes.
const (
	CodeNotAllowed  Code = "not_allowed" // the address is outside of the agent's list
	CodeUnreachable Code = "unreachable" // the resource does not answer
	CodeBusy        Code = "busy"        // the agent has too many connections
	CodeInvalid     Code = "invalid"     // the message could not be read
	CodeVersion     Code = "version"     // the peers have no version in common
	CodeInUse       Code = "in_use"      // another agent of the same name is connected
	CodeRevoked     Code = "revoked"     // the agent's certificate does not count any more
	CodeToken       Code = "token"       // the enrolment token does not count
	CodeUnavailable Code = "unavailable" // the gateway cannot find out at the moment
)

// checker is a message that knows its limits.
type checker interface{ check() error }

// decode reads a message, and compares it with its limits.
func decode[M any, P interface {
	*M
	checker
}](body []byte) (M, error) {
	var m M
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("the message cannot be read: %T is not JSON of its form", m)
	}
	if err := P(&m).check(); err != nil {
		return m, fmt.Errorf("%T: %w", m, err)
	}
	return m, nil
}

func short(texts ...string) error {
	for _, t := range texts {
		if len(t) > maxText {
			return fmt.Errorf("got a text of %d bytes, want at most %d", len(t), maxText)
		}
	}
	return nil
}

func few(n, limit int) error {
	if n > limit {
		return fmt.Errorf("got a list of %d, want at most %d", n, limit)
	}
	return nil
}

func sized(b []byte, n int) error {
	if len(b) != n {
		return fmt.Errorf("got %d bytes, want %d", len(b), n)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *hello) check() error {
	if m.Instance == "" {
		return fmt.Errorf("it has no instance")
	}
	return short(m.Program, m.Host, m.Instance)
}

func (m *welcome) check() error {
	return first(few(len(m.Gateways), maxGateways), short(m.Gateways...), short(m.Program, m.Gateway, m.Address))
}
func (m *why) check() error { return short(string(m.Code), m.Text) }
func (m *dial) check() error {
	return first(sized(m.ID, idSize), sized(m.Key, keySize), short(m.Address, m.Session))
}
func (m *cancel) check() error { return sized(m.ID, idSize) }
func (m *gateways) check() error {
	return first(few(len(m.Gateways), maxGateways), short(m.Gateways...))
}
func (m *renew) check() error { return nil }
func (m *enrol) check() error { return short(m.Program, m.ID, m.Secret) }
func (m *issued) check() error {
	return first(few(len(m.Chain), maxChain), few(len(m.Roots), maxChain), few(len(m.Gateways), maxGateways),
		short(m.Gateways...), short(m.Agent, string(m.Code), m.Text))
}

// clean makes a text that a peer has sent safe to show and to log.
func clean(text string) string {
	b := []rune(text)
	if len(b) > maxText {
		b = b[:maxText]
	}
	for i, r := range b {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			b[i] = '?'
		}
	}
	return string(b)
}
