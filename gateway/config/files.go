package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/secrets"
)

// maxValue is the longest value of the file that can be the name of a file.
const maxValue = 4096

// Files lists what the file is read with, as absolute paths: itself, and the files that its values
// name and that are there, such as certificates, keys, policies in Rego, and secrets. Of these what the gateway writes, and what
// is in the data directory, is not among it. elsewhere are the schemes of references to secrets that no file
// has.
func (f *File) Files() (files, elsewhere []string, err error) {
	found, schemes := make(map[string]bool), make(map[string]bool)
	data := f.absolute(f.Data())
	written := make(map[string]bool)
	for _, e := range f.Audit.Export {
		written[f.absolute(f.ExportPath(e))] = true
	}
	for _, w := range f.Audit.Witnesses {
		written[f.absolute(f.WitnessFile(w))] = true
	}
	add := func(name string) {
		name = f.absolute(name)
		rel, err := filepath.Rel(data, name)
		if info, serr := os.Stat(name); serr == nil && info.Mode().IsRegular() && !written[name] && (err != nil || !filepath.IsLocal(rel)) {
			found[name] = true
		}
	}
	found[f.absolute(f.name)] = true // wherever it is
	eachText(reflect.ValueOf(f), func(text string) {
		if text == "" || len(text) > maxValue || strings.ContainsAny(text, "\n\x00") {
			return
		}
		if f.checkReference(text) != nil {
			add(f.path(text))
			return
		}
		switch r, err := secrets.Parse(f.reference(text)); {
		case err != nil:
		case r.Scheme == "file":
			add(r.Path)
		default:
			schemes[r.Scheme] = true
		}
	})
	f.eachRego(func(name string, info fs.FileInfo, rerr error) {
		if rerr != nil {
			err = errors.Join(err, rerr)
		} else if !info.IsDir() {
			add(name)
		}
	})
	return slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(schemes)), err
}

// eachText calls each with every text that a value has.
func eachText(v reflect.Value, each func(text string)) {
	switch v.Kind() {
	case reflect.String:
		each(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachText(v.Field(i), each)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			eachText(v.Index(i), each)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			eachText(it.Value(), each)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			eachText(v.Elem(), each)
		}
	}
}
