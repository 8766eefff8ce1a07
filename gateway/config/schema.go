package config

import (
	"encoding/json"
	"reflect"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/secrets"
)

// schema is a JSON Schema.
type schema map[string]any

// Schema returns the JSON Schema (draft 2020-12) of config files that are read with these
// options, for editors and other tools that know it. Whatever [Load] reads it accepts, but for
// numbers in quotes. What a file refers to is checked by Load alone.
func Schema(o Options) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	w := schemaWriter{protocols: o.Protocols, kinds: o.Kinds, defs: make(schema)}
	root := w.object(reflect.TypeFor[File]())
	root["$schema"], root["title"], root["$defs"] = "https://json-schema.org/draft/2020-12/schema", "Sallyport config file", w.defs
	return json.MarshalIndent(root, "", "  ")
}

type schemaWriter struct {
	protocols []protocol.Protocol
	kinds     []secrets.Kind
	defs      schema // of structs, by name
}

// of returns the schema of values of a type. Nothing after a key is the zero value.
func (w *schemaWriter) of(t reflect.Type) schema {
	switch {
	case t == resourceType:
		return w.define(t, w.resource)
	case t == selectorType:
		return schema{"anyOf": []schema{
			{"type": "array", "items": text(), "minItems": 1},
			{"type": "object", "additionalProperties": text(), "minProperties": 1},
		}, "description": "names and patterns, or labels that must all be there"}
	case t == listenType:
		addresses := schema{}
		for _, name := range namesOf(w.protocols) {
			addresses[name] = text()
		}
		return schema{"type": []string{"object", "null"}, "properties": addresses, "additionalProperties": false}
	case t == sourcesType:
		return w.sources()
	case t == linkType:
		return schema{"anyOf": []schema{{"type": []string{"boolean", "null"}}, w.define(t.Elem(), w.object)}}
	case t == durationType:
		return schema{"type": []string{"string", "number", "null"}, "description": "a time such as 30s, 15m or 8h"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem())
	case reflect.Struct:
		return w.define(t, w.object)
	case reflect.Slice:
		return schema{"type": []string{"array", "null"}, "items": w.of(t.Elem())}
	case reflect.Map:
		return schema{"type": []string{"object", "null"}, "additionalProperties": w.of(t.Elem())}
	case reflect.Bool:
		return schema{"type": []string{"boolean", "null"}}
	case reflect.Float32, reflect.Float64:
		return schema{"type": []string{"number", "null"}}
	case reflect.String:
		return text()
	case reflect.Interface:
		return schema{}
	}
	return schema{"type": []string{"integer", "null"}}
}

// sources has settings by the kind that a source is of: the one of its name, or its type.
func (w *schemaWriter) sources() schema {
	named := schema{}
	var typed []schema
	for i := range w.kinds {
		k := &w.kinds[i]
		of := w.properties(reflect.TypeOf(k.Settings()).Elem())
		of["type"] = schema{"const": k.Name}
		named[k.Name] = schema{"type": "object", "properties": of, "additionalProperties": false}
		typed = append(typed, schema{"type": "object", "properties": of, "required": []string{"type"}, "additionalProperties": false})
	}
	return schema{"type": []string{"object", "null"}, "properties": named, "additionalProperties": schema{"oneOf": typed}}
}

// text is that of a word, which YAML may take for a number.
func text() schema { return schema{"type": []string{"string", "number", "boolean", "null"}} }

// define returns a reference to the schema of a type, which is there once.
func (w *schemaWriter) define(t reflect.Type, how func(reflect.Type) schema) schema {
	name := t.Name()
	if t.PkgPath() != resourceType.PkgPath() {
		name = t.String() // of a protocol's
	}
	if _, there := w.defs[name]; !there {
		w.defs[name] = nil // one may hold itself
		w.defs[name] = how(t)
	}
	return schema{"$ref": "#/$defs/" + name}
}

func (w *schemaWriter) object(t reflect.Type) schema {
	return schema{"type": []string{"object", "null"}, "properties": w.properties(t), "additionalProperties": false}
}

func (w *schemaWriter) properties(t reflect.Type) schema {
	f := fieldsOf(t)
	of := schema{}
	for _, key := range f.keys {
		if !f.later[key] {
			of[key] = w.of(t.Field(f.index[key]).Type)
		}
	}
	return of
}

// resource has, for each protocol, its settings among the keys of all resources, and below its name.
func (w *schemaWriter) resource(t reflect.Type) schema {
	var kinds []schema
	for i := range w.protocols {
		p := &w.protocols[i]
		of := w.properties(t)
		of["type"] = schema{"const": p.Name}
		if p.Settings != nil {
			settings := reflect.TypeOf(p.Settings()).Elem()
			for key, s := range w.properties(settings) {
				of[key] = s
			}
			of[p.Name] = w.of(settings)
		}
		kinds = append(kinds, schema{"type": "object", "properties": of, "required": []string{"name", "type"}, "additionalProperties": false})
	}
	return schema{"oneOf": kinds}
}
