package control_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/store"
)

// configuration is one whose objects are lines of a name and a text. Users are secret, "risky" takes two, and "moved"
// sends a secret elsewhere.
func configuration(used *int) *control.Configuration {
	return &control.Configuration{
		Keeper: &revision.Keeper{
			Store: store.NewMemory(),
			Check: func(_ context.Context, list []revision.Object, _ []revision.Change) error {
				for _, o := range list {
					if o.Text == "bad" {
						return fmt.Errorf("%w: %s is bad", revision.ErrInvalid, o.Key)
					}
				}
				return nil
			},
			Needs: func(c revision.Change) string {
				if strings.Contains(c.After, "risky") {
					return "it is risky"
				}
				return ""
			},
		},
		Kinds: []string{"resource", "access", "user"},
		Read: func(_ context.Context, _, text string) (p revision.Proposal, err error) {
			for line := range strings.Lines(text) {
				var o revision.Object
				if _, err := fmt.Sscan(line, &o.Kind, &o.Name, &o.Text); err != nil {
					return p, fmt.Errorf("%w: %w", revision.ErrInvalid, err)
				}
				p.Put = append(p.Put, o)
			}
			return p, nil
		},
		Conceal: func(kind, before, after string) (string, string) {
			switch {
			case kind != "user":
				return before, after
			case before == after:
				return "kept", "kept"
			}
			return "", "changed"
		},
		File: func() ([]revision.Object, []revision.Key) {
			return []revision.Object{{Key: revision.Key{Kind: "user", Name: "ada"}, Text: "verifier"}}, nil
		},
		Rebinds: func(changes []revision.Change) (list []string) {
			for _, c := range changes {
				if c.After == "moved" {
					list = append(list, c.String()+": its secret would go elsewhere")
				}
			}
			return list
		},
		Use: func(context.Context) error { *used++; return nil },
	}
}

// TestConfiguration: who may, and who decides, about objects of the configuration.
func TestConfiguration(t *testing.T) {
	s := openSite(t)
	used := 0
	s.portal.Configuration = configuration(&used)
	olga, bob := s.login(t, "olga"), s.login(t, "bob")
	ada := s.login(t, "ada")
	permit := s.handler.Permit
	s.handler.Permit = func(who *proxy.Identity, p control.Permission) bool {
		return permit(who, p) || p == control.Configure && who.Subject == "olga"
	}

	// Everybody who may not, and everything that is not a person who has logged in.
	paths := []string{"/v1/objects", "/v1/revisions/1/approve", "/v1/revisions/1/reject", "/v1/revisions/1/revert"}
	_, _, byCertificate := s.certify(t, ada)
	token := answer[control.NewToken](t, s, ada, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}).Secret
	for _, path := range paths {
		for name, status := range map[string]int{
			"nobody":            first(s.do(t, "", "POST", path, control.ApplyRequest{})),
			"without the right": first(s.do(t, bob, "POST", path, control.ApplyRequest{})),
			"a certificate":     first(s.ask(t, byCertificate, "", "POST", path, control.ApplyRequest{})),
			"a token":           first(s.do(t, token, "POST", path, control.ApplyRequest{})),
		} {
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, status, "%s: %s", path, name)
		}
	}
	for _, path := range []string{"/v1/objects", "/v1/revisions", "/v1/revisions/1"} {
		status, _ := s.do(t, bob, "GET", path, nil)
		require.Equal(t, http.StatusForbidden, status)
	}

	r := answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "user eve verifier", Reason: "new here"})
	require.Equal(t, revision.Applied, r.State)
	require.Equal(t, "changed", r.Changes[0].After, "what passwords are checked by is not shown")
	require.Equal(t, 1, used)
	list := answer[control.ObjectList](t, s, ada, "GET", "/v1/objects", nil)
	require.Equal(t, int64(1), list.Revision)
	require.Len(t, list.Objects, 2)
	for _, o := range list.Objects {
		require.Equal(t, "kept", o.Text)
	}
	require.Equal(t, "changed", answer[control.RevisionList](t, s, ada, "GET", "/v1/revisions?limit=1", nil).Revisions[0].Changes[0].After)

	// Two people.
	plan := answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "access a risky", Plan: true})
	require.Equal(t, revision.Waiting, plan.State)
	require.Zero(t, plan.Number)
	r = answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "access a risky"})
	require.Equal(t, int64(2), r.Number)
	require.Equal(t, 1, used, "nothing has changed")
	status, text := s.do(t, ada, "POST", "/v1/revisions/2/approve", control.RevisionRequest{})
	require.Equal(t, http.StatusForbidden, status, text)
	again := s.login(t, "ada")
	status, text = s.do(t, again, "POST", "/v1/revisions/2/approve", control.RevisionRequest{})
	require.Equal(t, http.StatusForbidden, status, "another login of hers is not another person: "+text)
	r = answer[control.Revision](t, s, olga, "POST", "/v1/revisions/2/approve", control.RevisionRequest{Reason: "fine"})
	require.Equal(t, "olga", r.Decided.By.Subject)
	require.Equal(t, 2, used)
	status, text = s.do(t, olga, "POST", "/v1/revisions/2/reject", control.RevisionRequest{})
	require.Equal(t, http.StatusConflict, status, text)

	// Secrets are bound to where they go.
	status, text = s.do(t, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "resource x moved"})
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, `"code":"unbound"`)
	answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "resource x moved", Bind: true})
	answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "resource x home"})
	status, _ = s.do(t, ada, "POST", "/v1/revisions/4/revert", control.RevisionRequest{})
	require.Equal(t, http.StatusConflict, status, "taking it back sends the secret there again")
	answer[control.Revision](t, s, ada, "POST", "/v1/revisions/4/revert", control.RevisionRequest{Bind: true})

	// The second person confirms that, too.
	answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "resource x home\naccess y risky"})
	answer[control.Revision](t, s, olga, "POST", "/v1/revisions/6/approve", control.RevisionRequest{})
	answer[control.Revision](t, s, ada, "POST", "/v1/objects", control.ApplyRequest{Objects: "resource x moved\naccess z risky", Bind: true})
	status, text = s.do(t, olga, "POST", "/v1/revisions/7/approve", control.RevisionRequest{})
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, `"code":"unbound"`)
	answer[control.Revision](t, s, olga, "POST", "/v1/revisions/7/approve", control.RevisionRequest{Bind: true})

	for _, c := range []struct {
		what   string
		path   string
		body   any
		status int
	}{
		{"a bad object", "/v1/objects", control.ApplyRequest{Objects: "access b bad"}, http.StatusBadRequest},
		{"nothing", "/v1/objects", control.ApplyRequest{}, http.StatusBadRequest},
		{"what is not there", "/v1/objects", control.ApplyRequest{Delete: []revision.Key{{Kind: "access", Name: "b"}}}, http.StatusNotFound},
		{"too much", "/v1/objects", control.ApplyRequest{Objects: strings.Repeat("x", 2<<20)}, http.StatusBadRequest},
		{"a revision that is not there", "/v1/revisions/99/approve", control.RevisionRequest{}, http.StatusNotFound},
		{"not a number", "/v1/revisions/last/revert", control.RevisionRequest{}, http.StatusNotFound},
		{"one that was taken back", "/v1/revisions/4/revert", control.RevisionRequest{Bind: true}, http.StatusConflict},
	} {
		status, text := s.do(t, ada, "POST", c.path, c.body)
		require.Equal(t, c.status, status, "%s: %s", c.what, text)
	}
	status, _ = s.do(t, ada, "GET", "/v1/revisions?before=x", nil)
	require.Equal(t, http.StatusBadRequest, status)

	var done []string
	for _, e := range s.own(t) {
		done = append(done, strings.Join([]string{e.Type, e.User, e.Action, e.Reason}, "|"))
	}
	require.Contains(t, done, "admin.configure|ada|apply|revision 1 (applied): user/eve: new here")
	require.Contains(t, done, "admin.configuration|ada||plan")
	require.Contains(t, done, "admin.configure|ada|apply|revision 2 (waiting): access/a")
	require.Contains(t, done, "admin.configure|olga|approve|revision 2 (applied): access/a: fine")
	require.Contains(t, done, "admin.configure|ada|revert|revision 5 (applied): resource/x")
	require.Contains(t, done, "admin.refused|bob|admin.configure|")
	require.Contains(t, done, "admin.refused|ada|admin.configure|revision 2: a second person decides: nobody approves her own revision")
	require.NotContains(t, strings.Join(done, "\n"), "verifier")

	s.portal.Configuration = nil
	status, _ = s.do(t, ada, "GET", "/v1/objects", nil)
	require.Equal(t, http.StatusNotFound, status)
}

func first(status int, _ string) int { return status }
