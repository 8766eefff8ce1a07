package tunnel

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sallyport/sallyport/internal/newfile"
)

// Identity is what makes a program an agent: its certificate with the key, and what it knows gateways
// by. It is read-only.
type Identity struct {
	Agent       string
	Certificate tls.Certificate // with Leaf
	Roots       [][]byte        // DER
	Gateways    []string        // addresses that it was told of
}

// Keeper keeps an agent's identity. It is used by one goroutine at a time.
type Keeper interface {
	Load() (*Identity, error)
	// Save keeps another identity in the place of the one before. When it returns without an
	// error, the identity is durable.
	Save(*Identity) error
}

// File is a Keeper with a file that nobody else may read.
type File string

// kept is an identity as a file has it.
type kept struct {
	Agent       string   `json:"agent"`
	Certificate [][]byte `json:"certificate"`
	Key         []byte   `json:"key"`
	Roots       [][]byte `json:"roots"`
	Gateways    []string `json:"gateways,omitempty"`
}

const maxFile = 256 << 10

// Load implements [Keeper].
func (f File) Load() (*Identity, error) {
	st, err := os.Stat(string(f))
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the agent's file %s has the mode %04o: others may read its key. Set it to 0600", string(f), st.Mode().Perm())
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("the agent's file %s has %d bytes, want at most %d", string(f), st.Size(), maxFile)
	}
	b, err := os.ReadFile(string(f))
	if err != nil {
		return nil, err
	}
	var k kept
	if json.Unmarshal(b, &k) != nil {
		return nil, fmt.Errorf("the agent's file %s is not what enrolling writes", string(f)) // what it is may be a secret
	}
	id, err := identityOf(k.Agent, k.Certificate, k.Roots, k.Key)
	if err != nil {
		return nil, fmt.Errorf("the agent's file %s: %w", string(f), err)
	}
	id.Gateways = k.Gateways
	return id, nil
}

func identityOf(agent string, chain, roots [][]byte, key []byte) (*Identity, error) {
	if len(chain) == 0 || len(roots) == 0 {
		return nil, errors.New("it lacks a certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, errors.New("its certificate cannot be read")
	}
	private, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("its key cannot be read")
	}
	signer, ok := private.(*ecdsa.PrivateKey)
	if !ok || !signer.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("its key is not that of its certificate")
	}
	if _, err := pool(roots); err != nil {
		return nil, err
	}
	return &Identity{Agent: agent, Certificate: tls.Certificate{Certificate: chain, PrivateKey: signer, Leaf: leaf}, Roots: roots}, nil
}

// Save implements [Keeper].
func (f File) Save(id *Identity) error {
	key, err := x509.MarshalPKCS8PrivateKey(id.Certificate.PrivateKey)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(kept{Agent: id.Agent, Certificate: id.Certificate.Certificate, Key: key, Roots: id.Roots, Gateways: id.Gateways}, "", "\t")
	if err != nil {
		return err
	}
	err = os.MkdirAll(filepath.Dir(string(f)), 0o700)
	if err == nil {
		err = newfile.Replace(string(f), b)
	}
	if err != nil {
		return fmt.Errorf("keeping the agent's certificate: %w", err)
	}
	return nil
}

// request returns a new key, and a request for its certificate. The name in it is the server's to say.
func request() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(cryptorand.Reader, &x509.CertificateRequest{}, key)
	return key, der, err
}

// accept makes an identity of what a gateway has issued for a key.
func accept(m issued, key *ecdsa.PrivateKey) (*Identity, error) {
	if m.Code != "" {
		return nil, fmt.Errorf("the gateway refuses: %s", clean(m.Text))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	id, err := identityOf(m.Agent, m.Chain, m.Roots, der)
	if err != nil {
		return nil, fmt.Errorf("the certificate that the gateway has issued: %w", err)
	}
	id.Gateways = m.Gateways
	return id, nil
}

// Enrolment is how a program becomes an agent.
type Enrolment struct {
	Gateway string // its address
	Token   Token
	Program string
	// Dial opens the connection to the gateway; nil connects by TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time // nil: time.Now
}

// Enrol uses up the token. The identity that it returns is to be kept: the token opens nothing again.
func (e Enrolment) Enrol(ctx context.Context) (*Identity, error) {
	id, err := e.enrol(ctx)
	if err != nil {
		return nil, fmt.Errorf("enrolling at %s: %w", e.Gateway, err)
	}
	return id, nil
}

func (e Enrolment) enrol(ctx context.Context) (*Identity, error) {
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	key, der, err := request()
	if err != nil {
		return nil, err
	}
	tc, err := connect(ctx, e.Gateway, e.Dial, func(host string) *tls.Config {
		return clientConfig(host, protoEnrol, e.Now, func(chain []*x509.Certificate) error {
			roots, err := pinned(chain, e.Token)
			if err != nil {
				return err
			}
			return verifyGateway(chain, roots, now())
		})
	})
	if err != nil {
		return nil, err
	}
	defer tc.Close()
	b, err := encode(kindEnrol, enrol{Version: version, Program: e.Program, ID: e.Token.ID, Secret: e.Token.Secret, Request: der})
	if err != nil {
		return nil, err
	}
	if _, err := tc.Write(b); err != nil {
		return nil, err
	}
	k, body, err := readFrame(tc, maxBody)
	if err != nil {
		return nil, err
	}
	if k != kindIssued {
		return nil, fmt.Errorf("the gateway has answered by a frame of kind %d, want a certificate", k)
	}
	m, err := decode[issued](body)
	if err != nil {
		return nil, err
	}
	return accept(m, key)
}

// connectTimeout bounds connecting to a gateway, with the handshake.
const connectTimeout = 20 * time.Second

// connect opens a TLS connection to a gateway. The connection's deadline is that of connecting.
func connect(ctx context.Context, address string, open func(ctx context.Context, network, address string) (net.Conn, error), config func(host string) *tls.Config) (*tls.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the gateway's address %q has no host and port", address)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if open == nil {
		open = Direct
	}
	nc, err := open(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	keepAlive(nc)
	tc := tls.Client(whole{nc}, config(host))
	err = nc.SetDeadline(time.Now().Add(connectTimeout))
	if err == nil {
		err = tc.HandshakeContext(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return tc, nil
}
