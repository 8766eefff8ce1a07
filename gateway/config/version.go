package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"

	"github.com/sallyport/sallyport/audit"
)

// Version names the file by its SHA-256, or by that of it and the objects of the store where there are any, and its rules by that of what they say:
// who may do what, what nobody should, what is hidden. What policies in Rego say is not among
// it: they have a version of their own. Comments, order of keys
// and everything else leave the rules' version as it is.
func (f *File) Version() (audit.Version, error) {
	b, err := json.Marshal([]any{plain(f.Access), plain(f.Policies), plain(f.Guardrails), plain(f.Masking)})
	if err != nil {
		return audit.Version{}, err
	}
	sum, digest := sha256.Sum256(b), f.objectsDigest()
	return audit.Version{Config: hex.EncodeToString(digest[:]), Policy: hex.EncodeToString(sum[:8])}, nil
}

// SameAccess reports whether both files have the same access rules.
func (f *File) SameAccess(o *File) bool { return same(f.Access, o.Access) }

// SameRego reports whether both files say the same about policies in Rego, and about what these may name in requests. The policies
// may have changed all the same.
func (f *File) SameRego(o *File) bool {
	return same(f.Policies, o.Policies) &&
		(f.Policies.OPA == nil || same(f.Identity, o.Identity) && same(f.API, o.API) && same(f.Notify, o.Notify) && same(f.OnCall, o.OnCall) && same(f.Offline, o.Offline))
}

// SameGuardrails reports whether both files have the same guardrails.
func (f *File) SameGuardrails(o *File) bool { return same(f.Guardrails, o.Guardrails) }

// SameMasking reports whether both files mask the same, with the same key. Where an
// analyzer is asked it is not known, since that has a secret, too.
func (f *File) SameMasking(o *File) bool {
	return f.Analyzer == nil && o.Analyzer == nil && same(f.Masking, o.Masking) && same(f.MaskingKey, o.MaskingKey) && same(f.Tags, o.Tags) && same(f.Trusted, o.Trusted)
}

// NeedsRestart returns the keys that f has otherwise than o and that a running gateway of
// o keeps as they are: they are used when it starts again.
func (f *File) NeedsRestart(o *File) (keys []string) {
	for _, k := range []struct {
		name string
		of   func(f *File) any
	}{
		{"data_dir", func(f *File) any { return f.Data() }},
		{"domain", func(f *File) any { return f.Domain }},
		{"tls.optional", func(f *File) any { return f.TLS != nil && f.TLS.Optional }},
		{"runbooks", func(f *File) any { return f.Runbooks }},
		{"store", func(f *File) any { return f.Store }},
		{"api", func(f *File) any { return f.API }},
		{"tunnel", func(f *File) any { return f.Tunnel }},
		{"metrics", func(f *File) any { return f.Metrics }},
		{"shutdown.drain", func(f *File) any { return f.Shutdown.DrainTime() }},
		{"audit.durability", func(f *File) any { return f.Audit.Durability }},
		{"audit.best_effort", func(f *File) any { return f.Audit.BestEffort }},
		{"audit.export", func(f *File) any { return f.Audit.Export }},
		{"audit.copies", func(f *File) any { return f.Audit.Copies }},
		{"audit.witnesses", func(f *File) any { return f.Audit.Witnesses }},
		{"audit.key", func(f *File) any { return f.Audit.Key }},
		{"audit.old_keys", func(f *File) any { return f.Audit.OldKeys }},
	} {
		if !same(k.of(f), k.of(o)) {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// same reports whether two values of a file say the same.
func same(a, b any) bool { return reflect.DeepEqual(plain(a), plain(b)) }

// plain is v without the places of its parts in the file.
func plain(v any) any { return strip(reflect.ValueOf(v)) }

func strip(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Type != positionType && f.IsExported() && !v.Field(i).IsZero() {
				out[f.Name] = strip(v.Field(i))
			}
		}
		return out
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = strip(v.Index(i))
		}
		return out
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return strip(v.Elem())
	}
	return v.Interface()
}
