package config

import (
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/protocol"
)

// LoginLink says how clients of a resource that have nothing to prove themselves with are
// offered a link; see package link. In a file it is keys and values, or true, or false, which
// is nil.
type LoginLink struct {
	Position
	// SameAddress asks for the browser to be at the client's address. It is set unless the
	// file says otherwise.
	SameAddress bool `yaml:"same_address"`
}

// link reads a LoginLink.
func (d *decoder) link(n *yaml.Node, to **LoginLink, path string, depth int) {
	l := &LoginLink{Position: Position{n.Line}, SameAddress: true}
	on := true
	if n.Kind == yaml.MappingNode {
		d.object(n, reflect.ValueOf(l).Elem(), path, depth)
	} else {
		d.decode(n, reflect.ValueOf(&on).Elem(), path, depth)
	}
	if on {
		*to = l
	}
}

func (f *File) validateLink(d *decoder, p *protocol.Protocol, r *Resource, at string) {
	if r.Link == nil {
		return
	}
	switch {
	case !p.LoginLinks && find(f.options.Protocols, r.Type) != nil:
		d.problem(r.Link.Line, "remove it", "%s: clients of type %s cannot be shown a login link", at, p.Name)
	case f.API.URL == "" && !d.broken["api"]:
		d.problem(r.Link.Line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}", "%s: login_link needs the API, where the link leads", at)
	case len(f.Identity.Providers) == 0 && !d.broken["identity"]:
		d.problem(r.Link.Line, "add a provider to identity.providers", "%s: login_link needs an identity provider, where people log in", at)
	}
}

// LoginLink is how clients of a resource are offered a login link; nil when they are not. A
// name of the file's users is asked for what the file knows of it.
func (f *File) LoginLink(user, resource, protocol string) *LoginLink {
	for i := range f.Identity.Users {
		if f.Identity.Users[i].Name == user {
			return nil
		}
	}
	for i := range f.Resources {
		if r := &f.Resources[i]; r.Name == resource && r.Type == protocol {
			return r.Link
		}
	}
	return nil
}
