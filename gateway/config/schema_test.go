package config_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol/builtin"
	"github.com/sallyport/sallyport/secrets"
	kinds "github.com/sallyport/sallyport/secrets/builtin"
)

// TestSchema: what the documents show is valid, and what is not read is not.
func TestSchema(t *testing.T) {
	o := config.Options{Protocols: builtin.All(), Secrets: secrets.Default(), Kinds: kinds.All()}
	text, err := config.Schema(o)
	require.NoError(t, err)
	s := &jsonschema.Schema{}
	require.NoError(t, json.Unmarshal(text, s))
	resolved, err := s.Resolve(nil)
	require.NoError(t, err)
	validate := func(t *testing.T, file string) error {
		var v any
		require.NoError(t, yaml.Unmarshal([]byte(file), &v))
		return resolved.Validate(v)
	}
	doc, err := os.ReadFile("../../docs/config.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(doc, -1)
	require.Greater(t, len(blocks), 1)
	for _, b := range blocks {
		require.NoError(t, validate(t, string(b[1])), string(b[1]))
	}
	for name, file := range map[string]string{
		"an unknown key":                "lissten: {}",
		"an unknown key inside":         "audit: {durabilty: os}",
		"a list that is not a list":     "resources: {name: x}",
		"an unknown type":               "resources: [{name: x, type: oracle}]",
		"a resource without a name":     "resources: [{type: ssh}]",
		"another protocol's setting":    "resources: [{name: x, type: ssh, read_only: true}]",
		"an unknown setting":            "resources: [{name: x, type: ssh, ssh: {read_only: true}}]",
		"a number that is not a number": "limits: {max_sessions: many}",
		"a choice of nothing":           "access: [{resources: [], allow: [read]}]",
		"a switch that is a word":       "mcp: {enabled: x}",
		"a setting of a source":         "secrets: {vault: {adress: 'https://v'}}",
		"a source of no kind":           "secrets: {eu: {address: 'https://v'}}",
		"another kind's setting":        "secrets: {eu: {type: exec, address: 'https://v'}}",
		"a listener of nothing":         "listen: {oracle: 127.0.0.1:1}",
		"a link by a word":              "resources: [{name: x, type: ssh, login_link: sometimes}]",
		"an unknown term of a link":     "resources: [{name: x, type: ssh, login_link: {any_address: true}}]",
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, validate(t, file)) })
	}
	_, err = config.Schema(config.Options{Protocols: append(builtin.All(), builtin.All()...)})
	require.Error(t, err)
}
