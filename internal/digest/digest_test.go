package digest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/digest"
)

func TestOf(t *testing.T) {
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", digest.Of(), "SHA-256 of nothing")
	// printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum
	require.Equal(t, "3fafa1cf2f19a7c1129beb20cf0983f73a489a221fc0dd2f16d1be292d089205", digest.Of("a", "bc"))
	require.NotEqual(t, digest.Of("ab", "c"), digest.Of("a", "bc"))
	require.NotEqual(t, digest.Of("a"), digest.Of("a", ""))
}
