package opa

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocs holds that the policies of the document compile, and decide.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```rego\n(.*?)```").FindAllSubmatch(text, -1)
	require.Len(t, blocks, 4)
	for i, b := range blocks {
		p := create(t, Config{Request: asks, Modules: map[string]string{fmt.Sprintf("docs-%d.rego", i+1): string(b[1])}})
		for _, op := range operations() {
			e := p.Explain(t.Context(), session, op)
			require.NoError(t, e.Err)
		}
	}
}
