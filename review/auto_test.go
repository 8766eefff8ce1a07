package review

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// TestAuto: what is within the bounds is granted by the rule, at once, and is on record as that; anything else waits for people.
func TestAuto(t *testing.T) {
	day := func(at time.Time) bool { return at.UTC().Hour() >= 8 && at.UTC().Hour() < 18 }
	automatic := terms
	automatic.Auto = &Auto{
		Max: 30 * time.Minute, Actions: []string{"exec"}, Reason: "INC-[0-9]+",
		Applies: func(who *proxy.Identity, remote string, at time.Time) bool {
			return who.In("dev") && remote == "10.0.0.1:1" && day(at)
		},
	}
	for name, c := range map[string]struct {
		change func(*Ask)
		late   time.Duration
		want   State
	}{
		"within":             {func(*Ask) {}, 0, Approved},
		"longer":             {func(a *Ask) { a.For = time.Hour }, 0, Pending},
		"as long as usual":   {func(a *Ask) { a.For = 0 }, 0, Pending},
		"more":               {func(a *Ask) { a.Actions = nil }, 0, Pending},
		"another action":     {func(a *Ask) { a.Actions = []string{"exec", "shell"} }, 0, Pending},
		"without a ticket":   {func(a *Ask) { a.Reason = "please" }, 0, Pending},
		"from elsewhere":     {func(a *Ask) { a.Remote = "10.0.0.2:1" }, 0, Pending},
		"from nowhere known": {func(a *Ask) { a.Remote = "" }, 0, Pending},
		"by night":           {func(*Ask) {}, 12 * time.Hour, Pending},
		"by day for later":   {func(a *Ask) { a.From = time.Now().Add(time.Hour) }, 0, Approved},
		"by day for night":   {func(a *Ask) { a.From = time.Now().Add(12 * time.Hour) }, 0, Pending},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which begins at midnight
				d := openDesk(t, store.NewMemory(), everybody())
				time.Sleep(10*time.Hour + c.late)
				d.touches(t)
				r := d.asks(t, automatic, func(a *Ask) {
					a.For, a.Actions, a.Remote = 30*time.Minute, []string{"exec"}, "10.0.0.1:1"
					c.change(a)
				})
				require.Equal(t, c.want, r.State)
				if c.want == Pending {
					require.Equal(t, []string{"pending "}, d.notes)
					require.False(t, r.Access.Auto)
					require.Nil(t, r.Access.Grant)
					return
				}
				require.Equal(t, []string{"approved rule prod"}, d.notes, "the rule has decided")
				require.True(t, r.Access.Auto)
				require.Equal(t, ChannelRule, r.Channel)
				require.Equal(t, 30*time.Minute, r.Access.Grant.Until.Sub(r.Access.Grant.From))
				require.Contains(t, r.Lines(), "granted by  rule prod, without anybody who approves\n")
				again := d.asks(t, automatic, func(a *Ask) {
					a.For, a.Actions, a.Remote, a.From = 30*time.Minute, []string{"exec"}, "10.0.0.1:1", r.Access.From
				})
				require.Equal(t, r.ID, again.ID, "asking again makes it no longer")
			})
		})
	}
}

// TestAutoBound: a person does not have rules grant her things without a bound, and what cannot be recorded is not granted.
func TestAutoBound(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	automatic := terms
	automatic.Auto = &Auto{}
	for i := range MaxGranted {
		d.asks(t, automatic, func(a *Ask) { a.For = time.Duration(i+1) * time.Minute })
	}
	_, err := d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm1", Terms: automatic, Reason: "x", For: 2 * time.Hour})
	require.ErrorContains(t, err, "you have 10 times what rules grant by themselves")
	d.fails = errFull
	_, err = d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: automatic, Reason: "x"})
	require.ErrorIs(t, err, errFull)
	_, _, _, ok := d.Granted(d.people.ids["eve"], vm, "prod")
	require.False(t, ok)
}

// TestAutoIsRevoked: those who could have approved take it back.
func TestAutoIsRevoked(t *testing.T) {
	d := openDesk(t, store.NewMemory(), everybody())
	automatic := terms
	automatic.Auto = &Auto{}
	r := d.asks(t, automatic, nil)
	require.Equal(t, r.ID, d.granted("prod"))
	_, err := d.Revoke(t.Context(), r.ID, d.vote(r, "olga"), false)
	require.NoError(t, err)
	require.Empty(t, d.granted("prod"))
}

// TestAutoPauses: what an approver has taken back or denied does not come back by the rule, also after a restart and a day's wait but one
// hour; what the requester has withdrawn herself does.
func TestAutoPauses(t *testing.T) {
	automatic := terms
	automatic.Auto = &Auto{Max: time.Hour}
	for name, c := range map[string]struct {
		refuse func(t *testing.T, d *desk)
		want   State
	}{
		"revoked": {func(t *testing.T, d *desk) {
			r := d.asks(t, automatic, nil)
			_, err := d.Revoke(t.Context(), r.ID, d.vote(r, "olga"), false)
			require.NoError(t, err)
		}, Pending},
		"denied": {func(t *testing.T, d *desk) {
			r := d.asks(t, automatic, func(a *Ask) { a.For = 2 * time.Hour })
			_, err := d.Deny(t.Context(), r.ID, d.vote(r, "olga"))
			require.NoError(t, err)
		}, Pending},
		"withdrawn": {func(t *testing.T, d *desk) {
			r := d.asks(t, automatic, nil)
			_, err := d.Cancel(t.Context(), r.ID, d.people.ids["alice"])
			require.NoError(t, err)
		}, Approved},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := store.NewMemory()
				d := openDesk(t, s, everybody())
				c.refuse(t, d)
				require.Equal(t, c.want, d.asks(t, automatic, func(a *Ask) { a.For = time.Minute }).State)
				time.Sleep(23 * time.Hour)
				d.touches(t)
				d.settle(t.Context())
				for i, d := range []*desk{d, openDesk(t, s, everybody())} {
					require.Equal(t, c.want, d.asks(t, automatic, func(a *Ask) { a.For = time.Duration(i+2) * time.Minute }).State)
				}
				r, err := d.Ask(t.Context(), d.people.ids["eve"], Ask{Resource: "vm1", Terms: automatic, Reason: "x"})
				require.NoError(t, err)
				require.Equal(t, Approved, r.State, "others are not concerned")
				r, err = d.Ask(t.Context(), d.people.ids["alice"], Ask{Resource: "vm2", Terms: automatic, Reason: "x"})
				require.NoError(t, err)
				require.Equal(t, Approved, r.State)
				time.Sleep(2 * time.Hour)
				d.touches(t)
				require.Equal(t, Approved, d.asks(t, automatic, func(a *Ask) { a.For = 5 * time.Minute }).State)
			})
		})
	}
}
