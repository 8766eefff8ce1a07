// Package onepassword reads items of 1Password by a Connect server, over plain HTTP.
//
//	onepassword:Databases/orders#password        a field of an item of a vault, by names or identifiers
//	onepassword:Databases/orders#replica.password  a field of a section
package onepassword

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Config says where a Connect server is, and by which token the gateway reads there.
type Config struct {
	Address string         // "https://connect.example.com"
	RootCAs *x509.CertPool // nil is the system's
	Token   secrets.Input  // of Connect
}

// Provider is a [secrets.Provider] of one Connect server. Make it with New.
type Provider struct {
	client *httpapi.Client
	base   string
	token  secrets.Input
}

// New returns a provider, without connecting.
func New(c Config) (*Provider, error) {
	base, err := httpapi.Base(c.Address)
	if err != nil {
		return nil, fmt.Errorf("opening 1Password Connect: %w", err)
	}
	if c.Token == nil {
		return nil, errors.New("opening 1Password Connect: there is no token: set Config.Token")
	}
	return &Provider{
		client: httpapi.New("1Password Connect", httpapi.TLS(c.RootCAs, nil)), base: strings.TrimSuffix(base.String(), "/") + "/v1/vaults", token: c.Token,
	}, nil
}

// Remote marks the provider: its references do not read the gateway's host.
func (*Provider) Remote() {}

// identifier is how 1Password names vaults and items besides the names that people give.
var identifier = regexp.MustCompile(`^[a-z0-9]{26}$`)

// item is an item with its fields.
type item struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Fields  []struct {
		ID      string  `json:"id"`
		Label   string  `json:"label"`
		Value   *string `json:"value"`
		Section struct {
			ID string `json:"id"`
		} `json:"section"`
	} `json:"fields"`
	Sections []struct {
		ID    string `json:"id"`
		Label string `json:"label"`
	} `json:"sections"`
}

// Resolve reads a field.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	vault, name, ok := strings.Cut(ref.Path, "/")
	if !ok || vault == "" || name == "" {
		return nil, fmt.Errorf("the path %q is not one of 1Password: want VAULT/ITEM", ref.Path)
	}
	if ref.Key == "" {
		return nil, fmt.Errorf("%s has several fields: give one, as in onepassword:%s#password: %w", ref.Path, ref.Path, secrets.ErrType)
	}
	token, err := p.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("the token of 1Password Connect: %w", err)
	}
	it, err := p.find(ctx, token, vault, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	v, err := it.field(ref.Key)
	if user := ref.Options.Get("user"); err == nil && user != "" {
		var who *secrets.Value
		if who, err = it.field(user); err == nil {
			v.Username = who.Plain().Reveal()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	v.Shared, v.Version = true, strconv.Itoa(it.Version)
	return v, nil
}

// find reads an item by names or identifiers.
func (p *Provider) find(ctx context.Context, token proxy.Secret, vault, name string) (*item, error) {
	vault, err := p.identify(ctx, token, p.base, "name", vault)
	if err != nil {
		return nil, fmt.Errorf("the vault: %w", err)
	}
	items := p.base + "/" + vault + "/items"
	id, err := p.identify(ctx, token, items, "title", name)
	if err != nil {
		return nil, fmt.Errorf("the item: %w", err)
	}
	it := &item{}
	if err := p.client.JSON(ctx, http.MethodGet, items+"/"+id, httpapi.Bearer(token), nil, it); err != nil {
		return nil, err
	}
	if it.ID != id {
		return nil, fmt.Errorf("the answer is about another item: %w", secrets.ErrType)
	}
	return it, nil
}

// identify returns the identifier of the one object of a list that has a name.
func (p *Provider) identify(ctx context.Context, token proxy.Secret, list, attribute, name string) (string, error) {
	if identifier.MatchString(name) {
		return name, nil
	}
	if strings.ContainsAny(name, `"\`) { // the filter's own
		return "", fmt.Errorf(`the name %q has a " or \: write its identifier instead`, name)
	}
	var found []struct {
		ID string `json:"id"`
	}
	address := list + "?filter=" + url.QueryEscape(attribute+` eq "`+name+`"`)
	if err := p.client.JSON(ctx, http.MethodGet, address, httpapi.Bearer(token), nil, &found); err != nil {
		return "", err
	}
	switch {
	case len(found) == 0:
		return "", fmt.Errorf("none has the name %q, or the gateway may not see it: %w", name, secrets.ErrNotFound)
	case len(found) > 1:
		return "", fmt.Errorf("%d have the name %q: write the identifier of one instead", len(found), name)
	case !identifier.MatchString(found[0].ID):
		return "", fmt.Errorf("the answer has no identifier: %w", secrets.ErrType)
	}
	return found[0].ID, nil
}

// field returns the field that key names by its label or identifier, with its section's before it and a dot
// between them where it is in one.
func (it *item) field(key string) (*secrets.Value, error) {
	sections := make(map[string]string)
	for _, s := range it.Sections {
		sections[s.ID] = s.Label
	}
	var texts []*string
	for _, f := range it.Fields {
		for _, name := range []string{f.Label, f.ID} {
			if section := f.Section.ID; name != "" && (key == name || section != "" && (key == section+"."+name || key == sections[section]+"."+name)) {
				texts = append(texts, f.Value)
				break
			}
		}
	}
	switch {
	case len(texts) == 0:
		return nil, fmt.Errorf("field %q: %w", key, secrets.ErrNotFound)
	case len(texts) > 1:
		return nil, fmt.Errorf("field %q: there are %d: write SECTION.FIELD, or its identifier", key, len(texts))
	case texts[0] == nil:
		return nil, fmt.Errorf("field %q: %w", key, secrets.ErrEmpty)
	}
	return secrets.Whole(*texts[0])
}

// Settings are what a config file says of a Connect server.
type Settings struct {
	Address string `yaml:"address"`
	CA      string `yaml:"ca"`
	Token   string `yaml:"token"` // a reference
}

// Kind is the kind of sources that are a Connect server.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "onepassword", Settings: func() any { return &Settings{} }, Open: open}
}

// Validate says what is wrong.
func (s *Settings) Validate() error {
	_, err := httpapi.Base(s.Address)
	if err != nil {
		err = fmt.Errorf("address: %w", err)
	}
	return errors.Join(err, secrets.CheckInput("token", s.Token))
}

func open(settings any, h secrets.Host) (secrets.Provider, error) {
	s := settings.(*Settings)
	roots, err := h.Roots(s.CA)
	if err != nil {
		return nil, err
	}
	return New(Config{Address: s.Address, RootCAs: roots, Token: h.Input(s.Token)})
}
