package scim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/proxy"
)

// service is a directory that is told things over HTTP.
type service struct {
	*httptest.Server
	t       *testing.T
	dir     *Directory
	mu      sync.Mutex
	changes []identity.Change
}

const token = "directory-token"

func newService(t *testing.T, docs identity.Documents) *service {
	s := &service{t: t}
	s.dir = &Directory{Documents: docs, Provider: "entra", Changed: func(c identity.Change) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changes = append(s.changes, c)
	}}
	require.NoError(t, s.dir.Load(t.Context()))
	s.Server = httptest.NewServer(&Handler{Directory: s.dir, Authorize: Bearer(sha256.Sum256([]byte(token))), URL: "https://gw.example.com/scim/v2"})
	t.Cleanup(s.Close)
	return s
}

// told returns what sessions were told since it was asked last.
func (s *service) told() []identity.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.changes
	s.changes = nil
	return c
}

type reply struct {
	status int
	header http.Header
	body   map[string]any
}

func (r reply) text(path ...string) string {
	v := any(r.body)
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

func (s *service) do(method, path, body string, header ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	got := reply{status: resp.StatusCode, header: resp.Header}
	if len(bytes.TrimSpace(b)) > 0 {
		require.NoError(s.t, json.Unmarshal(b, &got.body), string(b))
	}
	return got
}

// user makes a user as Entra ID does, and returns her identifier.
func (s *service) user(name, external string) string {
	s.t.Helper()
	got := s.do("POST", "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
		"externalId":%q,"userName":%q,"active":true,"emails":[{"primary":true,"type":"work","value":"%s@example.com"}],"meta":{"resourceType":"User"},"name":{"formatted":"x","familyName":"f","givenName":"g"},"roles":[]}`, external, name, name))
	require.Equal(s.t, 201, got.status, got.body)
	return got.text("id")
}

func (s *service) group(name string, members ...string) string {
	s.t.Helper()
	list := []map[string]string{}
	for _, m := range members {
		list = append(list, map[string]string{"value": m})
	}
	b, err := json.Marshal(map[string]any{"schemas": []string{schemaGroup}, "displayName": name, "members": list})
	require.NoError(s.t, err)
	got := s.do("POST", "/Groups", string(b))
	require.Equal(s.t, 201, got.status, got.body)
	return got.text("id")
}

func (s *service) patch(path, ops string, header ...string) reply {
	return s.do("PATCH", path, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+ops+`]}`, header...)
}

func (s *service) groups(subject string) []string {
	s.t.Helper()
	id, err := s.dir.Refresh(s.t.Context(), &proxy.Identity{Subject: subject})
	require.NoError(s.t, err)
	return id.Groups
}

// TestEntra: a user's life as Entra ID tells it, with its own ways of saying things.
func TestEntra(t *testing.T) {
	s := newService(t, &identity.Memory{})
	probe := s.do("GET", "/Users?filter="+url.QueryEscape(`userName eq "7b3a5e3e-nobody"`), "")
	require.Equal(t, 200, probe.status, "its test of the connection")
	require.EqualValues(t, 0, probe.body["totalResults"])
	require.Equal(t, []any{}, probe.body["Resources"])

	id := s.user("alice@example.com", "o-1")
	found := s.do("GET", "/Users?filter="+url.QueryEscape(`userName eq "ALICE@example.com"`), "")
	require.EqualValues(t, 1, found.body["totalResults"])
	group := s.do("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"g-1","displayName":"dba","members":[],"meta":{"resourceType":"Group"}}`).text("id")
	require.EqualValues(t, 1, s.do("GET", "/Groups?excludedAttributes=members&filter="+url.QueryEscape(`externalId eq "g-1"`), "").body["totalResults"])
	require.EqualValues(t, 0, s.do("GET", "/Groups?filter="+url.QueryEscape(`externalId eq "G-1"`), "").body["totalResults"], "identifiers have a case")
	s.told()

	require.Equal(t, 200, s.patch("/Groups/"+group, `{"op":"Add","path":"members","value":[{"value":"`+id+`"}]}`).status)
	require.Equal(t, []string{"scim:dba"}, s.groups("entra/o-1"))
	require.Equal(t, []identity.Change{{Subject: "entra/o-1", Reason: "your groups have changed"}}, s.told())
	require.Equal(t, 200, s.patch("/Groups/"+group, `{"op":"Add","path":"members","value":[{"value":"`+id+`"}]}`).status, "twice")
	require.Len(t, s.do("GET", "/Groups/"+group, "").body["members"], 1)
	require.NotContains(t, s.do("GET", "/Groups/"+group+"?excludedAttributes=members", "").body, "members")
	require.Empty(t, s.told())
	require.Equal(t, 200, s.patch("/Groups/"+group, `{"op":"Remove","path":"members","value":[{"value":"`+id+`"}]}`).status)
	require.Empty(t, s.groups("entra/o-1"))
	require.Len(t, s.told(), 1)

	got := s.patch("/Users/"+id, `{"op":"Replace","path":"emails[type eq \"work\"].value","value":"new@example.com"},
		{"op":"Add","path":"emails[type eq \"home\"].value","value":"home@example.com"},{"op":"Replace","path":"name.familyName","value":"New"},
		{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"it"},
		{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"o-2"},
		{"op":"Replace","value":{"displayName":"Alice","name.givenName":"A","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber":"7","emails[type eq \"work\"].primary":"True"}}`)
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, "New", got.text("name", "familyName"))
	require.Equal(t, "A", got.text("name", "givenName"))
	require.Equal(t, "Alice", got.text("displayName"))
	require.Equal(t, "it", got.text(schemaEnterprise, "department"))
	require.Equal(t, "7", got.text(schemaEnterprise, "employeeNumber"))
	emails := got.body["emails"].([]any)
	require.Equal(t, "new@example.com", emails[0].(map[string]any)["value"])
	require.Equal(t, map[string]any{"type": "home", "value": "home@example.com"}, emails[1])
	require.Empty(t, s.told())

	got = s.patch("/Users/"+id, `{"op":"Replace","path":"active","value":"False"}`)
	require.Equal(t, false, got.body["active"])
	require.Equal(t, []identity.Change{{Subject: "entra/o-1", Ended: true, Reason: "your account was disabled"}}, s.told())
	_, err := s.dir.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-1"})
	require.ErrorIs(t, err, ErrDisabled)
	require.Equal(t, 200, s.patch("/Users/"+id, `{"op":"Replace","path":"active","value":"True"}`).status)
	s.told()
	require.Equal(t, 204, s.do("DELETE", "/Users/"+id, "").status)
	require.Equal(t, []identity.Change{{Subject: "entra/o-1", Ended: true, Reason: "your account was removed"}}, s.told())
	require.Equal(t, 404, s.do("GET", "/Users/"+id, "").status)
	require.Equal(t, 404, s.do("DELETE", "/Users/"+id, "").status)
	require.NotEqual(t, id, s.user("alice@example.com", "o-1"), "the name is free again, and another user's")
	require.Empty(t, s.groups("entra/o-1"))
}

// TestOkta: a user's life as Okta tells it.
func TestOkta(t *testing.T) {
	s := newService(t, &identity.Memory{})
	require.EqualValues(t, 0, s.do("GET", `/Users?startIndex=1&count=2`, "").body["totalResults"])
	got := s.do("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bob@example.com","name":{"givenName":"B","familyName":"O"},
		"emails":[{"primary":true,"value":"bob@example.com","type":"work"}],"displayName":"Bob","locale":"en-US","externalId":"00u1","groups":[],"password":"canary-password","active":true}`, "Content-Type", "application/json")
	require.Equal(t, 201, got.status)
	require.NotContains(t, fmt.Sprint(got.body), "canary")
	require.Equal(t, "https://gw.example.com/scim/v2/Users/"+got.text("id"), got.header.Get("Location"))
	id := got.text("id")
	group := s.group("ops", id)
	require.Equal(t, []string{"scim:ops"}, s.groups("entra/00u1"))

	got = s.do("PUT", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"`+id+`","userName":"bob@example.com","externalId":"00u1","name":{"givenName":"Bob","familyName":"O"},"active":true,"groups":[{"value":"x"}],"meta":{"resourceType":"User"}}`)
	require.Equal(t, 200, got.status)
	require.Equal(t, "Bob", got.text("name", "givenName"))
	require.NotContains(t, got.body, "emails", "a PUT says what all is")
	require.NotContains(t, got.body, "groups")

	require.Equal(t, 200, s.patch("/Groups/"+group, `{"op":"replace","value":{"id":"`+group+`","displayName":"operators"}}`).status)
	require.Equal(t, []string{"scim:operators"}, s.groups("entra/00u1"))
	require.Equal(t, 200, s.patch("/Groups/"+group, `{"op":"remove","path":"members[value eq \"`+id+`\"]"}`).status)
	require.Empty(t, s.groups("entra/00u1"))
	require.Equal(t, 200, s.patch("/Groups/"+group, `{"op":"add","path":"members","value":[{"value":"`+id+`","display":"bob@example.com"}]},{"op":"replace","path":"displayName","value":"ops"}`).status)
	require.Equal(t, []string{"scim:ops"}, s.groups("entra/00u1"))
	got = s.do("PUT", "/Groups/"+group, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"ops","members":[]}`)
	require.Equal(t, 200, got.status)
	require.Empty(t, s.groups("entra/00u1"))
	s.told()

	require.Equal(t, 200, s.patch("/Users/"+id, `{"op":"replace","value":{"active":false}}`).status)
	require.True(t, s.told()[0].Ended)
	got = s.do("PUT", "/Users/"+id, `{"userName":"bob@example.com","externalId":"00u1"}`)
	require.Equal(t, false, got.body["active"], "what is left out enables nobody")
	require.Equal(t, 400, s.patch("/Users/"+id, `{"op":"replace","value":{"active":null}}`).status)
	require.Equal(t, false, s.patch("/Users/"+id, `{"op":"remove","path":"active"}`).body["active"])
	require.Equal(t, 204, s.do("DELETE", "/Groups/"+group, "").status)
}

// TestFilters: what is found is what the filter means; what is not understood is not
// guessed.
func TestFilters(t *testing.T) {
	s := newService(t, &identity.Memory{})
	for _, n := range []string{"alice", "bob", "carol"} {
		s.user(n, "x-"+n)
	}
	for _, c := range []struct {
		filter string
		want   int // -1: refused
	}{
		{`userName eq "alice"`, 1},
		{`username EQ "Alice"`, 1},
		{`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "alice"`, 1},
		{`userName ne "alice"`, 2},
		{`userName sw "a"`, 1},
		{`userName co "o"`, 2},
		{`userName ew "l"`, 1},
		{`userName gt "alice"`, 2},
		{`userName le "bob"`, 2},
		{`userName pr`, 3},
		{`title pr`, 0},
		{`title eq null`, 3},
		{`active eq true`, 3},
		{`active eq True`, 3},
		{`active eq "true"`, 3},
		{`active eq false`, 0},
		{`externalId eq "X-alice"`, 0},
		{`externalId eq "x-alice"`, 1},
		{`emails.value eq "bob@example.com"`, 1},
		{`emails eq "bob@example.com"`, 1},
		{`emails[type eq "work" and value co "@example.com"]`, 3},
		{`emails[type eq "home"]`, 0},
		{`name.familyName eq "f" and (userName eq "bob" or userName eq "carol")`, 2},
		{`userName eq "bob" or userName eq "carol" and active eq false`, 1},
		{`not (userName eq "bob")`, 2},
		{`userName eq "a\"b"`, 0},
		{`meta.resourceType eq "User"`, 3},
		{``, 3},
		{`userName`, -1},
		{`userName eq`, -1},
		{`userName eq alice`, -1},
		{`userName xx "alice"`, -1},
		{`userName eq "alice`, -1},
		{`userName eq "alice" garbage`, -1},
		{`(userName eq "alice"`, -1},
		{`emails[type eq "work"`, -1},
		{`not userName eq "bob"`, -1},
		{`userName eq ["a"]`, -1},
		{`1=1`, -1},
		{strings.Repeat("(", 50) + `userName pr` + strings.Repeat(")", 50), -1},
		{`userName eq "` + strings.Repeat("a", maxFilter) + `"`, -1},
	} {
		got := s.do("GET", "/Users?filter="+url.QueryEscape(c.filter), "")
		if c.want < 0 {
			require.Equal(t, 400, got.status, c.filter)
			require.Contains(t, []string{"invalidFilter", "invalidPath"}, got.text("scimType"), c.filter)
			continue
		}
		require.Equal(t, 200, got.status, c.filter)
		require.EqualValues(t, c.want, got.body["totalResults"], c.filter)
	}
}

func TestPages(t *testing.T) {
	s := newService(t, &identity.Memory{})
	seen := map[string]bool{}
	for i := range 450 {
		s.user(fmt.Sprint("u", i), fmt.Sprint("x", i))
	}
	for start := 1; ; {
		got := s.do("GET", fmt.Sprintf("/Users?startIndex=%d&count=200", start), "")
		require.EqualValues(t, 450, got.body["totalResults"])
		list := got.body["Resources"].([]any)
		require.EqualValues(t, len(list), got.body["itemsPerPage"])
		for _, e := range list {
			seen[e.(map[string]any)["id"].(string)] = true
		}
		if start += len(list); len(list) == 0 {
			break
		}
	}
	require.Len(t, seen, 450)
	for q, want := range map[string]int{"count=0": 0, "count=-5": 0, "startIndex=-1&count=3": 3, "startIndex=451": 0, "count=100000": 450, "": defaultCount} {
		require.Len(t, s.do("GET", "/Users?"+q, "").body["Resources"], want, q)
	}
	require.Equal(t, 400, s.do("GET", "/Users?count=x", "").status)
	got := s.do("GET", "/Users?attributes=userName&count=1", "").body["Resources"].([]any)[0].(map[string]any)
	require.NotContains(t, got, "emails")
	require.Contains(t, got, "userName")
	require.Contains(t, got, "id")
}

// TestRefuses: who is not the directory is told nothing, and what is not SCIM changes
// nothing.
func TestRefuses(t *testing.T) {
	s := newService(t, &identity.Memory{})
	id := s.user("alice", "o-1")
	group := s.group("dba", id)
	for _, auth := range []string{"", "Bearer ", "Bearer wrong", "Basic " + token, token} {
		require.Equal(t, 401, s.do("GET", "/Users", "", "Authorization", auth).status, auth)
	}
	open := httptest.NewServer(&Handler{Directory: s.dir})
	defer open.Close()
	resp, err := http.Get(open.URL + "/Users")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 403, resp.StatusCode, "without a hook nobody is let in")
	s.told()

	big := strings.Repeat("x", maxBody)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		kind                     string
	}{
		{"a name that is taken", "POST", "/Users", `{"userName":"ALICE"}`, 409, "uniqueness"},
		{"a group's name that is taken", "POST", "/Groups", `{"displayName":"DBA"}`, 409, "uniqueness"},
		{"no name", "POST", "/Users", `{"externalId":"x"}`, 400, "invalidValue"},
		{"a name that is a number", "POST", "/Users", `{"userName":7}`, 400, "invalidValue"},
		{"a control character", "POST", "/Groups", `{"displayName":"dba\nadmin"}`, 400, "invalidValue"},
		{"not JSON", "POST", "/Users", `userName=alice`, 400, "invalidSyntax"},
		{"a list", "POST", "/Users", `[]`, 400, "invalidSyntax"},
		{"null", "POST", "/Users", `null`, 400, "invalidSyntax"},
		{"two objects", "POST", "/Users", `{"userName":"x"}{}`, 400, "invalidSyntax"},
		{"deep", "POST", "/Users", `{"userName":"x","a":` + strings.Repeat(`[`, 50) + strings.Repeat(`]`, 50) + `}`, 400, "invalidSyntax"},
		{"big", "POST", "/Users", `{"userName":"` + big + `"}`, 413, ""},
		{"a large resource", "POST", "/Users", `{"userName":"x","title":"` + big[:maxDoc+1] + `"}`, 413, "tooMany"},
		{"active is a number", "POST", "/Users", `{"userName":"x","active":1}`, 400, "invalidValue"},
		{"active is perhaps", "PUT", "/Users/" + id, `{"userName":"alice","active":"perhaps"}`, 400, "invalidValue"},
		{"a member who is nobody", "POST", "/Groups", `{"displayName":"x","members":[{"value":"nobody"}]}`, 400, "invalidValue"},
		{"a group in a group", "POST", "/Groups", `{"displayName":"x","members":[{"value":"` + group + `"}]}`, 400, "invalidValue"},
		{"members are a text", "POST", "/Groups", `{"displayName":"x","members":"all"}`, 400, "invalidValue"},
		{"a user who is not there", "PUT", "/users/nobody", `{"userName":"x"}`, 404, ""},
		{"a path that is one of another folder", "GET", "/users/../Groups/x/y", ``, 404, ""},
		{"bulk", "POST", "/Bulk", `{}`, 404, ""},
		{"me", "GET", "/Me", ``, 404, ""},
		{"a method", "PUT", "/Users", `{}`, 405, ""},
		{"no operations", "PATCH", "/Users/" + id, `{}`, 400, "invalidSyntax"},
		{"another operation", "PATCH", "/Users/" + id, `{"Operations":[{"op":"move","path":"active"}]}`, 400, "invalidSyntax"},
		{"no path and no object", "PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","value":false}]}`, 400, "noTarget"},
		{"a path that is not one", "PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"emails[","value":1}]}`, 400, "invalidPath"},
		{"a path with a second bracket", "PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"emails[type eq \"a\"]x","value":1}]}`, 400, "invalidPath"},
		{"a prototype", "PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"a b","value":1}]}`, 400, "invalidPath"},
		{"a filter that means nothing", "PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"emails[type pr and value pr].value","value":"x"},{"op":"replace","path":"emails[primary eq true and type eq \"x\"].value","value":"y"}]}`, 400, "noTarget"},
		{"members that are texts", "PATCH", "/Groups/" + group, `{"Operations":[{"op":"add","path":"members","value":["x"]}]}`, 400, "invalidValue"},
		{"a userName that is removed", "PATCH", "/Users/" + id, `{"Operations":[{"op":"remove","path":"userName"}]}`, 400, "invalidValue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			got := s.do(c.method, c.path, c.body)
			require.Equal(t, c.status, got.status, got.body)
			require.Equal(t, c.kind, got.text("scimType"))
			require.Equal(t, fmt.Sprint(c.status), got.text("status"))
		})
	}
	s.t = t
	require.Equal(t, 415, s.do("POST", "/Users", `{"userName":"x"}`, "Content-Type", "text/plain").status)
	require.Empty(t, s.told())
	require.Equal(t, []string{"scim:dba"}, s.groups("entra/o-1"))
	require.Equal(t, true, s.do("GET", "/Users/"+id, "").body["active"])
}

// TestVersions: who writes over another's change is told, and what says only what
// changes is applied anew.
func TestVersions(t *testing.T) {
	s := newService(t, &identity.Memory{})
	id := s.user("alice", "o-1")
	got := s.do("GET", "/Users/"+id, "")
	v := got.header.Get("ETag")
	require.Equal(t, v, got.text("meta", "version"))
	require.Equal(t, 304, s.do("GET", "/Users/"+id, "", "If-None-Match", v).status)
	got = s.patch("/Users/"+id, `{"op":"replace","path":"title","value":"x"}`, "If-Match", v)
	require.Equal(t, 200, got.status)
	require.NotEqual(t, v, got.header.Get("ETag"))
	require.Equal(t, 412, s.patch("/Users/"+id, `{"op":"replace","path":"title","value":"y"}`, "If-Match", v).status)
	require.Equal(t, 412, s.do("PUT", "/Users/"+id, `{"userName":"alice"}`, "If-Match", v).status)
	require.Equal(t, 412, s.do("DELETE", "/Users/"+id, "", "If-Match", v).status)

	group := s.group("dba")
	var ids []string
	for i := range 8 {
		ids = append(ids, s.user(fmt.Sprint("u", i), fmt.Sprint("x", i)))
	}
	var wg sync.WaitGroup
	for _, u := range ids {
		wg.Go(func() {
			for s.patch("/Groups/"+group, `{"op":"add","path":"members","value":[{"value":"`+u+`"}]}`).status == 409 {
			}
		})
	}
	wg.Wait()
	require.Len(t, s.do("GET", "/Groups/"+group, "").body["members"], 8, "no change is lost")
	for _, u := range ids {
		require.Equal(t, 204, s.do("DELETE", "/Users/"+u, "").status)
	}
	require.Empty(t, s.do("GET", "/Groups/"+group, "").body["members"])
}

// TestTwoGateways: what one was told, the other follows, and finds it after a restart.
func TestTwoGateways(t *testing.T) {
	docs := &identity.Memory{}
	one, two := newService(t, docs), newService(t, docs)
	id := one.user("alice", "o-1")
	group := one.group("dba", id)
	require.NoError(t, two.dir.Follow(t.Context(), KindUser, id))
	require.NoError(t, two.dir.Follow(t.Context(), KindGroup, group))
	require.NoError(t, two.dir.Follow(t.Context(), "other", "x"))
	require.Equal(t, []string{"scim:dba"}, two.groups("entra/o-1"))
	agent, err := two.dir.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-1~coder", Kind: proxy.Agent, OnBehalfOf: "entra/o-1", Delegated: true})
	require.NoError(t, err)
	require.Equal(t, []string{"scim:dba"}, agent.Groups, "an agent has the groups of its human")
	require.Len(t, two.told(), 1)
	require.Equal(t, 200, one.patch("/Users/"+id, `{"op":"replace","path":"active","value":false}`).status)
	require.NoError(t, two.dir.Load(t.Context()))
	require.True(t, two.told()[0].Ended)
	require.Equal(t, 204, one.do("DELETE", "/Groups/"+group, "").status)
	require.NoError(t, two.dir.Follow(t.Context(), KindGroup, group))

	three := &Directory{Documents: docs, Provider: "entra", Required: true}
	_, err = three.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-1"})
	require.ErrorIs(t, err, ErrNotRead)
	require.NoError(t, three.Load(t.Context()))
	_, err = three.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-1"})
	require.ErrorIs(t, err, ErrDisabled)
	_, err = three.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-2"})
	require.ErrorIs(t, err, ErrUnknown)
	agentOf := func(human string) *proxy.Identity {
		return &proxy.Identity{Subject: human + "~coder", Kind: proxy.Agent, OnBehalfOf: human, Delegated: true}
	}
	_, err = three.Refresh(t.Context(), agentOf("entra/o-1"))
	require.ErrorIs(t, err, ErrDisabled, "an agent ends with its human")
	_, err = three.Refresh(t.Context(), agentOf("entra/o-2"))
	require.ErrorIs(t, err, ErrUnknown)
	local, err := three.Refresh(t.Context(), &proxy.Identity{Subject: "root", Groups: []string{"admin", "scim:forged"}})
	require.NoError(t, err, "local users are not the directory's")
	require.Equal(t, []string{"admin"}, local.Groups)
}

// TestReservations: a name that was reserved by one who failed is free.
func TestReservations(t *testing.T) {
	docs := &identity.Memory{}
	s := newService(t, docs)
	require.NoError(t, s.dir.reserve(t.Context(), KindUser, "alice", "died"))
	id := s.user("alice", "o-1")
	got := s.patch("/Users/"+id, `{"op":"replace","path":"userName","value":"alice2"}`)
	require.Equal(t, 200, got.status)
	other := s.user("alice", "o-2")
	require.Equal(t, 409, s.patch("/Users/"+other, `{"op":"replace","path":"userName","value":"Alice2"}`).status)
	require.Equal(t, 200, s.patch("/Users/"+other, `{"op":"replace","path":"userName","value":"ALICE"}`).status, "another case of its own")
	require.ErrorIs(t, s.dir.reserve(t.Context(), KindUser, "alice", "third"), errTaken)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			if s.do("POST", "/Users", `{"userName":"race"}`).status == 201 {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, won)
}

// TestSameSubject: of two users with one subject, the one that is disabled decides.
func TestSameSubject(t *testing.T) {
	s := newService(t, &identity.Memory{})
	one, two := s.user("alice", "o-1"), s.user("alice2", "o-1")
	for _, id := range []string{one, two} {
		require.Equal(t, 200, s.patch("/Users/"+id, `{"op":"replace","path":"active","value":false}`).status)
		_, err := s.dir.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-1"})
		require.ErrorIs(t, err, ErrDisabled)
		require.Equal(t, 200, s.patch("/Users/"+id, `{"op":"replace","path":"active","value":true}`).status)
	}
	require.Equal(t, 204, s.do("DELETE", "/Users/"+one, "").status)
	_, err := s.dir.Refresh(t.Context(), &proxy.Identity{Subject: "entra/o-1"})
	require.NoError(t, err)
}

func TestRefresher(t *testing.T) {
	s := newService(t, &identity.Memory{})
	id := s.user("alice", "o-1")
	groups := map[string]string{"staff": s.group("staff", id)}
	s.dir.Required = true
	identitytest.TestRefresher(t, s.dir, identitytest.Refreshing{
		Identity: &proxy.Identity{Subject: "entra/o-1", Groups: []string{"entra:x", "scim:staff"}, Method: proxy.MethodOIDC},
		Groups: func(t *testing.T, names ...string) {
			for _, g := range groups {
				require.Equal(t, 204, s.do("DELETE", "/Groups/"+g, "").status)
			}
			clear(groups)
			for _, n := range names {
				groups[n] = s.group(n, id)
			}
		},
		Remove: func(t *testing.T) { require.Equal(t, 204, s.do("DELETE", "/Users/"+id, "").status) },
	})
}

func TestDescribe(t *testing.T) {
	s := newService(t, &identity.Memory{})
	require.Equal(t, map[string]any{"supported": true}, s.do("GET", "/ServiceProviderConfig", "").body["patch"])
	require.EqualValues(t, 2, s.do("GET", "/ResourceTypes", "").body["totalResults"])
	require.Equal(t, "/Users", s.do("GET", "/ResourceTypes/User", "").text("endpoint"))
	require.EqualValues(t, 3, s.do("GET", "/Schemas", "").body["totalResults"])
	require.Equal(t, "User", s.do("GET", "/Schemas/"+schemaUser, "").text("name"))
	require.Equal(t, 404, s.do("GET", "/Schemas/x", "").status)
}

// TestDocumentsFail: what could not be kept is not told as done, and no session follows
// it.
func TestDocumentsFail(t *testing.T) {
	docs := &failing{}
	s := newService(t, docs)
	id := s.user("alice", "o-1")
	s.told()
	docs.fail = true
	got := s.patch("/Users/"+id, `{"op":"replace","path":"active","value":false}`)
	require.Equal(t, 503, got.status)
	require.NotContains(t, got.text("detail"), "disk")
	require.Empty(t, s.told())
	require.Error(t, s.dir.Load(t.Context()))
	require.Empty(t, s.groups("entra/o-1"), "what was read goes on to count")
}

type failing struct {
	identity.Memory
	fail bool
}

func (f *failing) Write(ctx context.Context, kind string, d identity.Document) (int64, error) {
	if f.fail {
		return 0, io.ErrShortWrite
	}
	return f.Memory.Write(ctx, kind, d)
}

func (f *failing) List(ctx context.Context, kind, after string, limit int) ([]identity.Document, error) {
	if f.fail {
		return nil, io.ErrShortWrite
	}
	return f.Memory.List(ctx, kind, after, limit)
}

// FuzzFilter: no text makes the parser fail otherwise than with its error.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{`userName eq "a"`, `a[b eq "c" and not (d pr)].e`, `urn:x:y:z[a eq 1]`, `a eq "\`, `((`} {
		f.Add(s)
	}
	m := map[string]any{"userName": "a", "emails": []any{map[string]any{"type": "work"}}}
	f.Fuzz(func(_ *testing.T, s string) {
		if match, err := parseFilter(s); err == nil {
			match(m)
		}
		r := resource(copyOf(m).(map[string]any))
		_ = r.change(KindUser, "add", s, map[string]any{"a": "b"})
		_ = r.change(KindUser, "remove", s, nil)
	})
}

// TestLargeGroup: a change of a group that has as many members as it may costs as much as
// the change, not as much as all of them for each.
func TestLargeGroup(t *testing.T) {
	r := resource{"displayName": "all"}
	ids := make([]string, maxMembers)
	for i := range ids {
		ids[i] = fmt.Sprintf("u%05d", i)
	}
	r.setMembers(ids)
	var more, gone []any
	for i := range 1000 {
		more = append(more, map[string]any{"value": fmt.Sprintf("v%05d", i)})
		gone = append(gone, map[string]any{"value": ids[i]})
	}
	require.NoError(t, r.patch(KindGroup, []change{{"Add", "members", more}, {"Add", "members", more}, {"Remove", "members", gone}}))
	require.Len(t, r.members(), maxMembers)
	require.Equal(t, []string{"a", "c"}, difference([]string{"a", "b"}, []string{"b", "c"}))
	require.Equal(t, []string{"b"}, difference(nil, []string{"b"}))
	require.Empty(t, difference([]string{"b"}, []string{"b"}))
}
