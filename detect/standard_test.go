package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStandardNames: names go out as other analyzers have them, and both are
// understood.
func TestStandardNames(t *testing.T) {
	for own, other := range map[Type]Type{Passport: "US_PASSPORT", License: "US_DRIVER_LICENSE", BankAccount: "US_BANK_NUMBER", Email: "EMAIL_ADDRESS"} {
		require.Equal(t, other, own.Standard())
		require.Equal(t, own, TypeNamed(string(other)))
		require.Equal(t, own, TypeNamed(string(own)))
	}
	require.Equal(t, Passport, TypeNamed("IT_PASSPORT"))
	require.Equal(t, Type("BADGE"), TypeNamed("BADGE").Standard())
}
