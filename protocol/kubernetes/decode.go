package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds how deep an object may be.
const maxDepth = 100

var (
	errJSON      = errors.New("the body is not JSON that the gateway can read")
	errYAML      = errors.New("the body is not YAML that the gateway can read")
	errTwice     = errors.New("the body has a key twice, of which servers take different ones")
	errDeep      = errors.New("the body is nested too deeply")
	errMerge     = errors.New("the body merges keys (<<) into an object that has others, which servers do in different ways: write the keys out")
	errOtherKeys = errors.New("the body has keys that are not texts")
)

// decodeJSON reads one JSON text. What could be read in two ways is an error.
func decodeJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errJSON
	}
	return v, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	t, err := d.Token()
	if err != nil {
		return nil, errJSON
	}
	switch t {
	case json.Delim('{'):
		object := make(map[string]any)
		for d.More() {
			t, err := d.Token()
			key, ok := t.(string)
			if err != nil || !ok {
				return nil, errJSON
			}
			if _, twice := object[key]; twice {
				return nil, errTwice
			}
			if object[key], err = value(d, depth+1); err != nil {
				return nil, err
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, errJSON
		}
		return object, nil
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := value(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		if _, err := d.Token(); err != nil {
			return nil, errJSON
		}
		return list, nil
	}
	return t, nil
}

// decodeYAML reads one document of YAML. The library refuses keys that are there twice.
func decodeYAML(body []byte) (any, error) {
	var node yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&node); err != nil {
		return nil, errYAML
	}
	var doc, more any
	if err := d.Decode(&more); err != io.EOF {
		return nil, errYAML
	}
	if merges(&node) {
		return nil, errMerge
	}
	if err := node.Decode(&doc); err != nil {
		return nil, errYAML
	}
	return doc, plainKeys(doc, 0)
}

// merges reports whether an object takes keys from another one and has keys of its own: API servers read it by a library in which
// the later key counts, and here its own does.
func merges(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode && len(n.Content) > 2 {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == "<<" {
				return true
			}
		}
	}
	return slices.ContainsFunc(n.Content, merges)
}

// plainKeys reports keys that are not texts.
func plainKeys(v any, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	switch v := v.(type) {
	case map[any]any:
		return errOtherKeys
	case map[string]any:
		for _, inner := range v {
			if err := plainKeys(inner, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := plainKeys(inner, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
