package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSchema(t *testing.T) {
	var s struct {
		Title      string
		Properties map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, "schema")), &s))
	require.Equal(t, "Sallyport config file", s.Title)
	require.Contains(t, s.Properties, "resources")
}
