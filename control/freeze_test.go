package control_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// TestStepIn: who may end a session writes to its user and has it wait; nobody else does, and all of it is on record before it is done.
func TestStepIn(t *testing.T) {
	d := openDesk(t, control.List, control.Watch)
	at := "/v1/sessions/" + d.session.ID + "/"
	for _, what := range []string{"message", "freeze", "unfreeze"} {
		w := d.do("bob", "POST", at+what, `{"reason": "x"}`)
		require.Equal(t, http.StatusForbidden, w.Code, w.Body)
	}
	for what, body := range map[string]string{
		"message": `{"text": " "}`, "freeze": `{"reason": ""}`, "unfreeze": `{"reason": "` + strings.Repeat("x", 1001) + `"}`,
	} {
		require.Equal(t, control.CodeBadRequest, code(t, d.do("root", "POST", at+what, body)), what)
	}
	require.Equal(t, control.CodeBadRequest, code(t, d.do("root", "POST", at+"message", `{"text": "a\u001b]0;b"}`)), "what would steer a terminal")
	require.Equal(t, control.CodeNotFound, code(t, d.do("root", "POST", "/v1/sessions/nobody/freeze", `{"reason": "x"}`)))
	require.Equal(t, control.CodeConflict, code(t, d.do("root", "POST", at+"unfreeze", `{"reason": "x"}`)))

	var m control.Messaged
	w := d.do("root", "POST", at+"message", `{"text": "lunch"}`)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &m), w.Body)
	require.False(t, m.Now)
	var s control.Session
	w = d.do("root", "POST", at+"freeze", `{"reason": "what is this?"}`)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s), w.Body)
	require.Equal(t, []string{"root", "what is this?"}, []string{s.Frozen.By, s.Frozen.Reason})
	_, is := d.session.Frozen()
	require.True(t, is)
	require.Equal(t, control.CodeConflict, code(t, d.do("root", "POST", at+"freeze", `{"reason": "x"}`)))
	require.Equal(t, http.StatusOK, d.do("root", "POST", at+"unfreeze", `{"reason": "cleared up"}`).Code)
	_, is = d.session.Frozen()
	require.False(t, is)
	var did []string
	for _, e := range d.own(t) {
		if e.Session == d.session.ID && !strings.HasPrefix(e.Type, "admin.refused") {
			did = append(did, e.Type+" "+e.Reason)
		}
	}
	require.Equal(t, []string{
		"admin.unfreeze x", "admin.message lunch", "admin.freeze what is this?", "admin.freeze x", "admin.unfreeze cleared up",
	}, did)
}
