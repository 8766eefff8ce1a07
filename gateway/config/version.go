package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"

	"github.com/sallyport/sallyport/audit"
)

// Version names the file by its SHA-256, and its rules by that of what they say:
// who may do what, what nobody should, what is hidden. Comments, order of keys
// and everything else leave the rules' version as it is.
func (f *File) Version() (audit.Version, error) {
	rules := []any{plain(f.Access), plain(f.Guardrails), plain(f.Masking)}
	b, err := json.Marshal(rules)
	if err != nil {
		return audit.Version{}, err
	}
	sum := sha256.Sum256(b)
	return audit.Version{Config: hex.EncodeToString(f.digest[:]), Policy: hex.EncodeToString(sum[:8])}, nil
}

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
