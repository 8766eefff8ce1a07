package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/browsertest"
)

// figures are those of the dashboard that tests look at.
type figures struct {
	Sessions, People int
	Parts            []struct{ Sessions, Operations, Refused int }
	Resources        []struct {
		Name                          string
		Sessions, Operations, Refused int
	}
	Measured struct {
		Open, Waiting           int
		Allowed, Denied, Failed int
		Added                   []struct {
			Protocol      string
			Operations    int
			P50, P95, P99 int64
		}
		Masked []struct {
			Class  string
			Values int
		}
		Recording bool
	}
	Certificates []struct {
		Name   string
		Until  time.Time
		Renews bool
	}
}

// TestDashboardInBrowser: numbers are those of what was done, in charts that are tables, too; a bar leads to its sessions. Who may list sessions sees them, and
// who may configure sees when certificates expire.
func TestDashboardInBrowser(t *testing.T) {
	h := open(t, "masking: [{name: mails, columns: [customers.email], with: redact}]\n")
	for range 2 {
		c := h.psql(t, "alice", "orders")
		_, err := c.Exec(t.Context(), "SELECT email FROM customers WHERE id <= 4").ReadAll()
		require.NoError(t, err)
		_, err = c.Exec(t.Context(), "DROP TABLE customers").ReadAll()
		require.Error(t, err)
		require.NoError(t, c.Close(t.Context()))
	}
	h.psql(t, "alice", "orders") // which stays
	h.as(t, "alice").asks("vm1", "INC-4711: disk full")

	olga, ada := h.as(t, "olga"), h.as(t, "ada")
	var f figures
	require.Eventually(t, func() bool {
		f = figures{}
		ada.ask("GET", "/v1/dashboard", nil, &f)
		return f.Sessions == 3 && f.Measured.Open == 1
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, 1, f.People)
	require.Len(t, f.Parts, 48)
	require.Equal(t, 3, f.Parts[47].Sessions+f.Parts[46].Sessions)
	require.Len(t, f.Resources, 1)
	require.Equal(t, "orders", f.Resources[0].Name)
	require.Equal(t, 2, f.Resources[0].Refused)
	require.Equal(t, 2, f.Measured.Denied)
	require.Equal(t, 1, f.Measured.Waiting)
	require.True(t, f.Measured.Recording)
	require.Len(t, f.Measured.Masked, 1)
	require.Equal(t, 8, f.Measured.Masked[0].Values)
	require.Len(t, f.Measured.Added, 1)
	require.Equal(t, "postgres", f.Measured.Added[0].Protocol)
	require.Positive(t, f.Measured.Added[0].P50)
	require.LessOrEqual(t, f.Measured.Added[0].P50, f.Measured.Added[0].P95)
	require.Equal(t, "the gateway's certificate", f.Certificates[0].Name)
	require.True(t, f.Certificates[0].Renews)
	require.True(t, f.Certificates[0].Until.After(time.Now()))
	f = figures{}
	olga.ask("GET", "/v1/dashboard", nil, &f)
	require.Equal(t, 3, f.Sessions)
	require.Empty(t, f.Certificates)
	status, _ := h.as(t, "alice").try("GET", "/v1/dashboard", nil)
	require.Equal(t, http.StatusForbidden, status)
	status, _ = ada.try("GET", "/v1/dashboard?since=2020-01-01T00:00:00Z", nil)
	require.Equal(t, http.StatusBadRequest, status)
	f = figures{}
	ada.ask("GET", "/v1/dashboard?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z", nil, &f)
	require.Zero(t, f.Sessions)

	b := h.browser(t, "ada")
	b.Go(h.url + "/dashboard")
	b.Has("heading", "Masked values")
	b.Sees("is renewed")
	text := browsertest.Eval[string](b, "[...document.querySelectorAll('.tile')].map((t) => t.innerText.replace(/\\s+/g, ' ')).join('|')")
	require.True(t, strings.HasPrefix(text, "Open now 1|Sessions 3|People 1|"), text)
	require.Contains(t, text, "|Refused 2|Requests waiting 1 since ")
	look(b, "dashboard")
	require.Zero(t, browsertest.Eval[int](b, "document.querySelectorAll('.histogram button:not(:disabled):not([aria-label*=refused])').length"))
	b.Eval("document.querySelector('summary').click() ?? true")
	require.Equal(t, "3", browsertest.Eval[string](b, "String([...document.querySelectorAll('details tbody tr')].reduce((n, r) => n + Number(r.children[1].innerText), 0))"))
	look(b, "dashboard-table")
	b.Eval("[...document.querySelectorAll('.histogram button:not(:disabled)')].at(-1).click() ?? true")
	b.Has("heading", "Sessions")
	b.Sees("orders / ")
	b.Go(h.url + "/dashboard?within=1h")
	b.Has("link", "orders")
	b.Click("link", "orders")
	b.Has("heading", "Sessions")
}
