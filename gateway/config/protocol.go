package config

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// check reports options that no file can be read with.
func (o *Options) check() error {
	errs := []error{protocol.Check(o.Protocols)}
	own := fieldsOf(resourceType)
	for i := range o.Protocols {
		p := &o.Protocols[i]
		if _, taken := own.index[p.Name]; taken {
			errs = append(errs, fmt.Errorf("protocol %s cannot have this name, which is a key of every resource", p.Name))
		}
		if slices.Contains(reserved, p.Name) {
			errs = append(errs, fmt.Errorf("protocol %s has a name that the gateway uses itself, for a folder or a listener", p.Name))
		}
		if p.Settings == nil {
			continue
		}
		if v := reflect.ValueOf(p.Settings()); v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			errs = append(errs, fmt.Errorf("protocol %s: its settings are not a pointer to a struct", p.Name))
		}
	}
	return errors.Join(errs...)
}

// find returns the protocol of that name; nil when the list does not have it.
func find(list []protocol.Protocol, name string) *protocol.Protocol {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func namesOf(list []protocol.Protocol) []string {
	var names []string
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

// protocol returns the resource's protocol. In a file with problems it may be unknown:
// then it can do everything, so that nothing is wrong that may be right.
func (f *File) protocol(r *Resource) *protocol.Protocol {
	if p := find(f.options.Protocols, r.Type); p != nil {
		return p
	}
	any := &protocol.Protocol{Name: r.Type, TLS: true, Keys: true, Databases: true, DefaultPort: 1}
	for i := range f.options.Protocols {
		any.Kinds = append(any.Kinds, f.options.Protocols[i].Kinds...)
	}
	return any
}

// Hosts are the names by which clients reach a resource, by its settings, without ports.
func (f *File) Hosts(r *Resource) (names []string) {
	if p := f.protocol(r); p.Hosts != nil && r.Settings != nil {
		for _, at := range p.Hosts(r.Settings) {
			if host, _, err := net.SplitHostPort(at); err == nil {
				at = host
			}
			names = append(names, at)
		}
	}
	return names
}

// ClientAddress is where clients reach a resource: a host name of its own, where its protocol has these, or
// the address of the listener that serves it.
func (f *File) ClientAddress(r *proxy.Resource, listener string) string {
	p := find(f.options.Protocols, r.Type)
	_, port, err := net.SplitHostPort(listener)
	if p == nil || p.Hosts == nil || r.Settings == nil || err != nil {
		return listener
	}
	hosts := p.Hosts(r.Settings)
	switch {
	case len(hosts) > 0:
		if _, _, err := net.SplitHostPort(hosts[0]); err == nil {
			return hosts[0]
		}
		return net.JoinHostPort(hosts[0], port)
	case f.Domain != "":
		return net.JoinHostPort(r.Name+"."+f.Domain, port)
	}
	return listener
}

// later are keys of listen that will be there.
var later = []string{"console"}

// reserved are names that no protocol can have: a protocol's folder in the data
// directory and its listener are called like it.
var reserved = append([]string{"audit", "ca"}, later...)

// listen reads the addresses of listeners by their protocols.
func (d *decoder) listen(n *yaml.Node, to *Listen, path string) {
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "write it as {PROTOCOL: HOST:PORT}", "%s must be keys and values", path)
		return
	}
	*to = make(Listen)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at := path + "." + k.Value
		_, twice := (*to)[k.Value]
		switch {
		case slices.Contains(later, k.Value):
			d.problem(k.Line, "remove it", "%q is not available in this version", at)
		case find(d.protocols, k.Value) == nil:
			d.note(k.Line, suggest(k.Value, namesOf(d.protocols)), "unknown key %q: this is not a protocol", at)
			if meant := closest(k.Value, namesOf(d.protocols)); meant != "" && !has(n, meant) {
				(*to)[meant], d.places[meant] = n.Content[i+1].Value, k.Line
			}
		case twice:
			d.problem(k.Line, "", "%q is given twice", at)
		default:
			var address string
			d.decode(n.Content[i+1], reflect.ValueOf(&address).Elem(), at, 1)
			(*to)[k.Value] = address
			d.places[k.Value] = k.Line
		}
	}
}

// settings are the settings of one resource while they are read.
type settings struct {
	reflect.Value        // the struct; not valid when the protocol has none
	fields               // of the struct
	under         string // the protocol's name
	lines         map[string]int
}

func settingsOf(p *protocol.Protocol) *settings {
	s := &settings{lines: make(map[string]int)}
	if p == nil || p.Settings == nil {
		return s
	}
	s.Value, s.under = reflect.ValueOf(p.Settings()).Elem(), p.Name
	s.fields = fieldsOf(s.Type())
	return s
}

// set reads the setting k.
func (d *decoder) set(s *settings, k, val *yaml.Node, path string, depth int) {
	if line, twice := s.lines[k.Value]; twice {
		d.problem(k.Line, "write it once, in the resource or under "+s.under, "%q is given twice, in line %d too", path, line)
		return
	}
	s.lines[k.Value] = k.Line
	if s.later[k.Value] {
		d.problem(k.Line, "remove it", "%q is not available in this version", path)
		return
	}
	d.decode(val, s.Field(s.index[k.Value]), path, depth)
}

// nested reads the settings under a key of the protocol's name.
func (d *decoder) nested(s *settings, n *yaml.Node, path string, depth int) {
	if !d.readable(n, path, depth) || null(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "", "%s must be keys and values", path)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if _, ok := s.index[k.Value]; !ok {
			d.unknown(k, path+"."+k.Value, s.keys)
			continue
		}
		d.set(s, k, n.Content[i+1], path+"."+k.Value, depth+1)
	}
}

// scalar returns the value of a key and its line. What is null has none.
func scalar(n *yaml.Node, key string) (string, int) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; n.Content[i].Value == key && v.Kind == yaml.ScalarNode && !null(v) {
			return v.Value, n.Content[i].Line
		}
	}
	return "", n.Line
}

// resource reads a resource: the keys that every resource has, and the settings of
// its protocol.
func (d *decoder) resource(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "", "%s must be keys and values", path)
		return
	}
	r := v.Addr().Interface().(*Resource)
	known := fieldsOf(resourceType)
	known.place(v, n.Line)
	typ, line := scalar(n, "type")
	p := find(d.protocols, typ)
	defer d.taint(n.Line, d.malformed)
	if p == nil {
		name, _ := scalar(n, "name")
		p = find(d.protocols, closest(typ, namesOf(d.protocols)))
		d.note(line, suggest(typ, namesOf(d.protocols)), "resource %q: unknown type %q", name, typ)
	}
	s := settingsOf(p)
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		at := path + "." + k.Value
		field, common := known.index[k.Value]
		_, own := s.index[k.Value]
		switch {
		case seen[k.Value] && !own:
			d.problem(k.Line, "", "%q is given twice", at)
		case common:
			d.decode(val, v.Field(field), at, depth+1)
		case s.IsValid() && k.Value == s.under:
			d.nested(s, val, at, depth+1)
		case own:
			d.set(s, k, val, at, depth+1)
		default:
			d.stray(k, at, p, append(slices.Clone(known.keys), s.keys...))
			if meant := closest(k.Value, known.keys); meant != "" && !has(n, meant) {
				d.decode(val, v.Field(known.index[meant]), at, depth+1)
			}
		}
		seen[k.Value] = true
	}
	if p != nil {
		r.Type = p.Name
	}
	if !s.IsValid() {
		return
	}
	if r.Labels[guardrail.ReadOnlyLabel] == "true" {
		if o, ok := s.Addr().Interface().(protocol.ReadOnlySetter); ok {
			o.SetReadOnly()
		}
	}
	r.Settings, r.lines = s.Interface(), s.lines
}

// stray reports a key of a resource that has no meaning there. p is the resource's
// protocol; nil is an unknown one, whose settings are not known either.
func (d *decoder) stray(k *yaml.Node, at string, p *protocol.Protocol, known []string) {
	var of []string
	for i := range d.protocols {
		if other := &d.protocols[i]; other.Name == k.Value || slices.Contains(settingsOf(other).keys, k.Value) {
			of = append(of, other.Name)
		}
	}
	switch {
	case p != nil && k.Value == p.Name:
		d.problem(k.Line, "remove it", "%q: type %s has no settings", at, p.Name)
	case of == nil:
		d.unknown(k, at, known)
	case p != nil:
		d.problem(k.Line, "remove it", "%q is a setting of type %s, and this resource is of type %s", at, strings.Join(of, ", "), p.Name)
	}
}

// validateSettings asks a resource's protocol whether its settings can work.
func (f *File) validateSettings(d *decoder, r *Resource, at string) {
	if r.Settings == nil {
		return
	}
	ptr := reflect.New(reflect.TypeOf(r.Settings))
	ptr.Elem().Set(reflect.ValueOf(r.Settings))
	v, ok := ptr.Interface().(protocol.Validator)
	if !ok {
		return
	}
	for _, err := range parts(v.Validate()) {
		line := r.Line
		if key, _, ok := strings.Cut(err.Error(), ":"); ok && r.lines[key] != 0 {
			line = r.lines[key]
		}
		d.problem(line, "", "%s: %v", at, err)
	}
}

// parts are the errors that were joined to err.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, parts(e)...)
	}
	return list
}

// address is where a resource is, with its protocol's port when it names none.
func (f *File) address(r *Resource) (string, error) {
	if strings.HasPrefix(r.Address, "unix:") {
		return r.Address, nil
	}
	_, port, err := net.SplitHostPort(r.Address)
	var missing *net.AddrError
	if p := f.protocol(r); r.Address != "" && p.DefaultPort != 0 && errors.As(err, &missing) && missing.Err == "missing port in address" {
		return net.JoinHostPort(strings.Trim(r.Address, "[]"), strconv.Itoa(p.DefaultPort)), nil
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return r.Address, err
}
