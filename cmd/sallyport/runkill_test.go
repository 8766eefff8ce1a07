package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/runbook"
	"github.com/sallyport/sallyport/store"
)

// portal is somebody at the API of a gateway.
type portal struct {
	url, token string
	client     http.Client
}

func (p *portal) ask(t *testing.T, method, path string, in, out any) int {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	q, err := http.NewRequestWithContext(t.Context(), method, p.url+path, bytes.NewReader(body))
	require.NoError(t, err)
	q.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		q.Header.Set("Authorization", "Bearer "+p.token)
	}
	r, err := p.client.Do(q)
	require.NoError(t, err)
	defer r.Body.Close()
	if out != nil {
		require.NoError(t, json.NewDecoder(r.Body).Decode(out))
	}
	return r.StatusCode
}

// TestRunOfKilledGateway: of two gateways on one store one runs what it was asked for. It is killed in the middle of a step: the other one
// says that the run was interrupted, nothing of it runs again, and the killed one does not go on with it when it is back.
func TestRunOfKilledGateway(t *testing.T) {
	server, kept := testserver.Database(t, "")
	_, database := testserver.Database(t, "CREATE TABLE marks (step text)")
	t.Setenv("DB_PASSWORD", server.Password)
	t.Setenv("STORE_KEY", store.NewKey().Text())
	books := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(books, "marks.yaml"), []byte(`apiVersion: sallyport/v1
kind: Runbook
metadata: {name: marks}
targets: {db: {types: [postgres]}}
steps:
  - {id: first, sql: {text: "insert into marks values ('first')"}}
  - {id: slow, sql: {text: "insert into marks select 'slow' from pg_sleep(5)"}}
  - {id: last, sql: {text: "insert into marks values ('last')"}}
`), 0o600))
	verifier, err := identity.NewVerifier(password)
	require.NoError(t, err)
	serve := func(dir, address string) (*process, *portal) {
		t.Helper()
		config := filepath.Join(dir, "sallyport.yaml")
		require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
api: {listen: %[1]q, url: "https://%[1]s"}
data_dir: data
store: {url: "postgres://postgres@%[2]s/%[3]s", password: "env:DB_PASSWORD", key: "env:STORE_KEY"}
identity: {users: [{name: alice, groups: [dev], password: %[4]s}]}
resources: [{name: shop, type: postgres, address: %[2]q, database: %[5]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}]
access: [{name: devs, groups: [dev], allow: [all]}]
guardrails: [{use: off}]
runbooks: [{name: main, url: %[6]q, every: 5s}]
`, address, server.Address(), kept, strconv.Quote(verifier), database, books)), 0o600))
		g := start(t, "serve", "-c", config)
		g.wait(t, "listening")
		p := &portal{url: "https://" + address, client: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}}
		var login control.Login
		require.Equal(t, http.StatusOK, p.ask(t, "POST", "/v1/login", control.Password{User: "alice", Password: password}, &login))
		p.token = login.Token
		return g, p
	}
	firstDir, firstAddress := t.TempDir(), testserver.FreeAddress(t)
	first, one := serve(firstDir, firstAddress)
	_, two := serve(t.TempDir(), testserver.FreeAddress(t))
	marks := func() string {
		return strings.Join(strings.Fields(testserver.Exec(t, server, database, "select step from marks")), " ")
	}
	of := func(p *portal, id string) (r runbook.Run) {
		require.Equal(t, http.StatusOK, p.ask(t, "GET", "/v1/runs/"+id, nil, &r))
		return r
	}

	q := control.RunRequest{Source: "main", Name: "marks"}
	var plan, same control.RunPlan
	require.Eventually(t, func() bool { return one.ask(t, "POST", "/v1/runbooks/plan", q, &plan) == http.StatusOK }, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return two.ask(t, "POST", "/v1/runbooks/plan", q, &same) == http.StatusOK }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, plan.Plan.Digest, same.Plan.Digest, "both gateways make one plan of it")
	q.Plan = plan.Plan.Digest
	var run runbook.Run
	require.Equal(t, http.StatusAccepted, one.ask(t, "POST", "/v1/runs", q, &run))
	require.Eventually(t, func() bool { return of(two, run.ID).Steps[1].State == runbook.Running }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, http.StatusConflict, two.ask(t, "POST", "/v1/runs/"+run.ID+"/cancel", struct{}{}, nil), "it is cancelled where it runs")
	require.Equal(t, runbook.Running, of(two, run.ID).State)

	require.NoError(t, first.cmd.Process.Kill())
	<-first.done
	first.done <- nil
	interrupted := func(p *portal) {
		t.Helper()
		var r runbook.Run
		require.Eventually(t, func() bool { r = of(p, run.ID); return r.State.Over() }, 2*time.Minute, 200*time.Millisecond)
		require.Equal(t, []runbook.State{runbook.Unknown, runbook.Done, runbook.Unknown, runbook.Pending}, []runbook.State{r.State, r.Steps[0].State, r.Steps[1].State, r.Steps[2].State}, r.Message)
		require.Contains(t, r.Message, "has ended during the step slow")
	}
	interrupted(two)
	ran := func() {
		t.Helper()
		require.Contains(t, []string{"first", "first slow"}, marks(), "each step has begun once, and no other")
	}
	ran()
	_, one = serve(firstDir, firstAddress)
	interrupted(one)
	ran()
}
