package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestConformance(t *testing.T) {
	proxytest.TestInterceptor(t, func(t *testing.T) proxy.Interceptor {
		l, err := audit.Open(t.TempDir(), audit.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		return l
	})
}
