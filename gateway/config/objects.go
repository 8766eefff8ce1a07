package config

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/secrets"
)

// Objects says which entries of the configuration may come from the gateway's store in addition to
// those of the file, and which changes of them a second person approves.
type Objects struct {
	Position
	// Kinds are the words of [ObjectKinds]; nil is all.
	Kinds []string `yaml:"kinds,chooses"`
	// Approval is "weakening", "always" or "never"; empty is "weakening".
	Approval string `yaml:"approval"`
}

// objectKind is a list of the config file of which entries can come from the store.
type objectKind struct {
	name string
	path []string // of keys, to the list
	of   reflect.Type
}

var objectKinds = []objectKind{
	{"resource", []string{"resources"}, resourceType},
	{"access", []string{"access"}, reflect.TypeFor[Access]()},
	{"guardrail", []string{"guardrails"}, reflect.TypeFor[Guardrail]()},
	{"masking", []string{"masking"}, reflect.TypeFor[Masking]()},
	{"user", []string{"identity", "users"}, reflect.TypeFor[User]()},
	{kindAlert, []string{"alerts"}, reflect.TypeFor[Alert]()},
}

// kindAlert is the kind of rules over events.
const kindAlert = "alert"

// ObjectKinds are the kinds of entries that can come from the store: resource, access, guardrail,
// masking, user and alert. They are written as in the config file.
func ObjectKinds() (names []string) {
	for _, k := range objectKinds {
		names = append(names, k.name)
	}
	return names
}

func kindNamed(name string) (objectKind, bool) {
	i := slices.IndexFunc(objectKinds, func(k objectKind) bool { return k.name == name })
	if i < 0 {
		return objectKind{}, false
	}
	return objectKinds[i], true
}

// Lines of objects come after those of the file, so that one number says where something is.
const (
	objectLines = 1 << 12 // of one object
	firstObject = 1 << 22 // a file of maxFile bytes has no more lines
)

// objects are those of a file that come from the store.
type objects struct {
	list   []revision.Object
	hidden []revision.Key // those that the file has by the same name, and that are not used
	strict map[revision.Key]bool
}

// of returns the object that a line is in; nil when it is the file's.
func (o *objects) of(line int) *revision.Object {
	if i := line/objectLines - firstObject/objectLines; line >= firstObject && i < len(o.list) {
		return &o.list[i]
	}
	return nil
}

// notes is a decoder that reads nothing: it notes what is to be said of f.
func (f *File) notes() *decoder { return &decoder{file: f.name, objects: &f.objects} }

// place says where a line is.
func (o *objects) place(file string, line int) (string, int) {
	if at := o.of(line); at != nil {
		return "store: " + at.String(), line % objectLines
	}
	return file, line
}

// From returns f with objects of the store in the place of those that it has. What an object refers to
// may be gone; see [File.Gone]. An object that the file has too, by its kind and name, is not used.
func (f *File) From(list []revision.Object) (*File, error) {
	return f.from(list, f, nil)
}

// Try returns f with objects of the store as a gateway that starts would use it. What is changed must
// be without problems altogether.
func (f *File) Try(list []revision.Object, changes []revision.Change) (*File, error) {
	if ps := f.refused(changes); len(ps) > 0 {
		return nil, ps
	}
	strict := make(map[revision.Key]bool)
	for _, c := range changes {
		strict[c.Key] = true
	}
	return f.from(list, nil, strict)
}

// refused says why objects would not be used as they become by changes.
func (f *File) refused(changes []revision.Change) (list Problems) {
	own := f.Own()
	for _, c := range changes {
		p := Problem{File: "store: " + c.String(), Line: 1}
		switch {
		case c.After == "":
			continue
		case !f.ObjectRules.takes(c.Kind):
			p.Text, p.Hint = "the config file does not use objects of the kind "+c.Kind+" from the store", "add "+c.Kind+" to objects.kinds there"
		case slices.ContainsFunc(own, func(o revision.Object) bool { return o.Key == c.Key }):
			p.Text, p.Hint = "the config file has the "+c.Kind+" "+c.Name, "change it there, or choose another name"
		default:
			continue
		}
		list = append(list, p)
	}
	return list
}

func (f *File) from(list []revision.Object, before *File, strict map[revision.Key]bool) (*File, error) {
	next, err := parse(f.name, f.text, f.options, before, objects{list: list, strict: strict})
	if err != nil {
		return nil, err
	}
	next.info, next.stamp = f.info, f.stamp
	return next, nil
}

// Objects are those of the store that f was made with.
func (f *File) Objects() []revision.Object { return slices.Clone(f.objects.list) }

// Hidden are the objects of the store that are not used, because the file has entries of the same
// names, or does not use objects of their kinds.
func (f *File) Hidden() []revision.Key { return slices.Clone(f.objects.hidden) }

// Own are the named entries of the file itself, as objects.
func (f *File) Own() []revision.Object {
	list, _ := readObjects(&decoder{file: f.name}, f.text, false) // the file was read
	return list
}

// takesObjects reports whether entries may come from the store that the file refers to: it says so by its section
// objects. Otherwise what it refers to and is not there is a mistake.
func (f *File) takesObjects() bool { return f.ObjectRules.Line > 0 }

// takes returns whether objects of a kind may come from the store, as a file says that is not read yet.
func takes(root *yaml.Node) func(kind string) bool {
	var rules Objects
	if n := child(root, "objects"); n != nil {
		d := &decoder{} // problems are found when all is read
		d.decode(n, reflect.ValueOf(&rules).Elem(), "objects", 1)
	}
	return rules.takes
}

// takes returns whether objects of a kind may come from the store.
func (o *Objects) takes(kind string) bool { return o.Kinds == nil || slices.Contains(o.Kinds, kind) }

// ReadObjects reads objects that are written as a config file has them:
//
//	access:
//	  - {name: developers, groups: [dev], allow: [connect, read]}
//
// The text of each is in one form, whatever form it had. The error is of type Problems.
func ReadObjects(file string, text []byte) ([]revision.Object, error) {
	d := &decoder{file: file}
	list, err := readObjects(d, text, true)
	if err != nil {
		return nil, err
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return list, nil
}

// readObjects returns what can be an object. all has everything else be a problem.
func readObjects(d *decoder, text []byte, all bool) ([]revision.Object, error) {
	if len(text) > maxFile {
		d.problem(1, "", "the file is larger than %d bytes", maxFile)
		return nil, d.problems
	}
	var list []revision.Object
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.problem(yamlLine(err), "", "not YAML: %s", yamlText(err))
			return nil, d.problems
		}
		root := doc.Content[0]
		if all && null(root) {
			continue // nothing, between two documents
		}
		var known []string
		for _, k := range objectKinds {
			known = append(known, k.path[0])
		}
		var version int64
		if all {
			version = d.versionOf(root)
			d.onlyObjects(root, "", known)
		}
		for _, k := range objectKinds {
			for _, o := range d.objectsAt(root, k, all) {
				o.Version = version
				list = append(list, o)
			}
		}
	}
	if all && len(list) == 0 && len(d.problems) == 0 {
		d.problem(1, "write it as the config file has it, such as access: [{name: developers, …}]", "there is no object")
	}
	return list, nil
}

// storeVersion is the key of a file of objects that says of which version of the store they are.
const storeVersion = "store_version"

// versionOf is what a file of objects has as store_version; 0: it has none.
func (d *decoder) versionOf(root *yaml.Node) (version int64) {
	n := child(root, storeVersion)
	if n != nil && (n.Decode(&version) != nil || version < 1) {
		d.problem(n.Line, "leave it as \"sallyport get -o yaml\" has written it, or leave it out", "%s: got %q, want a number", storeVersion, n.Value)
	}
	return version
}

// onlyObjects reports what else than lists of objects n has, by known keys.
func (d *decoder) onlyObjects(n *yaml.Node, path string, known []string) {
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, "write it as the config file has it, such as access: [{name: developers, …}]", "%s must be keys and values", cmp.Or(strings.TrimSuffix(path, "."), "a document"))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case path == "" && key.Value == storeVersion:
		case !slices.Contains(known, key.Value):
			d.note(key.Line, "what can be kept in the store is "+path+strings.Join(known, ", "+path), "%q is for the config file alone", path+key.Value)
		case seen[key.Value]:
			d.problem(key.Line, "write one list", "%q is given twice", path+key.Value)
		}
		seen[key.Value] = true
	}
}

// objectsAt returns the objects of a kind.
func (d *decoder) objectsAt(root *yaml.Node, k objectKind, all bool) (list []revision.Object) {
	at := root
	for i, key := range k.path {
		at = child(at, key)
		if at == nil || null(at) {
			return nil
		}
		if all && i+1 < len(k.path) {
			d.onlyObjects(at, key+".", k.path[i+1:i+2])
		}
	}
	if at.Kind != yaml.SequenceNode {
		if all {
			d.problem(at.Line, "begin each entry with a dash, such as - {key: value}", "%s must be a list", strings.Join(k.path, "."))
		}
		return nil
	}
	for _, n := range at.Content {
		if n.Kind != yaml.MappingNode {
			if all {
				d.problem(n.Line, "begin each entry with a dash, such as - {key: value}", "an entry of %s must be keys and values", strings.Join(k.path, "."))
			}
			continue
		}
		name, line := scalar(n, "name")
		switch {
		case all && name == "":
			d.problem(line, "give it a name, by which it is found again", "an entry of %s has no name", strings.Join(k.path, "."))
			continue
		case name == "":
			continue
		}
		if err := identity.ValidName(name); err != nil {
			if all {
				d.problem(line, "", "%s %q: %v", k.name, name, err)
			}
			continue
		}
		if !plainYAML(n, 0) {
			d.problem(n.Line, "write the value out", "%s %s uses an anchor, or is nested too deeply", k.name, name)
			continue
		}
		body, err := canonicalYAML(n)
		if err == nil && bytes.Count(body, []byte("\n")) >= objectLines {
			err = fmt.Errorf("it has more than %d lines", objectLines)
		}
		if err != nil {
			d.problem(n.Line, "", "%s %s: %v", k.name, name, err)
			continue
		}
		list = append(list, revision.Object{Key: revision.Key{Kind: k.name, Name: name}, Text: string(body)})
	}
	return list
}

// child is the value of a key; nil when it is not there.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// plainYAML reports whether n has no anchor and is not nested too deeply.
func plainYAML(n *yaml.Node, depth int) bool {
	return depth <= maxDepth && n.Kind != yaml.AliasNode && n.Anchor == "" &&
		!slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return !plainYAML(c, depth+1) })
}

// canonicalYAML writes n in one form: blocks, without comments.
func canonicalYAML(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(bare(n))
	return b.Bytes(), errors.Join(err, enc.Close())
}

func bare(n *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		out.Style = n.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle)
		if strings.TrimLeft(n.Value, "\t\n ") != n.Value { // which a block cannot begin with as it is written
			out.Style = yaml.DoubleQuotedStyle
		}
	}
	if n.Kind == yaml.SequenceNode && !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Kind != yaml.ScalarNode }) {
		out.Style = yaml.FlowStyle // words of one list are on one line
	}
	for _, c := range n.Content {
		out.Content = append(out.Content, bare(c))
	}
	return out
}

// WriteObjects writes objects as a config file has them, for [ReadObjects], with the version of the store that they are of.
func WriteObjects(list []revision.Object) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	var version int64
	for _, o := range list {
		version = max(version, o.Version)
	}
	if version > 0 {
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: storeVersion}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(version, 10)})
	}
	for _, o := range list {
		k, ok := kindNamed(o.Kind)
		if !ok {
			return nil, fmt.Errorf("writing %s: got an unknown kind, want %s", o.Key, strings.Join(ObjectKinds(), ", "))
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(o.Text), &doc); err != nil || len(doc.Content) == 0 {
			return nil, fmt.Errorf("writing %s: its text is not YAML", o.Key)
		}
		at := listAt(root, k.path)
		at.Content = append(at.Content, doc.Content[0])
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(root)
	return b.Bytes(), errors.Join(err, enc.Close())
}

// listAt returns the list below some keys, which is made where it is not there; nil where something else is.
func listAt(root *yaml.Node, path []string) *yaml.Node {
	at := root
	for i, key := range path {
		want := yaml.MappingNode
		if i == len(path)-1 {
			want = yaml.SequenceNode
		}
		next := child(at, key)
		switch {
		case next == nil && at.Kind == yaml.MappingNode:
			next = &yaml.Node{Kind: want}
			at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, next)
		case next == nil:
			return nil
		case null(next):
			*next = yaml.Node{Kind: want, Line: next.Line}
		case next.Kind != want:
			return nil
		}
		at = next
	}
	return at
}

// join adds the objects to the document of the file, and returns the names of those that the file has itself.
func (d *decoder) join(root *yaml.Node, takes func(kind string) bool) (hidden []revision.Key) {
	taken := make(map[revision.Key]bool)
	for _, k := range objectKinds {
		at := root
		for _, key := range k.path {
			if at != nil {
				at = child(at, key)
			}
		}
		for i := 0; at != nil && i < len(at.Content); i++ {
			name, _ := scalar(at.Content[i], "name")
			taken[revision.Key{Kind: k.name, Name: name}] = true
		}
	}
	for i, o := range d.objects.list {
		line := firstObject + i*objectLines
		k, ok := kindNamed(o.Kind)
		if !ok {
			d.problem(line+1, "", "unknown kind of object %q", o.Kind)
			continue
		}
		if taken[o.Key] || !takes(o.Kind) {
			hidden = append(hidden, o.Key)
			continue
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(o.Text), &doc); err != nil || len(doc.Content) == 0 {
			d.problem(line+1, "", "it is not YAML")
			continue
		}
		n := doc.Content[0]
		move(n, line)
		if name, _ := scalar(n, "name"); name != o.Name {
			d.problem(n.Line, "", "got the name %q, want %q", name, o.Name)
			continue
		}
		if at := listAt(root, k.path); at != nil && at.Kind == yaml.SequenceNode {
			at.Content = append(at.Content, n)
		}
	}
	return hidden
}

// move adds to the lines of n.
func move(n *yaml.Node, by int) {
	n.Line = by + min(n.Line, objectLines-1)
	for _, c := range n.Content {
		move(c, by)
	}
}

// objectsDigest is the SHA-256 of the file and what comes from the store with it.
func (f *File) objectsDigest() [sha256.Size]byte {
	if len(f.objects.list) == 0 {
		return f.digest
	}
	h := sha256.New()
	h.Write(f.digest[:])
	for _, o := range f.objects.list {
		fmt.Fprintf(h, "\n%s\n%d\n%s", o.Key, len(o.Text), o.Text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// The words of objects.approval.
const (
	approveWeakening = "weakening"
	approveAlways    = "always"
	approveNever     = "never"
)

// validateObjects checks what the file says of objects, and that those of the store have nothing that is for the file
// alone: what is of the gateway's own host, and what switches packs off.
func (f *File) validateObjects(d *decoder) {
	rules := f.ObjectRules
	if words := []string{approveWeakening, approveAlways, approveNever}; rules.Approval != "" && !slices.Contains(words, rules.Approval) {
		d.problem(rules.Line, suggest(rules.Approval, words), "objects.approval %q is unknown", rules.Approval)
	}
	for _, kind := range rules.Kinds {
		if _, ok := kindNamed(kind); !ok {
			d.problem(rules.Line, suggest(kind, ObjectKinds()), "objects.kinds: %q is unknown", kind)
		}
	}
	if len(f.objects.list) == 0 {
		return
	}
	foreign := func(line int) bool { return f.objects.of(line) != nil }
	from, err := f.OpenSecrets(secrets.Options{Brief: true})
	if err != nil {
		d.problem(1, "", "secrets: %v", err)
		return
	}
	for i := range f.Resources {
		if r := &f.Resources[i]; foreign(r.Line) {
			f.validateForeign(d, r, from.Local)
		}
	}
	if err := from.Close(context.Background()); err != nil { // nothing was leased
		d.problem(1, "", "secrets: %v", err)
	}
	for _, u := range f.Identity.Users {
		for _, g := range u.Groups {
			if source, _, named := strings.Cut(g, ":"); named && foreign(u.Line) {
				d.problem(u.Line, "leave it out, or name a group without a source", "user %q of the store cannot be in the group %q: %s says who is", u.Name, g, source)
			}
		}
	}
	for _, g := range f.Guardrails {
		if g.Use != "" && foreign(g.Line) {
			d.problem(g.Line, "write it in the config file", "a guardrail of the store has no use: it says where the default pack applies")
		}
	}
	for _, m := range f.Masking {
		if (m.Use == useOff || m.namesPack()) && foreign(m.Line) {
			d.problem(m.Line, "write it in the config file", "a masking rule of the store has no use without a profile: it says where the default pack applies")
		}
	}
}

// validateForeign checks a resource of the store.
func (f *File) validateForeign(d *decoder, r *Resource, local func(ref string) bool) {
	const hint = "write the resource in the config file"
	at := "resource " + r.Name
	if strings.HasPrefix(r.Address, "unix:") {
		d.problem(r.Line, hint, "%s: a socket of the gateway's host cannot be the address of a resource of the store", at)
	}
	if t := r.TLS; t != nil {
		for _, v := range [][2]string{{"ca", t.CA}, {"cert", t.Cert}} {
			if v[1] != "" && !isPEM(v[1]) {
				d.problem(t.Line, "write the certificate itself, beginning with -----BEGIN CERTIFICATE-----", "%s: tls.%s: a resource of the store cannot name a file of the gateway's host", at, v[0])
			}
		}
		if t.Key != "" && f.checkReference(t.Key) != nil {
			d.problem(t.Line, "give a reference to a secret manager", "%s: tls.key: a resource of the store cannot name a file of the gateway's host", at)
		}
	}
	for _, b := range f.bindings(r) {
		if local(b.Ref) {
			d.problem(r.Line, "give a reference to a secret manager, or "+hint, "%s: %q leads to the gateway's own host, which a resource of the store cannot name", at, b.Ref)
		}
	}
}

// isPEM reports whether a value of the file is a certificate itself, and not the name of a file.
func isPEM(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN ") }
