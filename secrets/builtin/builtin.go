// Package builtin lists the kinds of sources of this module.
package builtin

import (
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/vault"
)

// All returns every kind.
func All() []secrets.Kind { return []secrets.Kind{secrets.ExecKind(), vault.Kind()} }
