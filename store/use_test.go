package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

// restless is a store that wakes its followers all the time.
type restless struct {
	store.Store
	asked int
	fail  error
}

func (r *restless) Wait(context.Context, int64) error { return nil }

func (r *restless) Changes(context.Context, int64, int) ([]store.Change, error) {
	r.asked++
	return nil, r.fail
}

func (r *restless) Sweep(context.Context) (bool, error) {
	r.asked++
	return r.asked%3 > 0, r.fail
}

// TestFollowRests holds that a follower does not keep a store busy: neither one that
// wakes it for nothing, nor one that fails.
func TestFollowRests(t *testing.T) {
	for name, fail := range map[string]error{"woken for nothing": nil, "failing": errors.New("away")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &restless{fail: fail}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				failures := 0
				for _, err := range store.Follow(ctx, r, 0) {
					require.Equal(t, fail, err)
					failures++
				}
				require.Less(t, r.asked, 1300)
				require.Greater(t, r.asked, 55)
				if fail != nil {
					require.Equal(t, r.asked, failures)
				}
			})
		})
	}
}

func TestSweepEvery(t *testing.T) {
	for name, fail := range map[string]error{"sweeping": nil, "failing": errors.New("away")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &restless{fail: fail}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
				defer cancel()
				failures := 0
				store.SweepEvery(ctx, r, time.Minute, func(err error) {
					require.Equal(t, fail, err)
					failures++
				})
				if fail == nil {
					require.Equal(t, 30, r.asked) // three times a minute there is more to do
				} else {
					require.Equal(t, 10, failures)
				}
			})
		})
	}
}
