package config

import (
	"fmt"
	"path"
	"reflect"
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
	if r.Via != "" { // the same address is another place in another network
		address = r.Via + "/" + address
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
// have them go to. What the file uses elsewhere than in resources, such as the masking key, goes to none. Any other
// secret is bound by the first resource that names it.
func (f *File) Rebinds(changes []revision.Change) (list []string) {
	known := make(map[string]bool)
	f.eachReference(reflect.ValueOf(f).Elem(), func(ref string) { known[place(ref)] = true })
	for _, b := range f.bound() {
		known[place(b.Ref)] = true
	}
	for _, c := range changes {
		for _, b := range f.binds(c) {
			if known[place(b.Ref)] {
				list = append(list, c.String()+": "+used(b))
			}
		}
	}
	return list
}

// Binds says which secrets would be used by a change at an address or for an account where no resource of f uses
// them, those among them that no resource uses: a secret may have several names.
func (f *File) Binds(c revision.Change) (list []string) {
	for _, b := range f.binds(c) {
		list = append(list, used(b))
	}
	return list
}

func used(b secrets.Binding) string {
	return fmt.Sprintf("%s would be used at %s for the account %q, where it is not used now", b.Ref, b.Address, b.Account)
}

// bound are the bindings of all resources.
func (f *File) bound() (list []secrets.Binding) {
	for i := range f.Resources {
		list = append(list, f.bindings(&f.Resources[i])...)
	}
	return list
}

// binds are the bindings that a change has and no resource of f.
func (f *File) binds(c revision.Change) []secrets.Binding {
	r, ok := f.entry(c.Kind, c.After).(*Resource)
	if !ok {
		return nil
	}
	bound := f.bound()
	return slices.DeleteFunc(f.bindings(r), func(b secrets.Binding) bool {
		return slices.ContainsFunc(bound, func(o secrets.Binding) bool { return o.Check(b.Ref, b.Address, b.Account) == nil })
	})
}

// eachReference has found called with everything in v that is a reference, but for what resources have.
func (f *File) eachReference(v reflect.Value, found func(ref string)) {
	switch v.Kind() {
	case reflect.String:
		if f.checkReference(v.String()) == nil {
			found(v.String())
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			f.eachReference(v.Elem(), found)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if t := v.Type().Field(i); t.IsExported() && t.Type != reflect.TypeFor[[]Resource]() {
				f.eachReference(v.Field(i), found)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			f.eachReference(v.Index(i), found)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			f.eachReference(v.MapIndex(key), found)
		}
	}
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
