package control

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// OpenAPI describes the API by OpenAPI 3.1, as it is served. It encodes as JSON.
func OpenAPI() any {
	s := schemas{}
	paths := make(map[string]map[string]any)
	failure := map[string]any{"description": "A failure.", "content": content(s.of(reflect.TypeFor[failure]()))}
	for _, rt := range routes() {
		ok := map[string]any{"description": "Done."}
		switch {
		case rt.stream:
			ok["content"] = map[string]any{"application/x-ndjson": map[string]any{"schema": map[string]any{"type": "string"}}}
		case rt.out != nil:
			ok["content"] = content(s.of(reflect.TypeOf(rt.out)))
		}
		op := map[string]any{"summary": rt.about, "operationId": operationID(&rt), "responses": map[string]any{"2XX": ok, "default": failure}}
		if rt.access.permission != "" {
			op["x-permission"] = string(rt.access.permission)
		}
		if rt.access.open {
			op["security"] = []any{}
		}
		if rt.in != nil {
			op["requestBody"] = map[string]any{"required": true, "content": content(s.of(reflect.TypeOf(rt.in)))}
		}
		var parameters []any
		for _, m := range inPath.FindAllStringSubmatch(rt.path, -1) {
			parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
		if parameters != nil {
			op["parameters"] = parameters
		}
		if paths[rt.path] == nil {
			paths[rt.path] = make(map[string]any)
		}
		paths[rt.path][strings.ToLower(rt.method)] = op
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": "Sallyport", "version": "v1", "description": "The API of a Sallyport gateway."},
		"paths":   paths,
		"components": map[string]any{"schemas": s, "securitySchemes": map[string]any{
			"bearer":      map[string]any{"type": "http", "scheme": "bearer", "description": "The session of a login, or an access token."},
			"cookie":      map[string]any{"type": "apiKey", "in": "cookie", "name": SessionCookie},
			"certificate": map[string]any{"type": "mutualTLS"},
		}},
		"security": []any{map[string]any{"bearer": []string{}}, map[string]any{"cookie": []string{}}, map[string]any{"certificate": []string{}}},
	}
}

func (h *Handler) showOpenAPI(c *call) error {
	h.answer(c.w, http.StatusOK, OpenAPI())
	return nil
}

var inPath = regexp.MustCompile(`\{(\w+)\}`)

// operationID names a route: get-v1-sessions-id.
func operationID(rt *route) string {
	words := strings.FieldsFunc(rt.path, func(r rune) bool { return strings.ContainsRune("/{}.", r) })
	return strings.ToLower(rt.method) + "-" + strings.Join(words[1:], "-")
}

func content(schema any) any {
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}

// schemas are those of the types that bodies have, by name.
type schemas map[string]any

// of returns the schema of a type; a struct's is referred to.
func (s schemas) of(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{"type": "object"}
	case t == reflect.TypeFor[proxy.Secret]():
		return map[string]any{"type": "string", "format": "password"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return map[string]any{"type": "object"}
		}
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Struct:
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if s[name] == nil {
			s[name] = true // a type that holds itself
			s[name] = s.structure(t)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	panic("control: bodies hold no " + t.String())
}

func (s schemas) structure(t reflect.Type) map[string]any {
	properties, required := make(map[string]any), []string(nil)
	s.fields(t, properties, &required)
	out := map[string]any{"type": "object", "properties": properties}
	if required != nil {
		slices.Sort(required)
		out["required"] = slices.Compact(required)
	}
	return out
}

func (s schemas) fields(t reflect.Type, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			s.fields(f.Type, properties, required)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		properties[name] = s.of(f.Type)
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}

// failure is how the API tells an error.
type failure struct {
	Error *Error `json:"error"`
}
