package kept_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
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
	s := store.NewMemory()
	var first atomic.Int32
	once := func(life time.Duration) {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				ok, err := kept.Once(t.Context(), s, "k", "n", life)
				if err != nil {
					t.Error(err)
				}
				if ok {
					first.Add(1)
				}
			})
		}
		wg.Wait()
	}
	once(time.Hour)
	require.EqualValues(t, 1, first.Load())
	require.NoError(t, kept.Forget(t.Context(), s, "k", "n"))
	require.NoError(t, kept.Forget(t.Context(), s, "k", "n"))
	once(50 * time.Millisecond)
	require.EqualValues(t, 2, first.Load())
	require.Eventually(t, func() bool { once(time.Hour); return first.Load() > 2 }, 10*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 3, first.Load())
	require.NoError(t, kept.Note(t.Context(), s, "k", "n", time.Hour))
	once(time.Hour)
	require.EqualValues(t, 3, first.Load())
}
