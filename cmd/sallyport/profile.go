package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/internal/newfile"
	"github.com/sallyport/sallyport/protocol"
	sshkit "github.com/sallyport/sallyport/protocol/ssh/kit"
	"github.com/sallyport/sallyport/proxy"
)

// profile is a login at a gateway, as it is kept on this machine: a folder that its owner
// alone reads.
type profile struct {
	dir, name string

	URL     string `json:"url"`
	Subject string `json:"subject"`
	User    string `json:"user"`            // what to log in as at listeners
	Token   string `json:"token,omitempty"` // the session of the login
	// Factor is the local user who had a second factor when she logged in last: its code is
	// asked for at once.
	Factor  string    `json:"factor,omitempty"`
	Expires time.Time `json:"expires"` // the login
	// Issued and Until are when the certificate was given and when it ends.
	Issued time.Time `json:"issued,omitzero"`
	Until  time.Time `json:"until,omitzero"`
}

// Files of a profile, besides those of known hosts.
const (
	profileFile  = "profile.json"
	authorityPEM = "ca.pem"      // missing: the system's authorities count
	systemPEM    = "ca-root.pem" // of these the one of the gateway, for programs that do not know them
	tlsCert      = "tls-cert.pem"
	tlsKey       = "tls-key.pem"
	tlsKeyDER    = "tls-key.pk8"
	sshKey       = "ssh"
	sshCert      = "ssh-cert.pub"
)

// profileFlag adds --profile.
func profileFlag(f *pflag.FlagSet) *string {
	return envFlag(f, "profile", "", "SALLYPORT_PROFILE", "", "the login's `profile`; empty is the one of the last login; $SALLYPORT_PROFILE")
}

var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// home is where profiles are kept.
func home() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding the place of logins on this machine: %w", err)
	}
	return filepath.Join(dir, "sallyport"), nil
}

// openProfile reads a profile; an empty name is that of the last login. Where there is
// none, nobody has logged in.
func openProfile(name string) (*profile, error) {
	at, err := home()
	if err != nil {
		return nil, err
	}
	if name == "" {
		b, err := os.ReadFile(filepath.Join(at, "current"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNotLoggedIn
		}
		if err != nil {
			return nil, err
		}
		name = strings.TrimSpace(string(b))
	}
	if !profileName.MatchString(name) {
		return nil, fail(exitUsage, "profile %q: want letters, digits, dots, dashes and underscores", name)
	}
	p := &profile{dir: filepath.Join(at, "profiles", name), name: name}
	b, err := os.ReadFile(p.file(profileFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitNotLoggedIn, "there is no login of profile %s; log in: sallyport login URL --profile %s", name, name)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("reading %s: %w", p.file(profileFile), err)
	}
	return p, nil
}

var errNotLoggedIn = fail(exitNotLoggedIn, "not logged in; log in: sallyport login URL")

// profiles returns the names of all logins.
func profiles() ([]string, error) {
	at, err := home()
	if err != nil {
		return nil, err
	}
	list, err := os.ReadDir(filepath.Join(at, "profiles"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range list {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// nameOf is the name of a profile that was not given one: the gateway's host.
func nameOf(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "gateway"
	}
	return strings.NewReplacer(":", "_", "[", "", "]", "").Replace(u.Host)
}

// newProfile begins a profile in place of one that was there.
func newProfile(name, at string) (*profile, error) {
	if name == "" {
		name = nameOf(at)
	}
	if !profileName.MatchString(name) {
		return nil, fail(exitUsage, "profile %q: want letters, digits, dots, dashes and underscores", name)
	}
	base, err := home()
	if err != nil {
		return nil, err
	}
	p := &profile{dir: filepath.Join(base, "profiles", name), name: name, URL: at}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	return p, os.Chmod(p.dir, 0o700)
}

// use makes the profile the one that is used where none is named.
func (p *profile) use() error {
	return newfile.Replace(filepath.Join(filepath.Dir(filepath.Dir(p.dir)), "current"), []byte(p.name+"\n"))
}

func (p *profile) file(name string) string { return filepath.Join(p.dir, name) }

// write replaces a file of the profile, as a whole.
func (p *profile) write(name string, text []byte) error { return newfile.Replace(p.file(name), text) }

func (p *profile) save() error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return p.write(profileFile, append(b, '\n'))
}

// authorities are those of the gateway's own, in PEM; empty: the system's count.
func (p *profile) authorities() (string, error) {
	b, err := os.ReadFile(p.file(authorityPEM))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// api returns a client of the gateway's API, as the profile's user.
func (p *profile) api() (*client.Client, error) {
	if p.Token == "" {
		return nil, errNotLoggedIn
	}
	return p.ask()
}

// ask is a client that may ask before a login, too.
func (p *profile) ask() (*client.Client, error) {
	authorities, err := p.authorities()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: p.URL, Authorities: authorities, Token: proxy.NewSecret(p.Token), Version: clientVersion()})
}

// clientVersion is what gateways are told; a build without a version says none.
func clientVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || !strings.HasPrefix(info.Main.Version, "v") {
		return ""
	}
	return info.Main.Version
}

// certify has a key of the profile certified, which is made when fresh is set.
func (p *profile) certify(ctx context.Context, fresh bool) error {
	api, err := p.api()
	if err != nil {
		return err
	}
	key, csr, err := p.key(fresh)
	if err != nil {
		return err
	}
	got, err := api.Certify(ctx, control.CredentialRequest{CSR: csr})
	if err != nil {
		return err
	}
	if fresh {
		if err := p.keep(key); err != nil {
			return err
		}
	}
	if err := p.learn(ctx, api, got.Authorities); err != nil {
		return err
	}
	p.User, p.Issued, p.Until = got.User, time.Now(), got.Expires
	return errors.Join(
		p.write(tlsCert, []byte(got.Certificate)), p.write(sshCert, []byte(got.SSHCertificate)),
		newfile.Replace(sshkit.KnownHosts(p.dir), []byte(p.known(got.KnownHosts))), p.save(),
	)
}

// learn keeps by what programs know the gateway: the authorities of its own that it has now,
// or the system's one that certifies it.
func (p *profile) learn(ctx context.Context, api *client.Client, own string) error {
	known, err := p.authorities()
	switch {
	case err != nil:
		return err
	case known == "":
		root, err := api.Root(ctx)
		if err != nil {
			return err
		}
		return p.write(systemPEM, []byte(root))
	case own != "":
		return p.write(authorityPEM, []byte(own))
	}
	return nil
}

// key is the profile's key, or another, with the request for its certificate.
func (p *profile) key(fresh bool) (*ecdsa.PrivateKey, string, error) {
	if fresh {
		return client.NewKey()
	}
	text, err := os.ReadFile(p.file(tlsKey))
	if err != nil {
		return nil, "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, "", fmt.Errorf("%s holds no key; log in again", p.file(tlsKey))
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := any.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, "", fmt.Errorf("%s holds no key that this program has made; log in again", p.file(tlsKey))
	}
	csr, err := client.Request(key)
	return key, csr, err
}

// keep writes a key in the forms that clients read.
func (p *profile) keep(key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	ssh, err := gossh.MarshalPrivateKey(key, "sallyport "+p.name)
	if err != nil {
		return err
	}
	return errors.Join(
		p.write(tlsKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), p.write(tlsKeyDER, der),
		p.write(sshKey, pem.EncodeToMemory(ssh)),
	)
}

// known are the gateway's keys under one name, whatever address it is reached by.
func (p *profile) known(lines string) string {
	var out []string
	for line := range strings.Lines(lines) {
		if _, key, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "@") {
			out = append(out, p.name+" "+key)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n") + "\n"
}

// renew has the certificate renewed when less than a third of its time is left. What goes
// wrong matters only when it has ended.
func (p *profile) renew(ctx context.Context) error {
	left := time.Until(p.Until)
	if left > p.Until.Sub(p.Issued)/3 {
		return nil
	}
	err := p.certify(ctx, false)
	if err != nil && left > 0 {
		return nil
	}
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code == control.CodeUnauthenticated {
		return fail(exitNotLoggedIn, "the login at %s has ended; log in again: sallyport login", p.URL)
	}
	return answered(err)
}

// proof are the files that prove the profile's user.
func (p *profile) proof() *protocol.Proof {
	return &protocol.Proof{Certificate: p.file(tlsCert), Key: p.file(tlsKey), KeyDER: p.file(tlsKeyDER), SSHKey: p.file(sshKey), SSHCertificate: p.file(sshCert)}
}

// forget deletes everything that the login has left, and keeps how the gateway is known.
func (p *profile) forget() error {
	var errs []error
	for _, name := range []string{tlsCert, tlsKey, tlsKeyDER, sshKey, sshCert} {
		if err := os.Remove(p.file(name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	p.Token, p.Subject, p.User = "", "", ""
	p.Expires, p.Issued, p.Until = time.Time{}, time.Time{}, time.Time{}
	return errors.Join(append(errs, p.save())...)
}

// listener is the host and port of a resource: one without a host of its own is the API's.
func (p *profile) listener(address string) (host, port string, err error) {
	host, port, err = hostPort(address)
	if err != nil {
		return "", "", err
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		u, err := url.Parse(p.URL)
		if err != nil {
			return "", "", err
		}
		host = u.Hostname()
	}
	return host, port, nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_:][A-Za-z0-9_:.%-]*$`)

// hostPort are the two parts of an address that a gateway names. Programs are given them, so
// that a host is a name or an IP address, and nothing that they may take for another thing.
func hostPort(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host != "" && !hostName.MatchString(host) {
		return "", "", fmt.Errorf("the gateway names %q as an address: want host and port, such as gw.example.com:6432", address)
	}
	return host, port, nil
}

// authorityFile is the file of the authorities by which programs know the gateway.
func (p *profile) authorityFile() (string, error) {
	own, err := p.authorities()
	if err != nil || own != "" {
		return p.file(authorityPEM), err
	}
	return p.file(systemPEM), nil
}
