package kept_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/store"
)

// TestPut: the latest text is kept, also when the attempt has ended meanwhile.
func TestPut(t *testing.T) {
	s := store.NewMemory()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for ctx, text := range map[context.Context]string{t.Context(): `"a"`, ended: `"b"`} {
		require.NoError(t, kept.Put(ctx, s, "k", "n", []byte(text), time.Hour))
		d, err := s.Get(t.Context(), "k", "n")
		require.NoError(t, err)
		require.Equal(t, text, string(d.Body))
		require.WithinDuration(t, time.Now().Add(time.Hour), d.Expires, time.Minute)
	}
}

// TestOnce: of many at once one is the first; what is taken back can be first again, and so can what was noted long ago.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		once := func() (first int32) {
			var n atomic.Int32
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					ok, err := kept.Once(t.Context(), s, "k", "n", time.Hour)
					if err != nil {
						t.Error(err)
					}
					if ok {
						n.Add(1)
					}
				})
			}
			wg.Wait()
			return n.Load()
		}
		require.EqualValues(t, 1, once())
		require.Zero(t, once())
		require.NoError(t, kept.Forget(t.Context(), s, "k", "n"))
		require.NoError(t, kept.Forget(t.Context(), s, "k", "n"))
		require.EqualValues(t, 1, once())
		require.NoError(t, kept.Note(t.Context(), s, "k", "n", 3*time.Hour))
		time.Sleep(2 * time.Hour)
		require.Zero(t, once())
		time.Sleep(2 * time.Hour)
		require.EqualValues(t, 1, once())
	})
}
