// Package scim is told by a company's directory who works there and in which groups: a
// SCIM 2.0 service provider (RFC 7643, RFC 7644) for users and groups, as Entra ID and
// Okta talk to one.
//
// A [Directory] keeps what it was told, and a [Handler] is told it over HTTP. Somebody
// who is disabled there loses live sessions within a second, where OpenID Connect alone
// would notice at its next refresh. The directory proves nobody: it says who may go on
// to be who has logged in, and in which groups, which carry the prefix "scim:".
package scim

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Kinds of documents.
const (
	KindUser  = "scim-user"
	KindGroup = "scim-group"
	kindName  = "scim-name" // which user or group has a name
)

// prefix is that of the directory's groups.
const prefix = "scim:"

// Bounds on what a directory may be.
const (
	maxMembers = 20_000 // of a group: its document has to fit where documents are kept
	maxName    = 256
	maxDoc     = 512 << 10
)

// Directory is what the gateway was told. It is safe for concurrent use, also by
// several gateways on the same documents. Its fields are set before Load.
type Directory struct {
	Documents identity.Documents
	// Provider is the name of the OpenID provider at which the directory's users log in. A
	// user's subject is PROVIDER/EXTERNALID: the directory has to send as externalId what
	// the provider sends as the claim that identifies somebody.
	Provider string
	// Required refuses people that the provider lets in and the directory does not know.
	Required bool
	// Changed is told of users who were disabled and of groups that changed; nil tells
	// nobody. It is called from one goroutine at a time.
	Changed func(identity.Change)

	tell sync.Mutex

	mu     sync.RWMutex
	loaded bool
	users  map[string]user            // by identifier
	people map[string]string          // identifiers of users, by subject
	groups map[string]group           // by identifier
	member map[string]map[string]bool // groups' identifiers, by user's
}

type user struct {
	subject string
	active  bool
}

type group struct {
	name    string
	members []string // sorted
}

// Load reads the directory. Until it has, nobody is refreshed.
func (d *Directory) Load(ctx context.Context) error {
	now := Directory{}
	now.reset()
	bad := 0
	err := errors.Join(
		identity.All(ctx, d.Documents, KindUser, func(doc identity.Document) bool {
			r, err := parse(doc)
			if err != nil {
				bad++
				return true
			}
			now.putUser(doc.Name, d.subject(r), r.active())
			return true
		}),
		identity.All(ctx, d.Documents, KindGroup, func(doc identity.Document) bool {
			r, err := parse(doc)
			if err != nil {
				bad++
				return true
			}
			now.putGroup(doc.Name, r.text("displayName"), r.members())
			return true
		}))
	if err != nil {
		return fmt.Errorf("reading the directory: %w", err)
	}
	if bad > 0 {
		return fmt.Errorf("reading the directory: %d documents cannot be read", bad)
	}
	d.mu.Lock()
	var changes []identity.Change
	if d.loaded {
		changes = d.compare(&now)
	}
	d.loaded, d.users, d.people, d.groups, d.member = true, now.users, now.people, now.groups, now.member
	d.mu.Unlock()
	d.notify(changes)
	return nil
}

// Follow reads one document again, which another gateway has changed.
func (d *Directory) Follow(ctx context.Context, kind, name string) error {
	if kind != KindUser && kind != KindGroup {
		return nil
	}
	doc, err := d.Documents.Get(ctx, kind, name)
	if errors.Is(err, identity.ErrNoDocument) {
		d.apply(kind, name, nil)
		return nil
	}
	if err != nil {
		return err
	}
	r, err := parse(doc)
	if err == nil {
		d.apply(kind, name, r)
	}
	return err
}

func (d *Directory) reset() {
	d.users, d.people, d.groups, d.member = make(map[string]user), make(map[string]string), make(map[string]group), make(map[string]map[string]bool)
}

// subject is who a user is once she has logged in; empty for one without an external
// identifier.
func (d *Directory) subject(r resource) string {
	external := r.text("externalId")
	if external == "" || d.Provider == "" {
		return ""
	}
	return d.Provider + "/" + strings.ReplaceAll(url.PathEscape(external), "+", "%2B")
}

func (d *Directory) putUser(id, subject string, active bool) {
	if was, ok := d.users[id]; ok && d.people[was.subject] == id {
		delete(d.people, was.subject)
	}
	d.users[id] = user{subject, active}
	// Of two users with one subject, one that is disabled decides.
	if other, taken := d.people[subject]; subject != "" && (!taken || d.users[other].active) {
		d.people[subject] = id
	}
}

func (d *Directory) dropUser(id string) {
	was := d.users[id]
	delete(d.users, id)
	if d.people[was.subject] != id {
		return
	}
	delete(d.people, was.subject)
	for other, u := range d.users { // another that was told of with the same subject
		if u.subject == was.subject && was.subject != "" {
			d.putUser(other, u.subject, u.active)
		}
	}
}

func (d *Directory) putGroup(id, name string, members []string) {
	d.dropGroup(id)
	members = slices.Sorted(slices.Values(members))
	d.groups[id] = group{name, members}
	for _, m := range members {
		if d.member[m] == nil {
			d.member[m] = make(map[string]bool)
		}
		d.member[m][id] = true
	}
}

func (d *Directory) dropGroup(id string) {
	for _, m := range d.groups[id].members {
		if delete(d.member[m], id); len(d.member[m]) == 0 {
			delete(d.member, m)
		}
	}
	delete(d.groups, id)
}

// of returns a user's groups.
func (d *Directory) of(id string) []string {
	var names []string
	for g := range d.member[id] {
		names = append(names, prefix+d.groups[g].name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// apply makes a resource what the directory knows; nil: it is gone.
func (d *Directory) apply(kind, id string, r resource) {
	d.mu.Lock()
	if !d.loaded {
		d.mu.Unlock()
		return
	}
	affected := map[string]string{} // users' identifiers by subject
	note := func(user string) {
		if u := d.users[user]; u.subject != "" {
			affected[u.subject] = user
		}
	}
	if kind == KindUser {
		note(id)
	}
	var members []string
	switch was := d.groups[id]; {
	case kind == KindGroup && r == nil:
		members = was.members
	case kind == KindGroup && r.text("displayName") == was.name: // those who came or left
		members = difference(was.members, r.members())
	case kind == KindGroup:
		members = append(slices.Clone(was.members), r.members()...)
	}
	for _, m := range members {
		note(m)
	}
	before := make(map[string]standing, len(affected)+1)
	look := func() {
		for subject := range affected {
			if _, seen := before[subject]; !seen {
				before[subject] = d.standing(subject)
			}
		}
	}
	if kind == KindUser && r != nil {
		if s := d.subject(r); s != "" {
			affected[s] = id
		}
	}
	look()
	switch {
	case kind == KindUser && r == nil:
		d.dropUser(id)
	case kind == KindUser:
		d.putUser(id, d.subject(r), r.active())
	case r == nil:
		d.dropGroup(id)
	default:
		d.putGroup(id, r.text("displayName"), r.members())
	}
	var changes []identity.Change
	for _, subject := range slices.Sorted(maps.Keys(before)) {
		if c, ok := changed(subject, before[subject], d.standing(subject)); ok {
			changes = append(changes, c)
		}
	}
	d.mu.Unlock()
	d.notify(changes)
}

// difference returns what is in one of two sorted lists.
func difference(a, b []string) []string {
	var out []string
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// Knows reports whether the directory has somebody with that subject who is not disabled.
func (d *Directory) Knows(subject string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	id, ok := d.people[subject]
	return ok && d.users[id].active
}

// standing is what the directory says of a subject.
type standing struct {
	known, active bool
	groups        []string
}

func (d *Directory) standing(subject string) standing {
	id, ok := d.people[subject]
	if !ok {
		return standing{}
	}
	return standing{true, d.users[id].active, d.of(id)}
}

// changed is what sessions have to follow.
func changed(subject string, was, is standing) (identity.Change, bool) {
	switch {
	case was.known && was.active && !is.known:
		return identity.Change{Subject: subject, Ended: true, Reason: "your account was removed"}, true
	case is.known && !is.active && (was.active || !was.known):
		return identity.Change{Subject: subject, Ended: true, Reason: "your account was disabled"}, true
	case !slices.Equal(was.groups, is.groups):
		return identity.Change{Subject: subject, Reason: "your groups have changed"}, true
	}
	return identity.Change{}, false
}

// compare returns what has changed from d to now.
func (d *Directory) compare(now *Directory) []identity.Change {
	subjects := maps.Clone(d.people)
	maps.Copy(subjects, now.people)
	var changes []identity.Change
	for _, s := range slices.Sorted(maps.Keys(subjects)) {
		if c, ok := changed(s, d.standing(s), now.standing(s)); ok {
			changes = append(changes, c)
		}
	}
	return changes
}

func (d *Directory) notify(changes []identity.Change) {
	if d.Changed == nil || len(changes) == 0 {
		return
	}
	d.tell.Lock()
	defer d.tell.Unlock()
	for _, c := range changes {
		d.Changed(c)
	}
}

// Errors of Refresh.
var (
	ErrDisabled = errors.New("the account is disabled in the directory")
	ErrUnknown  = errors.New("the account is not in the directory")
	ErrNotRead  = errors.New("the directory was not read yet")
)

// Refresh implements [proxy.Refresher]: the identity has the directory's groups besides
// its own, and none when the directory does not know it. It is asked at a login too.
func (d *Directory) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.loaded {
		return nil, ErrNotRead
	}
	s := d.standing(id.Person())
	ours := strings.HasPrefix(id.Person(), d.Provider+"/")
	switch {
	case s.known && !s.active:
		return nil, ErrDisabled
	case !s.known && d.Required && ours:
		return nil, ErrUnknown
	}
	groups := slices.DeleteFunc(slices.Clone(id.Groups), func(g string) bool { return strings.HasPrefix(g, prefix) })
	groups = append(groups, s.groups...)
	if slices.Equal(groups, id.Groups) {
		return id, nil
	}
	now := *id
	now.Groups = groups
	return &now, nil
}

// reserve gives a name to a user or group, so that no other has it: rules go by names.
func (d *Directory) reserve(ctx context.Context, kind, name, id string) error {
	doc := identity.Document{Name: nameKey(kind, name)}
	kept, err := d.Documents.Get(ctx, kindName, doc.Name)
	switch {
	case err == nil:
		var by struct{ ID string }
		if err := json.Unmarshal(kept.Body, &by); err != nil {
			return err
		}
		if by.ID == id {
			return nil
		}
		// One who has reserved it and then failed does not have it.
		other, err := d.Documents.Get(ctx, kind, by.ID)
		if err == nil {
			if r, bad := parse(other); bad != nil || nameKey(kind, r.name(kind)) == doc.Name {
				return errTaken
			}
		} else if !errors.Is(err, identity.ErrNoDocument) {
			return err
		}
		doc.Version = kept.Version
	case !errors.Is(err, identity.ErrNoDocument):
		return err
	}
	if doc.Body, err = json.Marshal(struct{ ID string }{id}); err != nil {
		return err
	}
	if _, err := d.Documents.Write(ctx, kindName, doc); errors.Is(err, identity.ErrConflict) {
		return errTaken
	} else if err != nil {
		return err
	}
	return nil
}

// release takes a reservation back.
func (d *Directory) release(ctx context.Context, kind, name, id string) error {
	kept, err := d.Documents.Get(ctx, kindName, nameKey(kind, name))
	if errors.Is(err, identity.ErrNoDocument) {
		return nil
	}
	if err != nil {
		return err
	}
	var by struct{ ID string }
	if err := json.Unmarshal(kept.Body, &by); err != nil || by.ID != id {
		return err
	}
	kept.Body = nil
	if _, err := d.Documents.Write(ctx, kindName, kept); !errors.Is(err, identity.ErrConflict) {
		return err
	}
	return nil // another has it already
}

func nameKey(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + strings.ToLower(name)))
	return hex.EncodeToString(sum[:])
}

// write keeps a resource over the version that was read, and has sessions follow it. It
// returns the new version.
func (d *Directory) write(ctx context.Context, kind, id string, version int64, before, r resource) (int64, error) {
	if err := d.check(ctx, kind, before, r); err != nil {
		return 0, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	if len(body) > maxDoc {
		return 0, &problem{413, "tooMany", fmt.Sprintf("a resource has at most %d bytes", maxDoc)}
	}
	name, old := r.name(kind), ""
	if before != nil {
		old = before.name(kind)
	}
	if err := d.reserve(ctx, kind, name, id); err != nil {
		return 0, err
	}
	v, err := d.Documents.Write(ctx, kind, identity.Document{Name: id, Version: version, Body: body})
	if err != nil {
		if nameKey(kind, name) != nameKey(kind, old) {
			err = errors.Join(err, d.release(ctx, kind, name, id))
		}
		return 0, err
	}
	d.apply(kind, id, r)
	if old != "" && nameKey(kind, name) != nameKey(kind, old) {
		err = d.release(ctx, kind, old, id)
	}
	return v, err
}

// remove deletes a resource, and takes a user out of groups.
func (d *Directory) remove(ctx context.Context, kind, id string, version int64, r resource) error {
	if _, err := d.Documents.Write(ctx, kind, identity.Document{Name: id, Version: version}); err != nil {
		return err
	}
	d.apply(kind, id, nil)
	err := d.release(ctx, kind, r.name(kind), id)
	if kind != KindUser {
		return err
	}
	d.mu.RLock()
	in := slices.Collect(maps.Keys(d.member[id]))
	d.mu.RUnlock()
	for _, g := range in {
		err = errors.Join(err, d.leave(ctx, g, id))
	}
	return err
}

func (d *Directory) leave(ctx context.Context, group, id string) error {
	for {
		doc, err := d.Documents.Get(ctx, KindGroup, group)
		if errors.Is(err, identity.ErrNoDocument) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := parse(doc)
		if err != nil {
			return err
		}
		r.setMembers(slices.DeleteFunc(r.members(), func(m string) bool { return m == id }))
		if _, err = d.write(ctx, KindGroup, group, doc.Version, r, r); !errors.Is(err, identity.ErrConflict) {
			return err
		}
	}
}

// check returns what is wrong with a resource.
func (d *Directory) check(ctx context.Context, kind string, before, r resource) error {
	name := r.name(kind)
	what := map[string]string{KindUser: "userName", KindGroup: "displayName"}[kind]
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\ufffd' }) {
		return &problem{400, "invalidValue", fmt.Sprintf("%s: want 1 to %d bytes without control characters", what, maxName)}
	}
	if kind == KindUser {
		if len(r.text("externalId")) > maxName {
			return &problem{400, "invalidValue", fmt.Sprintf("externalId: want at most %d bytes", maxName)}
		}
		return nil
	}
	members := r.members()
	if len(members) > maxMembers {
		return &problem{413, "tooMany", fmt.Sprintf("a group has at most %d members, got %d: assign smaller groups", maxMembers, len(members))}
	}
	had := make(map[string]bool)
	if before != nil {
		for _, m := range before.members() {
			had[m] = true
		}
	}
	for _, m := range members {
		if had[m] {
			continue
		}
		if _, err := d.Documents.Get(ctx, KindUser, m); errors.Is(err, identity.ErrNoDocument) {
			return &problem{400, "invalidValue", fmt.Sprintf("members: %.64q is not a user here; groups in groups are not kept", m)}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func newID() string { return rand.Text() }
