package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// KindMember is the kind of the documents of Members.
const KindMember = "member"

// GroupPrefix begins the names of the groups that Members assigns, so that none of them
// is a group that a provider, a directory or the configuration gives.
const GroupPrefix = "local:"

// ErrDisabled says that an administrator has disabled somebody.
var ErrDisabled = errors.New("the account is disabled")

// Member is somebody who has logged in, or was written down by an administrator.
type Member struct {
	Subject string `json:"subject"`
	Name    string `json:"name,omitempty"` // for people
	// Groups are those that administrators have assigned, with GroupPrefix.
	Groups   []string `json:"groups,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
	// Email is where mails go that concern her, by her last login; it identifies nobody.
	Email string `json:"email,omitempty"`
	// Given are the groups that the last login came with, and Seen is when that was.
	Given []string  `json:"given,omitempty"`
	Seen  time.Time `json:"seen,omitzero"`
}

// Members is what administrators say about people, wherever these log in: further
// groups, and who may not go on. It proves nobody; it is one of [Sources.Refine]. It is
// safe for concurrent use, also by several gateways on the same documents.
type Members struct {
	Documents Documents
	// Changed is told of what administrators have changed; nil tells nobody.
	Changed func(Change)
	Now     func() time.Time
}

// MaxMemberGroups is how many groups one member is assigned.
const MaxMemberGroups = 200

func memberName(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return hex.EncodeToString(sum[:])
}

// ValidGroup reports whether a name can be that of an assigned group.
func ValidGroup(name string) error {
	plain, ok := strings.CutPrefix(name, GroupPrefix)
	if !ok || strings.Contains(plain, ":") {
		return fmt.Errorf("group %q: assigned groups are called %sNAME", name, GroupPrefix)
	}
	if len(name) > 128 {
		return fmt.Errorf("group %q: a name has at most 128 bytes", name)
	}
	return ValidName(plain)
}

func (m *Members) read(ctx context.Context, subject string) (Document, *Member, error) {
	d, err := m.Documents.Get(ctx, KindMember, memberName(subject))
	if errors.Is(err, ErrNoDocument) {
		return Document{Name: memberName(subject)}, &Member{Subject: subject}, nil
	}
	if err != nil {
		return d, nil, fmt.Errorf("reading member %s: %w", subject, err)
	}
	k := &Member{}
	if err := json.Unmarshal(d.Body, k); err != nil || k.Subject != subject {
		return d, nil, fmt.Errorf("reading member %s: its document cannot be read", subject)
	}
	return d, k, nil
}

// edit reads a member and writes what change makes of it, also when another writes at
// the same time. It reports whether there was something to write.
func (m *Members) edit(ctx context.Context, subject string, change func(k *Member)) (*Member, bool, error) {
	if subject == "" || len(subject) > 400 {
		return nil, false, fmt.Errorf("member %q: a subject has 1 to 400 bytes", subject)
	}
	for {
		d, k, err := m.read(ctx, subject)
		if err != nil {
			return nil, false, err
		}
		change(k)
		before := d.Body
		if d.Body, err = json.Marshal(k); err != nil {
			return nil, false, err
		}
		if string(before) == string(d.Body) {
			return k, false, nil
		}
		if _, err = m.Documents.Write(ctx, KindMember, d); errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("keeping member %s: %w", subject, err)
		}
		return k, true, nil
	}
}

// Saw keeps that somebody has logged in, for lists of members.
func (m *Members) Saw(ctx context.Context, id *proxy.Identity) error {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	_, _, err := m.edit(ctx, id.Subject, func(k *Member) {
		k.Name, k.Email, k.Given, k.Seen = id.Name, id.Claims["email"], withoutAssigned(id.Groups), now().UTC().Truncate(time.Second)
	})
	return err
}

// Get returns a member; one without a document has nothing but a subject.
func (m *Members) Get(ctx context.Context, subject string) (Member, error) {
	_, k, err := m.read(ctx, subject)
	if err != nil {
		return Member{}, err
	}
	return *k, nil
}

// List returns all members, by subject.
func (m *Members) List(ctx context.Context) ([]Member, error) {
	var list []Member
	var broken error
	err := All(ctx, m.Documents, KindMember, func(d Document) bool {
		var k Member
		if err := json.Unmarshal(d.Body, &k); err != nil {
			broken = fmt.Errorf("member document %s cannot be read", d.Name)
			return false
		}
		list = append(list, k)
		return true
	})
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.Subject, b.Subject) })
	return list, errors.Join(err, broken)
}

// Assign makes groups those that a member is assigned. Live sessions follow.
func (m *Members) Assign(ctx context.Context, subject string, groups []string) (Member, error) {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if len(groups) > MaxMemberGroups {
		return Member{}, fmt.Errorf("assigning groups to %s: got %d, want at most %d", subject, len(groups), MaxMemberGroups)
	}
	for _, g := range groups {
		if err := ValidGroup(g); err != nil {
			return Member{}, err
		}
	}
	return m.set(ctx, subject, Change{Subject: subject}, func(k *Member) { k.Groups = groups })
}

// Disable has somebody not log in any more, by any proof, and ends her sessions.
func (m *Members) Disable(ctx context.Context, subject string) (Member, error) {
	return m.set(ctx, subject, Change{Subject: subject, Ended: true, Reason: ErrDisabled.Error()}, func(k *Member) { k.Disabled = true })
}

// Enable ends what Disable began.
func (m *Members) Enable(ctx context.Context, subject string) (Member, error) {
	return m.set(ctx, subject, Change{Subject: subject}, func(k *Member) { k.Disabled = false })
}

// Follow tells of what another gateway has changed about the member whose document it is.
func (m *Members) Follow(ctx context.Context, name string) error {
	d, err := m.Documents.Get(ctx, KindMember, name)
	var k Member
	switch {
	case errors.Is(err, ErrNoDocument): // whose it was is not known
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(d.Body, &k); err != nil {
			return fmt.Errorf("member document %s cannot be read", name)
		}
	}
	c := Change{Subject: k.Subject, Ended: k.Disabled, Reason: "your groups have changed"}
	if k.Disabled {
		c.Reason = ErrDisabled.Error()
	}
	if m.Changed != nil {
		m.Changed(c)
	}
	return nil
}

func (m *Members) set(ctx context.Context, subject string, c Change, change func(k *Member)) (Member, error) {
	k, changed, err := m.edit(ctx, subject, change)
	if err != nil {
		return Member{}, err
	}
	if changed && m.Changed != nil {
		m.Changed(c)
	}
	return *k, nil
}

func assigned(group string) bool { return strings.HasPrefix(group, GroupPrefix) }

func withoutAssigned(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), assigned)
}

// Refresh implements [proxy.Refresher]: a person has the assigned groups besides her own. It
// fails for who is disabled, and for the agents of who is.
func (m *Members) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	if id.OnBehalfOf != "" {
		_, human, err := m.read(ctx, id.OnBehalfOf)
		if err != nil {
			return nil, err
		}
		if human.Disabled {
			return nil, fmt.Errorf("%w: %s", ErrDisabled, id.OnBehalfOf)
		}
	}
	_, k, err := m.read(ctx, id.Person())
	if err != nil {
		return nil, err
	}
	if k.Disabled {
		return nil, fmt.Errorf("%w: %s", ErrDisabled, id.Person())
	}
	if id.Kind != proxy.Human && !id.Delegated { // its definition has its groups
		return id, nil
	}
	groups := append(withoutAssigned(id.Groups), k.Groups...)
	if slices.Equal(groups, id.Groups) {
		return id, nil
	}
	now := *id
	now.Groups, now.Claims = groups, maps.Clone(id.Claims)
	return &now, nil
}
