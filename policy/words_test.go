package policy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestWords holds that whatever is refused is said in words.
func TestWords(t *testing.T) {
	require.Len(t, effectPhrases, len(proxy.EffectNames()))
	for k := proxy.Kind(1); k.Valid(); k++ {
		require.NotEmpty(t, kindPhrases[k], k)
	}
	for a := proxy.FileOpenRead; a < proxy.FileExtended; a++ {
		require.NotEmpty(t, filePhrases[a], a)
	}
	require.Equal(t, "read data, insert rows or drop objects", effectWords(&proxy.Facts{}, proxy.EffectRead|proxy.EffectInsert|proxy.EffectDrop))
}
