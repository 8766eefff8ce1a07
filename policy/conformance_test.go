package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestConformance(t *testing.T) {
	proxytest.TestInterceptor(t, func(t *testing.T) proxy.Interceptor {
		p, err := policy.New([]policy.Rule{{Groups: []string{"dev"}, Allow: []string{"connect", "read", "exec", "file-read"}}})
		require.NoError(t, err)
		return p
	})
}
