package control_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/store"
)

// TestChannels: administrators see how channels are doing, and send again what was given up, on record.
func TestChannels(t *testing.T) {
	s := openSite(t)
	ada, eve := s.login(t, "ada"), s.login(t, "eve")
	status, _ := s.do(t, ada, "GET", "/v1/channels", nil)
	require.Equal(t, http.StatusNotFound, status)
	memory := store.NewMemory()
	s.portal.Outbox = &review.Outbox{Store: memory}
	require.NoError(t, s.portal.Outbox.Use([]review.Channel{{Name: "mails"}, {Name: "chat"}}))
	ws, err := s.portal.Outbox.Writes(reviewtest.Notice("n1", review.Asked))
	require.NoError(t, err)
	_, err = memory.Write(t.Context(), ws...)
	require.NoError(t, err)
	// What was given up is a document of another kind.
	d, err := memory.Get(t.Context(), review.KindNotice, ws[0].Name)
	require.NoError(t, err)
	dead := d
	dead.Kind, dead.Version = review.KindDeadLetter, 0
	_, err = memory.Write(t.Context(), store.Delete(d), store.Create(dead))
	require.NoError(t, err)

	list := answer[control.ChannelList](t, s, ada, "GET", "/v1/channels", nil).Channels
	require.Len(t, list, 2)
	require.Equal(t, review.ChannelStatus{Name: "mails", Configured: true, Dead: 1}, list[1])
	require.Equal(t, 1, list[0].Waiting)
	letters := answer[control.DeadLetterList](t, s, ada, "GET", "/v1/channels/mails/dead", nil).DeadLetters
	require.Len(t, letters, 1)
	require.Equal(t, "n1", letters[0].ID)
	require.Empty(t, answer[control.DeadLetterList](t, s, ada, "GET", "/v1/channels/other/dead", nil).DeadLetters)
	require.Equal(t, 0, answer[control.Retried](t, s, ada, "POST", "/v1/channels/mails/retry", control.RetryRequest{Notice: "n2"}).Notices)
	require.Equal(t, 1, answer[control.Retried](t, s, ada, "POST", "/v1/channels/mails/retry", control.RetryRequest{Notice: "n1"}).Notices)
	_, err = memory.Get(t.Context(), review.KindDeadLetter, ws[0].Name)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = memory.Get(t.Context(), review.KindNotice, ws[0].Name)
	require.NoError(t, err)

	for _, call := range [][2]string{{"GET", "/v1/channels"}, {"GET", "/v1/channels/mails/dead"}, {"POST", "/v1/channels/mails/retry"}} {
		status, _ := s.do(t, eve, call[0], call[1], nil)
		require.Equal(t, http.StatusForbidden, status, call)
	}
	status, _ = s.do(t, ada, "GET", "/v1/channels/a%20b/dead", nil)
	require.Equal(t, http.StatusBadRequest, status)
	var done []string
	for _, e := range s.own(t) {
		if e.Action == "retry" {
			done = append(done, e.User+": "+e.Reason)
		}
	}
	require.Equal(t, []string{"ada: channel mails n2", "ada: channel mails n1"}, done)
}
