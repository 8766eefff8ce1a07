package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy/tunnel"
)

// Kinds of the documents of agents that dial out: each agent, and the tokens by which agents enrol.
const (
	KindAgent      = "tunnel-agent"
	KindAgentToken = "tunnel-token"
)

const (
	// AgentLife is how long the certificate of an agent is valid. The agent renews it by itself.
	AgentLife = 14 * 24 * time.Hour
	// MaxTokenLife is how long a token for enrolling may count.
	MaxTokenLife = 7 * 24 * time.Hour
	// AgentStale is for how long agents whose documents do not answer are known by what these said last.
	AgentStale = 15 * time.Minute
)

// Agents enrols agents that dial out, and knows which certificates of theirs count. It is a
// [tunnel.Registry], safe for concurrent use. Its fields are set before it is used.
type Agents struct {
	Authority *Authority // for ForAgents
	Documents identity.Documents

	mu   sync.Mutex
	last map[string]remembered // by name
}

type remembered struct {
	agent agentDocument
	at    time.Time
}

// agentDocument is a document of KindAgent.
type agentDocument struct {
	Enrolment string    `json:"enrolment"` // certificates of others do not count
	Enrolled  time.Time `json:"enrolled"`
	By        string    `json:"by"`   // who has made the token
	From      string    `json:"from"` // the address that it has enrolled from
	Renewed   time.Time `json:"renewed,omitzero"`
	Expires   time.Time `json:"expires"` // of the last certificate
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

func (a *agentDocument) status(name string) AgentStatus {
	return AgentStatus{name, a.Enrolled, a.By, a.From, a.Renewed, a.Expires, a.Revoked, a.RevokedBy, a.Reason}
}

// tokenDocument is a document of KindAgentToken.
type tokenDocument struct {
	Agent   string    `json:"agent"`
	Hash    []byte    `json:"hash"` // of the secret
	By      string    `json:"by"`
	Expires time.Time `json:"expires"`
}

// agentName is the form of agents' names.
var agentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidAgent says what of a name is not that of an agent.
func ValidAgent(name string) error {
	if !agentName.MatchString(name) {
		return fmt.Errorf("the name of an agent has 1 to 63 lower-case letters, digits and dashes, got %q", name)
	}
	return nil
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Agent string        // the name that the agent gets
	By    string        // who asks
	For   time.Duration // how long the token counts; 0 is an hour
}

// AgentToken is a token by which one agent enrols, once.
type AgentToken struct {
	Agent   string
	Text    string // secret
	Expires time.Time
}

// Token makes a token. The agent that enrols with it takes the place of one of its name.
func (c *Agents) Token(ctx context.Context, q TokenRequest) (AgentToken, error) {
	if err := ValidAgent(q.Agent); err != nil {
		return AgentToken{}, err
	}
	if q.For == 0 {
		q.For = time.Hour
	}
	if q.For < 0 || q.For > MaxTokenLife {
		return AgentToken{}, fmt.Errorf("a token for an agent counts for up to %s, got %s", MaxTokenLife, q.For)
	}
	t := tunnel.Token{ID: rand.Text(), Secret: rand.Text(), Pin: tunnel.PinOf(c.Authority.signing().cert)}
	sum := sha256.Sum256([]byte(t.Secret))
	d := tokenDocument{Agent: q.Agent, Hash: sum[:], By: q.By, Expires: c.Authority.now().Add(q.For)}
	body, err := json.Marshal(d)
	if err != nil {
		return AgentToken{}, err
	}
	if _, err := c.Documents.Write(ctx, KindAgentToken, identity.Document{Name: t.ID, Body: body, Expires: d.Expires}); err != nil {
		return AgentToken{}, fmt.Errorf("keeping a token for agent %s: %w", q.Agent, err)
	}
	return AgentToken{Agent: q.Agent, Text: t.Text(), Expires: d.Expires}, nil
}

// Enrol implements [tunnel.Registry].
func (c *Agents) Enrol(ctx context.Context, id, secret string, r *x509.CertificateRequest, from net.Addr) (tunnel.Issued, error) {
	if err := agentKey(r); err != nil {
		return tunnel.Issued{}, err
	}
	kept, err := c.Documents.Get(ctx, KindAgentToken, id)
	if errors.Is(err, identity.ErrNoDocument) {
		return tunnel.Issued{}, tunnel.ErrToken
	}
	if err != nil {
		return tunnel.Issued{}, err
	}
	var t tokenDocument
	if err := json.Unmarshal(kept.Body, &t); err != nil {
		return tunnel.Issued{}, errors.New("the document of a token cannot be read")
	}
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(sum[:], t.Hash) != 1 || !c.Authority.now().Before(t.Expires) {
		return tunnel.Issued{}, tunnel.ErrToken
	}
	// It is used up before it has any use: of two who enrol with it at once, one does.
	if _, err := c.Documents.Write(ctx, KindAgentToken, identity.Document{Name: id, Version: kept.Version}); err != nil {
		if errors.Is(err, identity.ErrConflict) {
			return tunnel.Issued{}, tunnel.ErrToken
		}
		return tunnel.Issued{}, err
	}
	a := agentDocument{Enrolment: rand.Text(), Enrolled: c.Authority.now(), By: t.By, From: from.String()}
	return c.issue(ctx, t.Agent, r, func(agentDocument) (agentDocument, error) { return a, nil })
}

// Renew implements [tunnel.Registry].
func (c *Agents) Renew(ctx context.Context, cert *x509.Certificate, r *x509.CertificateRequest) (tunnel.Issued, error) {
	name, enrolment, err := decodeAgent(cert)
	if err == nil {
		err = agentKey(r)
	}
	if err != nil {
		return tunnel.Issued{}, err
	}
	return c.issue(ctx, name, r, func(a agentDocument) (agentDocument, error) {
		a.Renewed = c.Authority.now()
		return a, a.counts(enrolment)
	})
}

// issue certifies a key, once the document of its agent says so.
func (c *Agents) issue(ctx context.Context, name string, r *x509.CertificateRequest, change func(agentDocument) (agentDocument, error)) (tunnel.Issued, error) {
	expires := c.Authority.now().Add(AgentLife)
	a, err := c.update(ctx, name, func(a agentDocument) (agentDocument, error) {
		a, err := change(a)
		a.Expires = expires
		return a, err
	})
	if err != nil {
		return tunnel.Issued{}, err
	}
	by := c.Authority.signing()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{encodeAgent(name, a.Enrolment)},
		NotBefore: c.Authority.now().Add(-clockSkew), NotAfter: expires, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, r.PublicKey, by.signer)
	if err != nil {
		return tunnel.Issued{}, err
	}
	out := tunnel.Issued{Agent: name, Chain: [][]byte{der, by.cert.Raw}}
	for _, root := range c.Authority.Certificates() {
		out.Roots = append(out.Roots, root.Raw)
	}
	return out, nil
}

// update changes the document of an agent, and returns what it is then.
func (c *Agents) update(ctx context.Context, name string, change func(agentDocument) (agentDocument, error)) (agentDocument, error) {
	for {
		d, err := c.Documents.Get(ctx, KindAgent, name)
		if err != nil && !errors.Is(err, identity.ErrNoDocument) {
			return agentDocument{}, err
		}
		var a agentDocument
		if err == nil && json.Unmarshal(d.Body, &a) != nil {
			return a, fmt.Errorf("the document of agent %s cannot be read", name)
		}
		if a, err = change(a); err != nil {
			return a, err
		}
		d.Name = name
		if d.Body, err = json.Marshal(a); err != nil {
			return a, err
		}
		if _, err = c.Documents.Write(ctx, KindAgent, d); err == nil {
			c.remember(name, a)
			return a, nil
		}
		if !errors.Is(err, identity.ErrConflict) || ctx.Err() != nil {
			return a, err
		}
	}
}

func (a *agentDocument) counts(enrolment string) error {
	if a.Enrolment == "" || a.Enrolment != enrolment || !a.Revoked.IsZero() {
		return tunnel.ErrRevoked
	}
	return nil
}

// Known implements [tunnel.Registry]. While the documents do not answer, agents are known by what these
// said last, for up to AgentStale.
func (c *Agents) Known(ctx context.Context, cert *x509.Certificate) (string, error) {
	name, enrolment, err := decodeAgent(cert)
	if err != nil {
		return "", fmt.Errorf("%w: %w", tunnel.ErrRevoked, err)
	}
	a, err := c.document(ctx, name)
	if err != nil {
		return "", err
	}
	return name, a.counts(enrolment)
}

func (c *Agents) document(ctx context.Context, name string) (agentDocument, error) {
	d, err := c.Documents.Get(ctx, KindAgent, name)
	if errors.Is(err, identity.ErrNoDocument) {
		c.forget(name)
		return agentDocument{}, nil
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if r, ok := c.last[name]; ok && c.Authority.now().Sub(r.at) < AgentStale {
			return r.agent, nil
		}
		return agentDocument{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var a agentDocument
	if json.Unmarshal(d.Body, &a) != nil {
		return a, fmt.Errorf("the document of agent %s cannot be read", name)
	}
	c.remember(name, a)
	return a, nil
}

func (c *Agents) remember(name string, a agentDocument) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = make(map[string]remembered)
	}
	c.last[name] = remembered{a, c.Authority.now()}
}

func (c *Agents) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, name)
}

// AgentStatus is what is kept of an agent.
type AgentStatus struct {
	Name      string
	Enrolled  time.Time
	By        string // who has made its token
	From      string // the address that it has enrolled from
	Renewed   time.Time
	Expires   time.Time // of its last certificate
	Revoked   time.Time // zero: it was not
	RevokedBy string
	Reason    string
}

// Agent returns what is kept of an agent. The error is ErrNoAgent where none of the name has enrolled.
func (c *Agents) Agent(ctx context.Context, name string) (AgentStatus, error) {
	d, err := c.Documents.Get(ctx, KindAgent, name)
	if errors.Is(err, identity.ErrNoDocument) {
		return AgentStatus{}, ErrNoAgent
	}
	if err != nil {
		return AgentStatus{}, err
	}
	var a agentDocument
	if json.Unmarshal(d.Body, &a) != nil {
		return AgentStatus{}, fmt.Errorf("the document of agent %s cannot be read", name)
	}
	return a.status(name), nil
}

// List returns all agents that have enrolled, by name.
func (c *Agents) List(ctx context.Context) ([]AgentStatus, error) {
	var list []AgentStatus
	var bad error
	err := identity.All(ctx, c.Documents, KindAgent, func(d identity.Document) bool {
		var a agentDocument
		if json.Unmarshal(d.Body, &a) != nil {
			bad = fmt.Errorf("the document of agent %s cannot be read", d.Name)
			return false
		}
		list = append(list, a.status(d.Name))
		return true
	})
	return list, errors.Join(err, bad)
}

// ErrNoAgent says that no agent of a name has enrolled.
var ErrNoAgent = errors.New("no agent of this name has enrolled")

// Revocation says why an agent does not count any more.
type Revocation struct {
	Agent  string
	By     string // who says so
	Reason string
}

// Revoke has the certificates of an agent count no more. Gateways end its connections. It can enrol
// again by another token.
func (c *Agents) Revoke(ctx context.Context, r Revocation) error {
	_, err := c.update(ctx, r.Agent, func(a agentDocument) (agentDocument, error) {
		if a.Enrolment == "" {
			return a, fmt.Errorf("revoking agent %q: %w", r.Agent, ErrNoAgent)
		}
		if a.Revoked.IsZero() {
			a.Revoked, a.RevokedBy, a.Reason = c.Authority.now(), r.By, r.Reason
		}
		return a, nil
	})
	return err
}

// Gateway issues a certificate that agents know a gateway by, with that of the authority.
func (c *Agents) Gateway(name string) (tls.Certificate, error) {
	if c.Authority == nil || c.Authority.purpose != ForAgents {
		return tls.Certificate{}, errors.New("certificates of agents need the authority for agents")
	}
	k := c.Authority.signing()
	cert, err := server(k.cert, k.signer, c.Authority.now(), []string{name})
	if err == nil {
		cert.Certificate = append(cert.Certificate, k.cert.Raw)
	}
	return cert, err
}

// agentKey says what of a request's key is not that of an agent.
func agentKey(r *x509.CertificateRequest) error {
	switch k := r.PublicKey.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
	}
	return errors.New("the key of an agent is of ECDSA with P-256 or P-384, or Ed25519")
}

func encodeAgent(name, enrolment string) *url.URL {
	return &url.URL{Scheme: "sallyport", Host: "agent", Path: "/" + name, RawQuery: url.Values{"enrolment": {enrolment}}.Encode()}
}

var errNotAgent = errors.New("the certificate is not one of an agent")

// decodeAgent reads what the certificate of an agent says.
func decodeAgent(cert *x509.Certificate) (name, enrolment string, err error) {
	if len(cert.URIs) != 1 || cert.IsCA {
		return "", "", errNotAgent
	}
	u := cert.URIs[0]
	enrolment = u.Query().Get("enrolment")
	if u.Scheme != "sallyport" || u.Host != "agent" || len(u.Path) < 2 || enrolment == "" {
		return "", "", errNotAgent
	}
	name = u.Path[1:]
	if ValidAgent(name) != nil || name != cert.Subject.CommonName {
		return "", "", errNotAgent
	}
	return name, enrolment, nil
}
