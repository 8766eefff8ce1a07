package control_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// TestOpenAPI: docs/openapi.json is what the code says. UPDATE=1 writes it.
func TestOpenAPI(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(control.OpenAPI()))
	const file = "../docs/openapi.json"
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "the API has changed: run UPDATE=1 go test ./control -run TestOpenAPI, and look at the difference")
}

// TestOpenAPIComplete: everything that is referred to is described, and everything that
// is described is served.
func TestOpenAPIComplete(t *testing.T) {
	text, err := json.Marshal(control.OpenAPI())
	require.NoError(t, err)
	var api struct {
		Paths      map[string]map[string]struct{ Summary, OperationID string }
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, json.Unmarshal(text, &api))
	for _, ref := range bytes.Split(text, []byte(`"#/components/schemas/`))[1:] {
		name, _, _ := bytes.Cut(ref, []byte(`"`))
		require.Contains(t, api.Components.Schemas, string(name))
	}
	d := openDesk(t)
	ids := make(map[string]bool)
	for path, methods := range api.Paths {
		for method, op := range methods {
			require.NotEmpty(t, op.Summary, path)
			require.False(t, ids[op.OperationID], op.OperationID)
			ids[op.OperationID] = true
			w := d.do("", map[string]string{"get": "GET", "post": "POST"}[method], path, "{}")
			require.NotContains(t, w.Body.String(), "nothing at this address", path)
		}
	}
}
