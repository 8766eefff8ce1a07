// Package kit assembles SSH with everything that belongs to it: host keys and
// authorities that are kept in a folder, the files of known hosts, the menu of
// what a user can reach, and the grammar of command lines.
package kit

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

const name = "ssh"

// Config is what a kit is made of.
type Config struct {
	// Dir is the folder of the gateway's host key, its authorities and the keys of
	// resources that are trusted at first sight. It is made, with new keys, by the
	// first handler. It is needed.
	Dir string
	// Keys keeps the gateway's private keys; nil: they are files in Dir.
	Keys protocol.Keys
	// Authorities opens what signs certificates for hosts and for resources; nil: each has one key, of Keys.
	Authorities func(name string, first func() (crypto.PrivateKey, error)) (protocol.Authority, error)
	// FirstSeen keeps the keys that resources showed when they were first reached, where they
	// are trusted then; nil: they are a file in Dir.
	FirstSeen protocol.FirstSeen
	// Domain is a further host name by which clients know the gateway.
	Domain string
	// Listeners returns the gateway's: forwards may not lead there, and clients know the
	// gateway by the hosts of those of this protocol. Nil: there are none.
	Listeners func() []protocol.Listener
	// Resources returns the gateway's resources, of all protocols. Nil: there are
	// none.
	Resources func() proxy.Resources
	// May reports whether id may connect to a target, for the menu. Nil: nobody may.
	May func(id *proxy.Identity, t proxy.Target) bool
	// KnowsKey is [ssh.Handler]'s.
	KnowsKey func(user string, key []byte) bool
}

// Kit is SSH, wired. It is safe for concurrent use.
type Kit struct {
	config     Config
	keys       func() (*keys, error)
	publishing sync.Mutex // of the files that others read
}

// keys are the gateway's, and those that it has seen.
type keys struct {
	host        []gossh.Signer
	authorities *authorities
	known       ssh.KnownHosts
}

// New returns a kit. It does not touch the folder.
func New(c Config) *Kit {
	k := &Kit{config: c}
	k.keys = sync.OnceValues(k.open)
	return k
}

// open reads the folder's keys, or makes them, and tells clients of them.
func (k *Kit) open() (*keys, error) {
	if k.config.Dir == "" {
		return nil, errors.New("SSH needs a folder for the gateway's keys")
	}
	keep := k.config.Keys
	if keep == nil {
		keep = filesIn(k.config.Dir)
	}
	host, err := openHostKeys(keep)
	if err != nil {
		return nil, fmt.Errorf("SSH host key: %w", err)
	}
	authorities, err := k.openAuthorities(keep)
	if err != nil {
		return nil, fmt.Errorf("SSH authority: %w", err)
	}
	o := &keys{host: host, authorities: authorities, known: k.firstSeen()}
	if err := k.publish(o); err != nil {
		return nil, fmt.Errorf("SSH known hosts: %w", err)
	}
	return o, nil
}

// Handler returns the handler of one listener, for one resource or, when resource
// is empty, for those that clients name.
func (k *Kit) Handler(resource string) (*ssh.Handler, error) {
	o, err := k.keys()
	if err != nil {
		return nil, err
	}
	h := &ssh.Handler{
		Resource: resource, HostKeys: o.host, Authority: o.authorities.signing, Names: k.names, KnownHosts: o.known,
		Reachable: func(_ context.Context, id *proxy.Identity) []ssh.Choice { return k.reachable(id) },
		Own:       k.addresses, Grammar: &commandline.Grammar{},
	}
	if knows := k.config.KnowsKey; knows != nil {
		h.KnowsKey = func(_ context.Context, user string, key []byte) bool { return knows(user, key) }
	}
	return h, nil
}

// Revised brings what others know the gateway by up to date, once its listeners,
// resources or authorities have changed.
func (k *Kit) Revised() error {
	o, err := k.keys()
	if err != nil {
		return err
	}
	if err := k.publish(o); err != nil {
		return fmt.Errorf("SSH known hosts: %w", err)
	}
	return nil
}

// Exec returns the operation that runs a command line, which may ask for a shell.
func (k *Kit) Exec(line string) *proxy.Exec {
	kind := proxy.KindExec
	if line == "" || (&commandline.Grammar{}).IsShell(line) {
		kind = proxy.KindShell
	}
	return &proxy.Exec{Meta: proxy.Meta{Kind: kind}, Command: line}
}

// addresses are those that the gateway listens on.
func (k *Kit) addresses() []netip.AddrPort {
	var list []netip.AddrPort
	for _, l := range k.listeners() {
		if a, err := net.ResolveTCPAddr("tcp", l.Address); err == nil {
			list = append(list, a.AddrPort())
		}
	}
	return list
}

func (k *Kit) listeners() []protocol.Listener {
	if k.config.Listeners == nil {
		return nil
	}
	return k.config.Listeners()
}

// resources are those of this protocol.
func (k *Kit) resources() []*proxy.Resource {
	if k.config.Resources == nil {
		return nil
	}
	var list []*proxy.Resource
	for _, r := range k.config.Resources() {
		if r.Type == name {
			list = append(list, r)
		}
	}
	return list
}

// reachable lists the resources that id may connect to, each account of its own
// where there are several.
func (k *Kit) reachable(id *proxy.Identity) []ssh.Choice {
	var list []ssh.Choice
	for _, r := range k.resources() {
		for _, a := range r.Accounts {
			if k.config.May == nil || !k.config.May(id, proxy.Target{Resource: r, Account: a}) {
				continue
			}
			c := ssh.Choice{Resource: r.Name}
			if len(r.Accounts) > 1 {
				c.Account = a.Name
			}
			for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
				c.About = strings.TrimSpace(c.About + " " + label + "=" + r.Labels[label])
			}
			list = append(list, c)
		}
	}
	return list
}

// names are the host names of the gateway's listeners.
func (k *Kit) names() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if k.config.Domain != "" {
		names = append(names, k.config.Domain)
	}
	for _, l := range k.listeners() {
		if host, _, err := net.SplitHostPort(l.Address); l.Protocol == name && err == nil && host != "" && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// Protocol returns SSH for an assembly.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: name, DefaultPort: 22, Keys: true, LoginLinks: true,
		// Those of Debian, Red Hat and their like, and of the images of clouds.
		Reserved: []string{
			"root", "toor", "daemon", "bin", "sys", "adm", "lp", "sync", "shutdown", "halt", "mail", "news", "uucp", "proxy", "www-data", "backup", "list", "irc", "games", "man",
			"ftp", "nobody", "sshd", "messagebus", "dbus", "polkitd", "chrony", "tss", "nginx", "apache", "redis", "mysql", "postgres", "docker", "git", "jenkins",
			"admin", "ubuntu", "debian", "centos", "fedora", "rocky", "ec2-user", "opc", "azureuser", "cloud-user", "core", "vagrant", "sallyport",
		},
		Kinds: []proxy.Kind{
			proxy.KindConnect, proxy.KindExec, proxy.KindShell, proxy.KindSubsystem, proxy.KindInput, proxy.KindFile,
			proxy.KindForward, proxy.KindAgent, proxy.KindX11, proxy.KindEnv, proxy.KindCommand, proxy.KindRunbook,
		},
		Settings: func() any { return &ssh.Settings{} },
		Allows:   allows,
		Open:     open,
		Client:   client,
		Exec:     execute,
	}
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	k := New(Config{Dir: a.Dir, Keys: a.Keys, Authorities: a.Authorities, FirstSeen: a.FirstSeen, Domain: a.Domain, Listeners: a.Listeners, Resources: a.Resources, May: a.May, KnowsKey: a.KnowsKey})
	return &protocol.Service{
		Handler: func(resource string) (proxy.Handler, error) {
			if a.Gateway == nil {
				return nil, fmt.Errorf("serving %s: the assembly has no gateway", name)
			}
			h, err := k.Handler(resource)
			if err != nil {
				return nil, err
			}
			return h, nil
		},
		Revised:   k.Revised,
		Operation: func(_ context.Context, _ proxy.Target, text string) (proxy.Op, error) { return k.Exec(text), nil },
		Further:   further, Refuses: refuses, Reach: k.reach,
		Clients: protocol.Clients{Terminal: openTerminal, Command: runCommand, Files: openFiles}, Files: []string{KnownHosts(a.Dir)},
	}, nil
}

// reach logs in to a session's resource. It makes no keys and remembers none, since it
// may run as another user than the gateway does.
func (k *Kit) reach(ctx context.Context, s *proxy.Session) error {
	h := &ssh.Handler{KnownHosts: glance{k.firstSeen()}}
	if set, ok := s.Target.Resource.Settings.(ssh.Settings); ok && set.Mint {
		o, err := k.keys()
		if err != nil {
			return err
		}
		h.Authority = o.authorities.signing
	}
	return h.Reach(ctx, s)
}

// judge is a handler that serves nothing and knows what commands ask for.
func judge() *ssh.Handler { return &ssh.Handler{Grammar: &commandline.Grammar{}} }

// further is what sessions ask about besides a command.
func further(op proxy.Op) (list []proxy.Op) {
	if e, ok := op.(*proxy.Exec); ok {
		for _, f := range judge().Operations(e) {
			list = append(list, f)
		}
	}
	return list
}

// refuses is what a resource's settings say to a command.
func refuses(t proxy.Target, op proxy.Op) (proxy.Verdict, bool) {
	e, ok := op.(*proxy.Exec)
	if !ok {
		return proxy.Verdict{}, false
	}
	set, _ := t.Resource.Settings.(ssh.Settings) // without any, the zero value's hold
	return judge().Refuses(&set, e)
}

// word is a file's name as ssh reads one: a percent sign has a meaning, and so has a space.
func word(file string) string {
	file = strings.ReplaceAll(file, "%", "%%")
	if strings.ContainsAny(file, " \t") {
		return `"` + file + `"`
	}
	return file
}

// execute is the command line of OpenSSH's client for one command.
func execute(e protocol.Endpoint, x protocol.Execution) (*protocol.Command, error) {
	switch {
	case x.CSV:
		return nil, errors.New("running a command by ssh: it has no rows: leave the format out")
	case x.Text == "":
		return nil, errors.New("running a command by ssh: got a file, want a command: give its text")
	}
	e.Args = []string{"-o", "BatchMode=yes", "--", x.Text}
	return client(e)
}

// client is the command line of OpenSSH's client. What follows the host may be options of
// ssh, too, which "--" before it would end: the host itself is not an option.
func client(e protocol.Endpoint) (*protocol.Command, error) {
	if e.Host == "" || strings.HasPrefix(e.Host, "-") {
		return nil, fmt.Errorf("connecting by ssh: the host is %q: want a name or an IP address", e.Host)
	}
	args := []string{"-p", e.Port, "-l", e.User, "-o", "UserKnownHostsFile=" + word(KnownHosts(e.Dir))}
	if e.Proof != nil {
		args = append(args, "-o", "IdentitiesOnly=yes", "-o", "IdentityFile="+word(e.Proof.SSHKey), "-o", "CertificateFile="+word(e.Proof.SSHCertificate))
	}
	if e.Alias != "" {
		args = append(args, "-o", "HostKeyAlias="+e.Alias)
	}
	return &protocol.Command{Program: "ssh", Args: append(append(args, e.Host), e.Args...)}, nil
}
