package kubernetes

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// maxBody is how long an object may be that the gateway reads: API servers take 3 MiB.
const maxBody = 3 << 20

var errForm = errors.New("the gateway reads objects as JSON and YAML alone: send one of these")

// facts are further names of what a call does, by its body, such as "scale-to-zero".
type facts struct {
	scaleToZero bool
	cordon      bool
	taint       bool
	masked      bool // it holds the mask in the place of a Secret's value
	reveals     bool // it copies a Secret's value to where it is shown, or compares it
}

// names returns them as rules call them.
func (f *facts) names() (list []string) {
	if f.scaleToZero {
		list = append(list, "scale-to-zero")
	}
	if f.cordon {
		list = append(list, "cordon")
	}
	if f.taint {
		list = append(list, "taint")
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
	partial := false
	switch media {
	case "", "application/json", "application/merge-patch+json", "application/strategic-merge-patch+json":
		if doc, err = decodeJSON(body); err != nil {
			return f, err
		}
		partial = strings.HasSuffix(media, "merge-patch+json")
	case "application/json-patch+json":
		err = c.readPatch(&f, body)
		return f, err
	case "application/yaml", "application/apply-patch+yaml":
		if doc, err = decodeYAML(body); err != nil {
			return f, err
		}
	default:
		return f, errForm
	}
	c.look(&f, doc, partial)
	return f, nil
}

// look finds out what an object says. A partial one leaves what it does not name as it is.
func (c *call) look(f *facts, doc any, partial bool) {
	if c.isSecret() {
		f.masked = holdsMask(doc)
		return
	}
	object, ok := doc.(map[string]any)
	spec, given := object["spec"]
	if given || c.isScale() && !(ok && partial && !directs(object)) {
		c.lookSpec(f, spec, partial)
	}
}

func (c *call) lookSpec(f *facts, v any, partial bool) {
	spec, ok := v.(map[string]any)
	if c.isScale() {
		n, given := spec["replicas"]
		kept := given && n != nil && positive(n) || !given && ok && partial
		f.scaleToZero = f.scaleToZero || !kept || directs(spec)
		return
	}
	if v, ok := spec["replicas"]; ok && c.scales() {
		f.scaleToZero = f.scaleToZero || !positive(v)
	}
	if v, ok := spec["unschedulable"]; ok && c.resource == "nodes" {
		f.cordon = f.cordon || v != false && v != nil
	}
	if v, ok := spec["taints"]; ok && c.resource == "nodes" {
		f.taint = f.taint || repels(v)
	}
}

// repels reports whether taints keep pods from a node, or have them leave it.
func repels(taints any) bool {
	list, ok := taints.([]any)
	if !ok {
		return taints != nil
	}
	return slices.ContainsFunc(list, func(v any) bool {
		taint, _ := v.(map[string]any)
		return taint["effect"] != "PreferNoSchedule"
	})
}

// isScale reports whether the call is about a Scale. It has no default: without a number it means no replicas.
func (c *call) isScale() bool { return c.subresource == "scale" }

// directs reports whether a strategic merge patch says how it is to be merged, by which it may remove what it does not name.
func directs(object map[string]any) bool {
	for key := range object {
		if strings.HasPrefix(key, "$") {
			return true
		}
	}
	return false
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
		path, pointed := pointer(op["path"])
		if !ok || !pointed {
			return errPatch
		}
		value := op["value"]
		switch op["op"] {
		case "test":
			f.reveals = f.reveals || c.isSecret() && !shown(path)
			continue
		case "remove":
			c.lookRemoved(f, path)
			continue
		case "add", "replace":
		default:
			from, pointed := pointer(op["from"])
			if !pointed {
				return errPatch
			}
			f.reveals = f.reveals || c.isSecret()
			c.lookRemoved(f, from) // by a move
			value = "?"            // it comes from elsewhere in the object
		}
		c.lookAt(f, path, value)
	}
	return nil
}

// shown reports whether a Secret is shown as it is at a place. Annotations may hold a copy of it.
func shown(path string) bool {
	return strings.HasPrefix(path, "/metadata/") && path != "/metadata/annotations" && !strings.HasPrefix(path, "/metadata/annotations/")
}

// lookAt finds out what a value says that a patch puts at a place.
func (c *call) lookAt(f *facts, path string, value any) {
	unknown := map[string]any{"replicas": "?", "unschedulable": "?", "taints": "?"}
	if c.isSecret() {
		f.masked = f.masked || holdsMask(value)
		return
	}
	switch path {
	case "":
		if _, known := value.(map[string]any); !known {
			value = map[string]any{"spec": unknown}
		}
		c.look(f, value, false)
	case "/spec":
		if _, known := value.(map[string]any); !known {
			value = unknown
		}
		c.lookSpec(f, value, false)
	case "/spec/replicas":
		c.lookSpec(f, map[string]any{"replicas": value}, false)
	case "/spec/unschedulable":
		c.lookSpec(f, map[string]any{"unschedulable": value}, true)
	case "/spec/taints":
		c.lookSpec(f, map[string]any{"taints": value}, true)
	default:
		if inner, ok := strings.CutPrefix(path, "/spec/taints/"); ok {
			if strings.Contains(inner, "/") {
				value = "?" // a part of one
			}
			c.lookSpec(f, map[string]any{"taints": []any{value}}, true)
		}
	}
}

// lookRemoved finds out what it means that a patch removes what is at a place.
func (c *call) lookRemoved(f *facts, path string) {
	switch path {
	case "", "/spec", "/spec/replicas":
		f.scaleToZero = f.scaleToZero || c.isScale()
	}
}

// pointer is a place in an object, as JSON patches write it. API servers take one that does not begin with a slash too, and read
// another place out of it than it says.
func pointer(v any) (string, bool) {
	s, ok := v.(string)
	return s, ok && (s == "" || s[0] == '/')
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
