package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
)

func ExampleHandler() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "control.sock")
	c := client.Socket(socket)
	if _, err := c.Sessions(context.Background()); errors.Is(err, client.ErrUnreachable) {
		fmt.Println("no gateway is running")
	}

	ln, err := control.Listen(socket)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: &control.Handler{}, ConnContext: control.PeerContext} // lets nobody in
	defer server.Close()
	go server.Serve(ln)
	_, err = c.Sessions(context.Background())
	var refused *control.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Code)
	}
	// Output:
	// no gateway is running
	// unauthenticated
}

// serve serves h on a socket until the test ends, and returns a client of it.
func serve(t *testing.T, h http.Handler) *client.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(socket)
	require.NoError(t, err)
	s := &http.Server{Handler: h, ConnContext: control.PeerContext, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return client.Socket(socket)
}

// open serves the desk to this process's user, who may do everything.
func (d *desk) open(t *testing.T) *client.Client {
	t.Helper()
	d.handler.Authenticate = control.PeerIdentity
	me := control.Self()
	d.handler.Permit = func(who *proxy.Identity, _ control.Permission) bool { return who.Subject == me }
	return serve(t, d.handler)
}

func requireCode(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *control.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code)
	require.Equal(t, status, e.Status)
	require.NotEmpty(t, e.Message)
	require.NotErrorIs(t, err, client.ErrUnreachable)
}

func TestClientSessions(t *testing.T) {
	d := openDesk(t)
	c := d.open(t)
	list, err := c.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, []string{d.session.ID, "alice", "shop"}, []string{list[0].ID, list[0].User, list[0].Resource})
	s, err := c.Session(t.Context(), list[0].ID)
	require.NoError(t, err)
	require.Equal(t, list[0], *s)
	_, err = c.Session(t.Context(), "../../v1/sessions")
	requireCode(t, err, http.StatusNotFound, control.CodeNotFound)

	_, err = c.Kill(t.Context(), s.ID, " ")
	requireCode(t, err, http.StatusBadRequest, control.CodeBadRequest)
	require.NoError(t, d.session.Err())
	s, err = c.Kill(t.Context(), s.ID, "it is not hers")
	require.NoError(t, err)
	require.Equal(t, "alice", s.User)
	require.ErrorContains(t, d.session.Err(), "it is not hers")
}

func TestClientRecords(t *testing.T) {
	d := openDesk(t)
	c := d.open(t)
	id := d.session.ID
	d.session.Close(nil)
	require.NoError(t, c.Hold(t.Context(), id, "case 17"))
	requireCode(t, c.Erase(t.Context(), id, "article 17"), http.StatusConflict, control.CodeHeld)
	require.NoError(t, c.Release(t.Context(), id, "closed"))
	require.Eventually(t, func() bool { return c.Erase(t.Context(), id, "article 17") == nil }, 20*time.Second, 10*time.Millisecond, "it can be erased once it is sealed")
	requireCode(t, c.Erase(t.Context(), strings.Repeat("0", 26), "x"), http.StatusNotFound, control.CodeNotFound)
	require.NoError(t, c.Detokenised(t.Context(), control.DetokenisedRequest{User: "olga", Type: "PERSON"}))
	requireCode(t, c.Detokenised(t.Context(), control.DetokenisedRequest{}), http.StatusBadRequest, control.CodeBadRequest)
	var done []string
	for _, e := range d.own(t) {
		done = append(done, strings.TrimSpace(e.Type+" "+e.Action+" "+e.Reason))
	}
	require.Subset(t, done, []string{"admin.hold  case 17", "admin.release  closed", "admin.erase  article 17", "admin.detokenise PERSON as olga"})
}

func TestClientRequests(t *testing.T) {
	d := openDesk(t)
	c := d.open(t)
	_, err := c.Requests(t.Context(), false)
	requireCode(t, err, http.StatusNotFound, control.CodeNotFound)
	verifier, err := identity.NewVerifier("correct horse")
	require.NoError(t, err)
	d.handler.Deciders, err = identity.NewUsers([]identity.User{{Name: "bob", Groups: []string{"ops"}, Password: verifier}})
	require.NoError(t, err)
	d.reviews(t)
	hold := func(text string) {
		_, err := d.handler.Requests.Request(context.Background(), d.session, proxytest.Statement(text, proxy.EffectDelete), &proxy.Hold{
			Rules: []string{"big"}, Message: "x", Approvers: [][]string{{"ops"}}, For: time.Minute,
		})
		require.NoError(t, err)
	}
	hold("DELETE FROM a")
	hold("DELETE FROM b")
	list, err := c.Requests(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 2)
	r, err := c.Request(t.Context(), list[0].ID)
	require.NoError(t, err)
	require.Equal(t, "DELETE FROM a", r.Text)
	_, err = c.Request(t.Context(), "nothing")
	requireCode(t, err, http.StatusNotFound, control.CodeNotFound)

	by := control.Decision{User: "bob", Password: proxy.NewSecret("correct horse"), Hash: strings.Repeat("0", 64)}
	_, err = c.Approve(t.Context(), r.ID, by)
	requireCode(t, err, http.StatusConflict, control.CodeConflict)
	by.Hash = r.Hash
	wrong := by
	wrong.Password = proxy.NewSecret("hunter2")
	_, err = c.Approve(t.Context(), r.ID, wrong)
	requireCode(t, err, http.StatusUnauthorized, control.CodeUnauthenticated)
	require.NotContains(t, err.Error(), "hunter2")
	r, err = c.Approve(t.Context(), r.ID, by)
	require.NoError(t, err)
	require.Equal(t, review.Approved, r.State)

	by.Hash = list[1].Hash
	_, err = c.Deny(t.Context(), list[1].ID, by)
	requireCode(t, err, http.StatusBadRequest, control.CodeBadRequest)
	by.Reason = "no"
	r, err = c.Deny(t.Context(), list[1].ID, by)
	require.NoError(t, err)
	require.Equal(t, []any{review.Denied, "bob", "no"}, []any{r.State, r.DecidedBy, r.Reason})
}

func TestClientWatch(t *testing.T) {
	d := openDesk(t)
	c := d.open(t)
	id := d.session.ID
	var types []string
	for raw, err := range c.Watch(t.Context(), id) {
		require.NoError(t, err)
		e := audit.Event{}
		require.NoError(t, json.Unmarshal(raw, &e))
		if types = append(types, e.Type); e.Type == audit.OperationEnd {
			d.session.Close(nil)
		}
	}
	require.Equal(t, []string{audit.SessionStart, audit.OperationStart, audit.OperationEnd, audit.SessionEnd}, types)
	for raw, err := range c.Watch(t.Context(), id) {
		require.Nil(t, raw)
		requireCode(t, err, http.StatusNotFound, control.CodeNotFound)
	}
}

// Who watches can leave, and is told when ctx ends it.
func TestClientWatchEnds(t *testing.T) {
	d := openDesk(t)
	c := d.open(t)
	for range c.Watch(t.Context(), d.session.ID) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Watch(ctx, d.session.ID) {
		cancel()
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
}

// A gateway that is not one, or that breaks off, is an error of its own.
func TestClientAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"no reason", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "answers 502 Bad Gateway and does not say why"},
		{"another failure", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, `{"message": "x"}`)
		}, "answers 418"},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, "reading the gateway's answer to GET /v1/sessions/x"},
		{"an answer that is cut off", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"id": "x"`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := serve(t, c.answer).Session(t.Context(), "x")
			require.ErrorContains(t, err, c.want)
			var e *control.Error
			require.False(t, errors.As(err, &e))
			require.NotErrorIs(t, err, client.ErrUnreachable, "a gateway was there")
		})
	}
	for _, c := range []struct{ name, text, want string }{
		{"an event that is cut off", `{"type": "x"}` + "\n" + `{"type`, "unexpected EOF"},
		{"a line that is not an event", `{"type": "x"}` + "\nhello\n", "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events int
			var last error
			for _, err := range serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.text) })).Watch(t.Context(), "x") {
				if last = err; err == nil {
					events++
				}
			}
			require.Equal(t, 1, events)
			require.ErrorContains(t, last, c.want)
		})
	}
}

func TestClientUnreachable(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	c := client.Socket(socket)
	err := c.Erase(t.Context(), "x", "y")
	require.ErrorIs(t, err, client.ErrUnreachable)
	require.True(t, strings.HasPrefix(err.Error(), "no gateway answers at "+socket), err)
	for _, err := range c.Watch(t.Context(), "x") {
		require.ErrorIs(t, err, client.ErrUnreachable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = c.Erase(ctx, "x", "y")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, client.ErrUnreachable, "whether one is there is not known")
}

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	d := openDesk(t)
	c := d.open(t)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { _, errs[i] = c.Sessions(t.Context()) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}
