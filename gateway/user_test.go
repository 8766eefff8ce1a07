package gateway

import (
	"testing"

	"github.com/sallyport/sallyport/proxy"
	"github.com/stretchr/testify/require"
)

func TestNoUserErrorNamesTheUserAlone(t *testing.T) {
	err := error(noUserError("zoe"))
	require.ErrorIs(t, err, proxy.ErrNotFound)
	require.EqualError(t, err, `user "zoe" is not in the configuration`)
}
