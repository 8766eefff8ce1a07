// Package builtin lists the kinds of sources of this module.
package builtin

import (
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/age"
	"github.com/sallyport/sallyport/secrets/aws"
	"github.com/sallyport/sallyport/secrets/azure"
	"github.com/sallyport/sallyport/secrets/google"
	"github.com/sallyport/sallyport/secrets/kubernetes"
	"github.com/sallyport/sallyport/secrets/onepassword"
	"github.com/sallyport/sallyport/secrets/sops"
	"github.com/sallyport/sallyport/secrets/vault"
)

// All returns every kind.
func All() []secrets.Kind {
	return []secrets.Kind{secrets.ExecKind(), age.Kind(), aws.Kind(), azure.Kind(), google.Kind(), kubernetes.Kind(), onepassword.Kind(), sops.Kind(), vault.Kind()}
}
