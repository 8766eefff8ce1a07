package config

import (
	"cmp"
	"net"
	"net/url"
	"reflect"
	"slices"
)

// Service is something that the gateway talks to.
type Service struct {
	What    string // such as "resource shop"
	Address string // HOST:PORT
}

// Services lists what the gateway talks to by the network, as far as the file says where it is: resources, and
// what is named by an address or a URL. The same service of one thing is listed once.
func (f *File) Services() (list []Service) {
	add := func(what, address string) {
		s := Service{what, address}
		if host, port, err := net.SplitHostPort(address); err == nil && host != "" && port != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	urls := func(what string, v any) {
		eachText(reflect.ValueOf(v), func(text string) {
			if address := addressOf(text); address != "" {
				add(what, address)
			}
		})
	}
	for i := range f.Resources {
		r := &f.Resources[i]
		if r.Via != "" {
			continue // its agent connects to it
		}
		what := "resource " + r.Name
		add(what, r.Address)
		if address := addressOf(r.Address); address != "" {
			add(what, address)
		}
	}
	if u, err := url.Parse(f.Store.URL); err == nil && u.Host != "" {
		add("store", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "5432")))
	}
	for _, p := range f.Identity.Providers {
		urls("identity provider "+p.Name, p.Issuer)
	}
	for _, e := range f.Audit.Export {
		add("export "+e.Called(), e.Address)
		urls("export "+e.Called(), e.URL)
	}
	for _, c := range f.Audit.Copies {
		urls("copy "+c.Called(), c)
	}
	for _, w := range f.Audit.Witnesses {
		urls("witness "+w.Called(), w)
	}
	for i := range f.Notify {
		n := &f.Notify[i]
		add("channel "+n.Name, n.Address)
		urls("channel "+n.Name, n.URL)
	}
	for _, s := range f.Secrets {
		urls("secrets "+s.Scheme, s.Settings)
	}
	if f.Analyzer != nil {
		urls("masking analyzer", f.Analyzer.URL)
	}
	for i := range f.Runbooks {
		urls("runbooks "+f.Runbooks[i].Name, f.Runbooks[i].URL)
	}
	return list
}

// ports are those of URLs that name none.
var ports = map[string]string{"http": "80", "https": "443"}

// addressOf is the address that a URL of HTTP leads to; empty where a text is something else.
func addressOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || ports[u.Scheme] == "" {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme]))
}
