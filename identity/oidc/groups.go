package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// Groups says where a provider names groups, and what they are here.
type Groups struct {
	// Claim names the groups: a claim of that very name, such as "groups" or
	// "https://example.com/groups", or a path into claims, such as
	// "realm_access.roles". Its value is a list of names, a name, a list of objects
	// with a "value", "id" or "name", or an object whose keys are the names. Empty: the
	// provider gives no groups.
	Claim string
	// Required refuses logins without the claim. Otherwise they have no groups.
	Required bool
	// Names gives groups better names, such as those that are identifiers at the provider.
	// They keep the provider's prefix.
	Names map[string]string
	// Grants makes members of a group of the provider's, as it names it, members of
	// groups of the gateway's own, which have no prefix. Nothing else does: this is the
	// only way by which a login makes somebody an administrator.
	Grants map[string][]string
	// Graph is the Microsoft Graph that is asked for the groups of people who have more of
	// them than fit in a token: "https://graph.microsoft.com/v1.0". Empty: such a login is
	// refused, since its groups are not known. The address that the token gives is not
	// asked.
	Graph string
}

// Bounds on groups.
const (
	maxGroups    = 5000
	maxGroupName = 256
	maxPages     = 50
)

func (g *Groups) check() error {
	for from, to := range g.Names {
		if !validGroup(to) {
			return fmt.Errorf("the name %q of group %q: want 1 to %d bytes without control characters", to, from, maxGroupName)
		}
	}
	for from, to := range g.Grants {
		for _, t := range to {
			if !validGroup(t) || strings.Contains(t, ":") {
				return fmt.Errorf("group %q grants %q: want a group of the gateway's own, without a prefix", from, t)
			}
		}
	}
	if g.Graph != "" {
		if err := encrypted(g.Graph); err != nil {
			return fmt.Errorf("the graph: %w", err)
		}
	}
	return nil
}

func validGroup(name string) bool {
	return name != "" && len(name) <= maxGroupName && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' })
}

// find returns the claim.
func (g *Groups) find(all map[string]any) (any, bool) {
	if v, ok := all[g.Claim]; ok {
		return v, true
	}
	var v any = all
	for part := range strings.SplitSeq(g.Claim, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[part]; !ok {
			return nil, false
		}
	}
	return v, true
}

// overflown reports whether the token says that the groups are elsewhere.
func (g *Groups) overflown(all map[string]any) bool {
	names, _ := all["_claim_names"].(map[string]any)
	_, elsewhere := names[g.Claim]
	return elsewhere || all["hasgroups"] == true || all["hasgroups"] == "true"
}

// known reports whether claims say which groups somebody is in, or where to ask.
func (g *Groups) known(all map[string]any) bool {
	_, ok := g.find(all)
	return ok || g.overflown(all)
}

// of returns the groups of somebody, with the provider's prefix, and those that they
// grant.
func (g *Groups) of(ctx context.Context, p *Provider, t *oauth2.Token, c *claims) ([]string, error) {
	if g.Claim == "" {
		return nil, nil
	}
	var names []string
	v, ok := g.find(c.all)
	switch {
	case ok:
		var err error
		if names, err = listed(v); err != nil {
			return nil, fmt.Errorf("the claim %q: %w", g.Claim, err)
		}
	case g.overflown(c.all):
		var err error
		if names, err = g.askGraph(ctx, p, t); err != nil {
			return nil, fmt.Errorf("the user is in more groups than the token holds: %w", err)
		}
	case g.Required:
		return nil, fmt.Errorf("%w: the token has no claim %q: have the provider add it, or ask for the scope that brings it", errNotNow, g.Claim)
	}
	if len(names) > maxGroups {
		return nil, fmt.Errorf("%w: the user is in %d groups, more than %d: have the provider send only those that are assigned to the gateway", errNotNow, len(names), maxGroups)
	}
	groups := make([]string, 0, len(names))
	for _, n := range names {
		if !validGroup(n) {
			return nil, fmt.Errorf("a group is called %q: want 1 to %d bytes without control characters", clip(n), maxGroupName)
		}
		groups = append(groups, g.Grants[n]...)
		if better := g.Names[n]; better != "" {
			n = better
		}
		groups = append(groups, p.config.Name+":"+n)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

var errGroups = errors.New("it is neither a list of names, a name, nor an object whose keys are names")

// listed returns the names in a claim.
func listed(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if v == "" {
			return nil, nil
		}
		return []string{v}, nil
	case map[string]any:
		names := make([]string, 0, len(v))
		for n := range v {
			names = append(names, n)
		}
		return names, nil
	case []any:
		names := make([]string, 0, len(v))
		for _, e := range v {
			name, ok := e.(string)
			if m, is := e.(map[string]any); is {
				for _, key := range []string{"value", "id", "name"} {
					if name, ok = m[key].(string); ok {
						break
					}
				}
			}
			if !ok {
				return nil, errGroups
			}
			names = append(names, name)
		}
		return names, nil
	}
	return nil, errGroups
}

// askGraph asks Microsoft Graph which groups the access token's user is in, also through
// others.
func (g *Groups) askGraph(ctx context.Context, p *Provider, t *oauth2.Token) ([]string, error) {
	if g.Graph == "" {
		return nil, fmt.Errorf("%w: let the gateway ask the graph, or have the provider send only groups that are assigned to the gateway", errNotNow)
	}
	base, err := url.Parse(strings.TrimSuffix(g.Graph, "/") + "/me/transitiveMemberOf/microsoft.graph.group?$select=id&$top=999")
	if err != nil {
		return nil, err
	}
	var names []string
	for at, n := base, 0; at != nil; n++ {
		if n == maxPages || len(names) > maxGroups {
			return nil, fmt.Errorf("the graph names more than %d groups", maxGroups)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
		if err != nil {
			return nil, err
		}
		t.SetAuthHeader(r)
		var answer struct {
			Value []struct{ ID string }
			Next  string `json:"@odata.nextLink"`
		}
		if err := p.getJSON(r, &answer); err != nil {
			return nil, fmt.Errorf("asking the graph: %w", err)
		}
		for _, v := range answer.Value {
			names = append(names, v.ID)
		}
		if at = nil; answer.Next != "" {
			if at, err = url.Parse(answer.Next); err != nil || at.Scheme != base.Scheme || at.Host != base.Host {
				return nil, errors.New("the graph's next page is elsewhere")
			}
		}
	}
	return names, nil
}

// getJSON reads an answer into v.
func (p *Provider) getJSON(r *http.Request, v any) error {
	resp, err := p.client.Do(r)
	if err != nil {
		return errors.New(clip(err.Error()))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return errors.New("the answer cannot be read: " + clip(err.Error()))
	}
	return nil
}
