package masking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// A rule about a column owes what every filter of a base column does.
func TestMaskingFilterSuite(t *testing.T) {
	proxytest.TestMaskingFilter(t, func(hide proxy.Origin) proxy.Interceptor {
		m, err := masking.New(masking.Config{Rules: []masking.Rule{
			{Name: "ssn", Columns: []string{hide.Schema + "." + hide.Relation + "." + hide.Column}, With: masking.Redact},
		}})
		require.NoError(t, err)
		return m
	})
}
