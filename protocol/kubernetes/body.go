package kubernetes

import (
	"encoding/json"
	"errors"
	"strings"
)

// maxBody is how long an object may be that the gateway reads: API servers take 3 MiB.
const maxBody = 3 << 20

var errForm = errors.New("the gateway reads objects as JSON and YAML alone: send one of these")

// facts are further names of what a call does, by its body, such as "scale-to-zero".
type facts struct {
	scaleToZero bool
	cordon      bool
	masked      bool // it holds the mask in the place of a Secret's value
}

// names returns them as rules call them.
func (f *facts) names() (list []string) {
	if f.scaleToZero {
		list = append(list, "scale-to-zero")
	}
	if f.cordon {
		list = append(list, "cordon")
	}
	return list
}

// judged reports whether the body of a call says more of what it does.
func (c *call) judged() bool {
	switch c.verb {
	case "create", "update", "patch":
	default:
		return false
	}
	switch {
	case c.subresource == "scale", c.isSecret():
		return true
	case c.resource == "nodes" && c.group == "":
		return c.subresource == ""
	case c.group == "apps", c.group == "" && c.resource == "replicationcontrollers", strings.Contains(c.group, ".") && !strings.HasSuffix(c.group, ".k8s.io"):
		return c.subresource == "" // the last ones are resources of others, which may scale
	}
	return false
}

func (c *call) isSecret() bool { return c.resource == "secrets" && c.group == "" }

// read returns what the body of a call says. media is its type.
func (c *call) read(media string, body []byte) (facts, error) {
	var f facts
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	media = strings.TrimSpace(media)
	var doc any
	var err error
	switch media {
	case "", "application/json", "application/merge-patch+json", "application/strategic-merge-patch+json":
		if doc, err = decodeJSON(body); err != nil {
			return f, err
		}
	case "application/json-patch+json":
		return f, c.readPatch(&f, body)
	case "application/yaml", "application/apply-patch+yaml":
		if doc, err = decodeYAML(body); err != nil {
			return f, err
		}
	default:
		return f, errForm
	}
	c.look(&f, doc)
	return f, nil
}

// look finds out what an object, or a part of one, says.
func (c *call) look(f *facts, doc any) {
	if c.isSecret() {
		f.masked = holdsMask(doc)
		return
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return
	}
	if spec, ok := object["spec"].(map[string]any); ok {
		c.lookSpec(f, spec)
	}
}

func (c *call) lookSpec(f *facts, spec map[string]any) {
	if v, ok := spec["replicas"]; ok && c.scales() {
		f.scaleToZero = f.scaleToZero || !positive(v)
	}
	if v, ok := spec["unschedulable"]; ok && c.resource == "nodes" {
		f.cordon = f.cordon || v != false && v != nil
	}
}

// scales reports whether spec.replicas is what the call may change.
func (c *call) scales() bool { return c.resource != "nodes" }

// positive reports whether a value is certainly a whole number above zero, or says nothing.
func positive(v any) bool {
	switch n := v.(type) {
	case nil: // the default of 1 takes its place
		return true
	case json.Number:
		i, err := n.Int64()
		return err == nil && i > 0
	case int:
		return n > 0
	}
	return false
}

var errPatch = errors.New("the body is not a JSON patch")

// readPatch reads a JSON patch (RFC 6902).
func (c *call) readPatch(f *facts, body []byte) error {
	doc, err := decodeJSON(body)
	if err != nil {
		return err
	}
	ops, ok := doc.([]any)
	if !ok {
		return errPatch
	}
	for _, one := range ops {
		op, ok := one.(map[string]any)
		if !ok {
			return errPatch
		}
		kind, path, value := op["op"], op["path"], op["value"]
		if kind == "remove" || kind == "test" {
			continue
		}
		if c.isSecret() {
			f.masked = f.masked || holdsMask(value)
			continue
		}
		if kind != "add" && kind != "replace" {
			value = "?" // it comes from elsewhere in the object
		}
		switch path {
		case "":
			if _, known := value.(map[string]any); !known {
				value = map[string]any{"spec": map[string]any{"replicas": "?", "unschedulable": "?"}}
			}
			c.look(f, value)
		case "/spec":
			spec, known := value.(map[string]any)
			if !known {
				spec = map[string]any{"replicas": "?", "unschedulable": "?"}
			}
			c.lookSpec(f, spec)
		case "/spec/replicas":
			c.lookSpec(f, map[string]any{"replicas": value})
		case "/spec/unschedulable":
			c.lookSpec(f, map[string]any{"unschedulable": value})
		}
	}
	return nil
}

// holdsMask reports whether a value is the one that is shown in the place of a Secret's, or has it inside.
func holdsMask(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, MaskedValue) || v == maskedText
	case map[string]any:
		for _, inner := range v {
			if holdsMask(inner) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if holdsMask(inner) {
				return true
			}
		}
	}
	return false
}
