package config

import (
	"fmt"
	"path"
	"slices"

	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/secrets"
)

// bindings say where the secrets of a resource go.
func (f *File) bindings(r *Resource) (list []secrets.Binding) {
	address, err := f.address(r)
	if err != nil {
		address = r.Address
	}
	accounts := r.accounts()
	if r.Own != nil {
		accounts = append(slices.Clip(accounts), *r.Own)
	}
	for _, a := range accounts {
		for _, ref := range []string{a.Password, a.Key} {
			if ref != "" {
				list = append(list, secrets.Bind(ref, address, a.Username))
			}
		}
	}
	if r.TLS != nil && r.TLS.Key != "" {
		list = append(list, secrets.Bind(r.TLS.Key, address, ""))
	}
	return list
}

// Rebinds says which secrets would go to another address or account by changes of objects than resources of f
// have them go to. A secret that no resource has is bound by the first that names it.
func (f *File) Rebinds(changes []revision.Change) (list []string) {
	var bound []secrets.Binding
	for i := range f.Resources {
		bound = append(bound, f.bindings(&f.Resources[i])...)
	}
	for _, c := range changes {
		r, ok := f.entry(c.Kind, c.After).(*Resource)
		if !ok {
			continue
		}
		for _, b := range f.bindings(r) {
			known := slices.ContainsFunc(bound, func(o secrets.Binding) bool { return place(o.Ref) == place(b.Ref) })
			if known && !slices.ContainsFunc(bound, func(o secrets.Binding) bool { return o.Check(b.Ref, b.Address, b.Account) == nil }) {
				list = append(list, fmt.Sprintf("%s: %s would be used at %s for the account %q, where it is not used now", c.Key, b.Ref, b.Address, b.Account))
			}
		}
	}
	return list
}

// place is what a reference leads to, without the part of it: who names another part of a secret, or
// writes it in another way, names the secret.
func place(ref string) string {
	r, err := secrets.Parse(ref)
	if err != nil {
		return ref
	}
	return r.Scheme + ":" + path.Clean("/"+r.Path)
}
