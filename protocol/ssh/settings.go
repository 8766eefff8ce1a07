package ssh

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// Settings are what an SSH resource is known by and what it allows beyond the
// default. They are the value of proxy.Resource.Settings. The zero value is
// the strictest: without a way to know the host key no connection is made, and
// shells, commands and sftp are all that can be asked for.
type Settings struct {
	// HostKeys are the resource's public keys, each in the form of an
	// authorized_keys line: "ssh-ed25519 AAAA…".
	HostKeys []string `yaml:"host_keys"`
	// HostCAs are authorities whose host certificates are trusted, in the same
	// form. A certificate must name HostName among its principals.
	HostCAs []string `yaml:"host_cas"`
	// HostName is the name that host certificates must carry; empty is the host
	// of the resource's address.
	HostName string `yaml:"host_name"`
	// RevokedHostKeys are keys, or authorities, that are never accepted.
	RevokedHostKeys []string `yaml:"revoked_host_keys"`
	// TrustFirst accepts the first host key that is seen and holds the resource to
	// it from then on. It needs Handler.KnownHosts, and is used only when neither
	// HostKeys nor HostCAs is set.
	TrustFirst bool `yaml:"trust_on_first_use"`

	// Mint has the gateway prove itself with a certificate that Handler.Authority
	// signs for each session, instead of a stored credential.
	Mint bool `yaml:"mint_certificate"`
	// Legacy allows algorithms that are no longer thought safe (SHA-1, CBC) towards
	// this resource. Clients never get them.
	Legacy bool `yaml:"legacy_algorithms"`

	// ExecOnly allows single commands that can be understood, and nothing else: no
	// shell, terminal, subsystem or forwarding.
	ExecOnly bool `yaml:"exec_only"`
	// NoFiles refuses the sftp subsystem and the commands of scp and rsync.
	NoFiles bool `yaml:"no_files"`
	// Subsystems may be started in addition to "sftp". Their content is not understood.
	Subsystems []string `yaml:"subsystems"`
	// Env are names of environment variables that clients may set in addition to
	// [DefaultEnv]. A "*" at the end matches any rest. Variables that change what
	// programs are run are never set.
	Env []string `yaml:"env"`
	// Agent allows forwarding of the client's key agent.
	Agent bool `yaml:"agent_forwarding"`
	// X11 allows forwarding of the client's display.
	X11 bool `yaml:"x11_forwarding"`
	// Forwards are targets that clients may open connections to through the
	// resource (ssh -L, -D, -W), each "host:port". The host is a name, whose first
	// label may be "*", an address, a prefix such as 10.1.0.0/16, or "*"; the port
	// is a number, a range such as 8000-8999, or "*".
	Forwards []string `yaml:"forwards"`
	// RemoteForwards are addresses on which the resource may listen for the client
	// (ssh -R), in the same form; the host is what the client asks to bind,
	// "localhost" when it names none.
	RemoteForwards []string `yaml:"remote_forwards"`
	// Sockets and RemoteSockets are Unix sockets of the resource that may be
	// connected to, and on which it may listen; patterns of path.Match.
	Sockets       []string `yaml:"sockets"`
	RemoteSockets []string `yaml:"remote_sockets"`
	// RemoteNames lets the resource resolve the names of Forwards. Otherwise the
	// gateway resolves them, judges the address and passes that on, so that a name
	// cannot mean another host after it was judged.
	RemoteNames bool `yaml:"resolve_at_resource"`

	// MaxChannels is how many channels one session may have open; 0 is 256.
	MaxChannels int `yaml:"max_channels"`
	// KeepAlive is how often the resource and the client are asked for a sign of
	// life; three without an answer end the session. 0 is 30 s, negative is never.
	KeepAlive time.Duration `yaml:"keep_alive"`
}

const (
	defaultMaxChannels = 256
	defaultKeepAlive   = 30 * time.Second
)

// DefaultEnv returns the names of environment variables that every client may
// set, where "*" at the end matches any rest.
func DefaultEnv() []string {
	return []string{"LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "COLORTERM", "NO_COLOR", "GIT_PROTOCOL"}
}

// forbiddenEnv change which programs or libraries run; no setting allows them.
var forbiddenEnv = []string{
	"LD_*", "DYLD_*", "PATH", "IFS", "ENV", "BASH_*", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "SHELL",
	"PYTHON*", "PERL*", "RUBY*", "NODE_*", "GIT_SSH*", "GIT_EXEC_PATH", "GIT_CONFIG*", "GCONV_PATH", "LOCPATH", "NLSPATH",
	"EDITOR", "VISUAL", "PAGER", "LESSOPEN", "LESSCLOSE", "MANPAGER", "HOME", "USER", "LOGNAME", "SSH_*", "ZDOTDIR", "JAVA_TOOL_OPTIONS",
}

func (s *Settings) allowsEnv(name string) bool {
	if name == "" || matchesName(forbiddenEnv, name) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return matchesName(DefaultEnv(), name) || matchesName(s.Env, name)
}

func matchesName(patterns []string, name string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(name, prefix) || p == name {
			return true
		}
	}
	return false
}

// Validate reports everything about s that cannot work.
func (s *Settings) Validate() error {
	var errs []error
	for field, lines := range map[string][]string{
		"host_keys": s.HostKeys, "host_cas": s.HostCAs, "revoked_host_keys": s.RevokedHostKeys,
	} {
		if _, err := parseKeys(lines); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	for field, targets := range map[string][]string{"forwards": s.Forwards, "remote_forwards": s.RemoteForwards} {
		for _, t := range targets {
			if _, err := parseTarget(t); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", field, err))
			}
		}
	}
	for field, patterns := range map[string][]string{"sockets": s.Sockets, "remote_sockets": s.RemoteSockets} {
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil {
				errs = append(errs, fmt.Errorf("%s: %q: %w", field, p, err))
			}
		}
	}
	for _, p := range s.Env {
		if matchesName(forbiddenEnv, p) || p == "*" {
			errs = append(errs, fmt.Errorf("env: %q would change which programs run", p))
		}
	}
	if len(s.HostKeys)+len(s.HostCAs) == 0 && !s.TrustFirst {
		errs = append(errs, errors.New("host_keys: no host key is known, so no connection can be made: give host_keys, host_cas or trust_on_first_use"))
	}
	if s.ExecOnly && (len(s.Forwards)+len(s.RemoteForwards)+len(s.Sockets)+len(s.RemoteSockets)+len(s.Subsystems) > 0 || s.Agent || s.X11) {
		errs = append(errs, errors.New("exec_only: forwarding and subsystems have no effect here"))
	}
	return errors.Join(errs...)
}

// parseKeys parses lines of authorized_keys' form, which may carry no options.
func parseKeys(lines []string) ([]gossh.PublicKey, error) {
	keys := make([]gossh.PublicKey, 0, len(lines))
	for _, line := range lines {
		key, _, options, rest, err := gossh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(strings.TrimSpace(string(rest))) > 0 {
			return nil, fmt.Errorf("%.40q is not a public key such as \"ssh-ed25519 AAAA…\"", line)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// target is a parsed element of Settings.Forwards.
type target struct {
	host        string // a name in lower case, perhaps beginning with "*."; empty when prefix is set or any is true
	prefix      netip.Prefix
	any         bool
	first, last uint16
}

func parseTarget(s string) (target, error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 {
		return target{}, fmt.Errorf("%q is not of the form host:port", s)
	}
	t := target{first: 1, last: 65535}
	host, port := strings.Trim(s[:i], "[]"), s[i+1:]
	if port != "*" {
		from, to, isRange := strings.Cut(port, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last {
			return target{}, fmt.Errorf("%q: the port is a number, a range or *", s)
		}
		t.first, t.last = uint16(first), uint16(last)
	}
	if host == "*" {
		t.any = true
		return t, nil
	}
	if p, err := netip.ParsePrefix(host); err == nil {
		t.prefix = p.Masked()
		return t, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		t.prefix = netip.PrefixFrom(a, a.BitLen())
		return t, nil
	}
	if strings.Contains(strings.TrimPrefix(host, "*."), "*") || strings.ContainsAny(host, "/ \t") {
		return target{}, fmt.Errorf("%q: the host is a name, an address, a prefix or *", s)
	}
	t.host = canonicalHost(host)
	return t, nil
}

func canonicalHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// matches reports whether the target covers host as it was named, or one of the
// addresses that it resolves to.
func (t *target) matches(host string, addr netip.Addr, port uint16) bool {
	if port < t.first || port > t.last {
		return false
	}
	switch {
	case t.any:
		return true
	case t.prefix.IsValid():
		return addr.IsValid() && t.prefix.Contains(addr)
	}
	host = canonicalHost(host)
	if suffix, ok := strings.CutPrefix(t.host, "*"); ok {
		return strings.HasSuffix(host, suffix)
	}
	return host == t.host
}

func allowsTarget(targets []string, host string, addr netip.Addr, port uint16) bool {
	for _, s := range targets {
		if t, err := parseTarget(s); err == nil && t.matches(host, addr, port) {
			return true
		}
	}
	return false
}

func allowsSocket(patterns []string, socket string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, socket); ok && err == nil {
			return true
		}
	}
	return false
}
