package config

import (
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// validate reports everything that decoding cannot see: names that mean
// nothing, rules that never apply, references that lead nowhere.
func (f *File) validate(d *decoder) {
	f.validateListen(d)
	f.validateSecrets(d)
	f.validateStore(d)
	f.validateObjects(d)
	f.validateIdentity(d)
	f.validateResources(d)
	f.validateAccess(d)
	f.validateRego(d)
	f.validateMasking(d)
	f.validateGuardrails(d)
	if !slices.Contains([]string{"", "os", "group", "each"}, f.Audit.Durability) {
		d.problem(f.Audit.Line, suggest(f.Audit.Durability, []string{"os", "group", "each"}), "audit.durability %q is unknown", f.Audit.Durability)
	}
	f.validateRecordings(d)
	f.validateExport(d)
	f.validateCopies(d)
	f.validateRetention(d)
	f.validateMetrics(d)
	f.validateControl(d)
	f.validateNotify(d)
	f.validateAlerts(d)
	f.validateOnCall(d)
	f.validateRunbooks(d)
	f.validateOffline(d)
	f.validateShutdown(d)
	f.validateTunnel(d)
	if f.TLS != nil && (f.TLS.Cert == "") != (f.TLS.Key == "") {
		d.problem(f.TLS.Line, "", "tls needs cert and key, or neither: then the gateway's own authority makes one")
	}
	if f.Limits.MaxSessions < 0 || f.Limits.MaxPerUser < 0 || f.Limits.MaxPerAddress < 0 || f.Limits.MaxUnauthenticated < 0 {
		d.problem(f.Limits.Line, "", "limits cannot be negative")
	}
}

func (f *File) validateListen(d *decoder) {
	used := make(map[string]string)
	check := func(line int, what, addr string) {
		if addr == "" {
			return
		}
		_, port, err := net.SplitHostPort(addr)
		if n, err2 := strconv.Atoi(port); err != nil || err2 != nil || n < 0 || n > 65535 {
			d.problem(line, "write HOST:PORT, such as 127.0.0.1:6432", "%s: %q is not an address", what, addr)
			return
		}
		if other, twice := used[addr]; twice && port != "0" {
			d.problem(line, "", "%s: %s is used by %s already", what, addr, other)
		}
		used[addr] = what
	}
	check(f.API.Line, "api.listen", f.API.Listen)
	check(f.Tunnel.Line, "tunnel.listen", f.Tunnel.Listen)
	for _, name := range namesOf(f.options.Protocols) {
		check(f.places[name], "listen."+name, f.Listen[name])
	}
	for _, r := range f.Resources {
		check(r.Line, "resource "+r.Name, r.Listen)
	}
	for _, r := range f.Resources {
		if r.Listen == "" && f.Listen[r.Type] == "" && !d.broken["listen"] && !d.tainted[r.Line] && find(f.options.Protocols, r.Type) != nil {
			d.problem(r.Line, "give it a listen address, or set listen."+r.Type, "resource %s cannot be reached: nothing listens for it", r.Name)
		}
	}
}

// leastStale is how soon a resource may have sessions end whose users cannot be looked at: what is
// slow for a moment ends nothing.
const leastStale = 10 * time.Second

func (f *File) validateResources(d *decoder) {
	seen := make(map[string]bool)
	for i := range f.Resources {
		r := &f.Resources[i]
		p := f.protocol(r)
		at := "resource " + strconv.Quote(r.Name)
		if err := identity.ValidName(r.Name); err != nil {
			d.problem(r.Line, "", "%s: %v", at, err)
		}
		if seen[r.Name] {
			d.problem(r.Line, "", "%s exists twice", at)
		}
		seen[r.Name] = true
		if r.MaxStale != 0 && r.MaxStale < leastStale {
			d.problem(r.Line, "leave it out for a resource without this bound", "%s: max_stale: got %s, want %s or more", at, r.MaxStale, leastStale)
		}
		if address, err := f.address(r); err != nil {
			d.problem(r.Line, "write HOST:PORT or unix:/path", "%s: %q is not an address", at, r.Address)
		} else {
			f.validateVia(d, r, address, at)
		}
		if len(r.Accounts) > 0 && (r.Username != "" || r.Password != "" || r.Key != "") {
			d.problem(r.Line, "", "%s: give username and its secret, or accounts, not both", at)
		}
		names := make(map[string]bool)
		personal := false
		for _, a := range r.accounts() {
			if names[a.Name] {
				d.problem(a.Line, "", "%s: account %q exists twice", at, a.Name)
			}
			names[a.Name] = true
			f.validateAccount(d, p, a, at)
			personal = personal || secrets.Personal(a.Password) || a.personal()
			if a.personal() && len(f.Identity.Providers) > 1 {
				d.problem(a.Line, "name the account, or use one provider", "%s: username: %s would be the same account for users of several providers", at, proxy.AccountUser)
			}
		}
		switch own := r.Own; {
		case own == nil && personal && p.Own:
			d.problem(r.Line, "add own_account: {username: …, password: …}, an account that may connect", "%s: an account is of each person's own, and the gateway reads the catalog by itself", at)
		case own == nil:
		case !p.Own:
			d.problem(own.Line, "remove it", "%s: type %s has no own_account: the gateway does nothing there by itself", at, p.Name)
		case own.Name != "" || secrets.Personal(own.Password) || own.personal():
			d.problem(own.Line, "", "%s: own_account has no name, no {user}, and no {subject}: it is the gateway's", at)
		default:
			f.validateAccount(d, p, *own, at+": own_account")
		}
		if r.TLS != nil && !p.TLS {
			d.problem(r.TLS.Line, "remove it", "%s: type %s has no tls: the protocol protects its connections itself", at, p.Name)
		} else if _, err := r.TLS.mode(); err != nil {
			d.problem(r.TLS.Line, "", "%s: %v", at, err)
		}
		if r.Database != "" && !p.Databases {
			d.problem(r.Line, "remove database", "%s: type %s has no databases", at, p.Name)
		}
		f.validateLink(d, p, r, at)
		f.validateSettings(d, r, at)
	}
}

// personal reports whether the account is of each person's own.
func (a *Account) personal() bool { return a.Username == proxy.AccountUser }

func (f *File) validateAccount(d *decoder, p *protocol.Protocol, a Account, at string) {
	if a.Username == "" && !p.Anonymous {
		d.problem(a.Line, "", "%s: an account needs a username", at)
	}
	if p.NoSecrets && a.Password != "" {
		d.problem(a.Line, "remove the password: users log in at the resource themselves", "%s: type %s takes no password: the gateway does not speak the resource's protocol, so that it cannot log in", at, p.Name)
	}
	if a.Key != "" && !p.Keys {
		d.problem(a.Line, "give a password", "%s: type %s has no login with a key", at, p.Name)
	}
	if a.Password != "" && a.Key != "" {
		d.problem(a.Line, "", "%s: an account has a password or a key, not both", at)
	}
	for _, ref := range []string{a.Password, a.Key} {
		if ref == "" {
			continue
		}
		if err := f.checkReference(ref); err != nil {
			d.problem(a.Line, "secrets are not allowed in this file", "%s: %v", at, err)
		}
	}
}

// accounts are the resource's accounts, with the short form as one of them.
func (r *Resource) accounts() []Account {
	if len(r.Accounts) > 0 {
		return r.Accounts
	}
	return []Account{{Position: r.Position, Name: "default", Username: r.Username, Password: r.Password, Key: r.Key}}
}

var tlsModes = map[string]proxy.TLSMode{
	"": proxy.TLSVerifyFull, "verify-full": proxy.TLSVerifyFull, "verify-ca": proxy.TLSVerifyCA,
	"require": proxy.TLSRequire, "disable": proxy.TLSDisable,
}

func (t *ResourceTLS) mode() (proxy.TLSMode, error) {
	if t == nil {
		return proxy.TLSVerifyFull, nil
	}
	m, ok := tlsModes[t.Mode]
	if !ok {
		return 0, fmt.Errorf("unknown tls mode %q: want disable, require, verify-ca or verify-full", t.Mode)
	}
	if (t.Cert == "") != (t.Key == "") {
		return 0, fmt.Errorf("tls needs cert and key, or neither")
	}
	return m, nil
}

func (f *File) checkGroups(d *decoder, line int, groups []string) {
	if d.unsure() {
		return
	}
	for _, g := range groups {
		known := f.options.Groups
		exists := g == "*" || f.givesGroup(g) || known != nil && known(g) || slices.ContainsFunc(f.Identity.Users, func(u User) bool { return slices.Contains(u.Groups, g) })
		f.refersTo(d, line, "group "+g, exists, "", "the rule names group %q, which has no members", g)
	}
}

// checkSelector reports a selector that chooses nothing.
func (f *File) checkSelector(d *decoder, line int, s Selector) {
	if d.unsure() {
		return
	}
	for _, name := range s.Names {
		ok := slices.ContainsFunc(f.Resources, func(r Resource) bool {
			m, err := path.Match(name, r.Name)
			return m && err == nil
		})
		hint := ""
		if !ok && !f.later(line) {
			hint = suggest(name, f.resourceNames())
		}
		f.refersTo(d, line, "resource "+name, ok, hint, "no resource is named %q", name)
	}
	if len(s.Labels) > 0 {
		exists := slices.ContainsFunc(f.Resources, func(r Resource) bool { return s.matchesLabels(r.Labels) })
		f.refersTo(d, line, "labels "+labels(s.Labels), exists, "", "no resource has the labels %s, so the rule never applies", labels(s.Labels))
	}
}

func (f *File) resourceNames() (names []string) {
	for i := range f.Resources {
		names = append(names, f.Resources[i].Name)
	}
	return names
}

// labels writes labels as the file does.
func labels(m map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+": "+m[k])
	}
	return "{" + strings.Join(list, ", ") + "}"
}

func (s Selector) matchesLabels(labels map[string]string) bool {
	for k, v := range s.Labels {
		if labels[k] != v {
			return false
		}
	}
	return true
}
