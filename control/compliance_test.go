package control_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/compliance"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

// exportPath asks for a pack of the last hour.
func exportPath(framework string, now time.Time) string {
	return "/v1/compliance/export?" + url.Values{
		"framework": {framework}, "since": {now.Add(-time.Hour).Format(time.RFC3339Nano)}, "until": {now.Add(time.Minute).Format(time.RFC3339Nano)},
	}.Encode()
}

// jsonRows reads a table of a pack.
func jsonRows(t *testing.T, packed, name string) (rows []map[string]string) {
	t.Helper()
	z, err := zip.NewReader(strings.NewReader(packed), int64(len(packed)))
	require.NoError(t, err)
	f, err := z.Open("json/" + name + ".json")
	require.NoError(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &rows))
	return rows
}

// TestExportEvidence: the gateway makes a pack for a caller with the permissions audit and list, and records its digest; for nobody else.
func TestExportEvidence(t *testing.T) {
	s := openSite(t)
	s.handler.Spool = t.TempDir()
	const sentinel = "s3ntinel-5150"
	id := s.record(t, "SELECT '"+sentinel+"'")
	ada := s.login(t, "ada")
	now := time.Now()

	list := answer[control.FrameworkList](t, s, ada, "GET", "/v1/compliance/frameworks", nil)
	require.Len(t, list.Frameworks, len(compliance.Frameworks()))
	require.NotEmpty(t, list.Frameworks[0].Controls)

	status, packed := s.do(t, ada, "GET", exportPath("pci4", now), nil)
	require.Equal(t, http.StatusOK, status, packed)
	key, err := os.ReadFile(filepath.Join(s.dir, "log", "key.pub"))
	require.NoError(t, err)
	v, err := compliance.Verify(strings.NewReader(packed), int64(len(packed)), string(bytes.TrimSpace(key)))
	require.NoError(t, err)
	require.Empty(t, v.Problems)
	require.Equal(t, "sallyport v9", v.Manifest.Program)
	for _, f := range v.Manifest.Files {
		if strings.HasPrefix(f.Name, "json/") {
			text, err := json.Marshal(jsonRows(t, packed, strings.TrimSuffix(strings.TrimPrefix(f.Name, "json/"), ".json")))
			require.NoError(t, err)
			require.NotContains(t, string(text), sentinel, f.Name)
		}
	}
	operations := make(map[string]string)
	for _, x := range jsonRows(t, packed, "sessions") {
		operations[x["session"]+" "+x["user"]] = x["operations"]
	}
	require.Equal(t, "1", operations[id+" bob"], "%v", operations)
	var users []string
	for _, u := range jsonRows(t, packed, "users") {
		users = append(users, u["user"])
	}
	require.Equal(t, []string{"ada", "bob", "eve", "olga", "root"}, users)
	access := make(map[string]bool)
	for _, x := range jsonRows(t, packed, "access") {
		access[x["user"]+" "+x["resource"]+" "+x["access"]] = true
	}
	require.True(t, access["bob orders allowed"], "%v", access)
	left, err := os.ReadDir(s.handler.Spool)
	require.NoError(t, err)
	require.Empty(t, left)

	manifest := exports(t, s)
	require.Len(t, manifest, 2)
	require.Equal(t, []string{"begin", "finish"}, []string{manifest[0].Action, manifest[1].Action})
	require.Equal(t, "ada", manifest[1].User)
	require.Contains(t, manifest[1].Reason, "evidence pci4 from ")
	require.Contains(t, manifest[1].Reason, ": manifest sha256:")

	for _, user := range []string{"bob", "eve"} {
		token := s.login(t, user)
		for _, path := range []string{"/v1/compliance/frameworks", exportPath("pci4", now)} {
			status, text := s.do(t, token, "GET", path, nil)
			require.Equal(t, http.StatusForbidden, status, text)
		}
	}
	permit := s.handler.Permit
	s.handler.Permit = func(who *proxy.Identity, p control.Permission) bool {
		return permit(who, p) || who.Subject == "olga" && p == control.Audit
	}
	status, text := s.do(t, s.login(t, "olga"), "GET", exportPath("pci4", now), nil)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "permission list")
	status, _ = s.do(t, "", "GET", exportPath("pci4", now), nil)
	require.Equal(t, http.StatusUnauthorized, status)

	year := url.QueryEscape(now.AddDate(-2, 0, 0).Format(time.RFC3339))
	end := url.QueryEscape(now.Format(time.RFC3339))
	for _, query := range []string{"", "framework=pci3&since=" + year + "&until=" + end, "framework=pci4", "framework=pci4&since=" + end + "&until=" + end, "framework=pci4&since=" + year + "&until=" + end, "framework=pci4&since=x&until=y"} {
		status, text := s.do(t, ada, "GET", "/v1/compliance/export?"+query, nil)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", query, text)
	}
	s.handler.SpoolLimit = 500
	status, text = s.do(t, ada, "GET", exportPath("pci4", now), nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "choose a shorter period")
	last := exports(t, s)
	require.Equal(t, "begin", last[len(last)-1].Action, "what was not made is not told to be")
}

// exports are the events of packs that were made, in their order.
func exports(t *testing.T, s *site) (list []*audit.Event) {
	t.Helper()
	a, err := audit.OpenArchive(s.dir)
	require.NoError(t, err)
	own, err := a.Own()
	require.NoError(t, err)
	for _, id := range own {
		for e, err := range a.Events(id) {
			require.NoError(t, err)
			if e.Type == audit.AdminExport {
				list = append(list, e)
			}
		}
	}
	return list
}
