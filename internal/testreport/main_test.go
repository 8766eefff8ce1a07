package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name   string
		events string
		counts counts
		ok     bool
		shown  string
	}{
		{
			"passes", `{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":1.25}
`,
			counts{passed: 1},
			true, "ok  \tp\t1.2s\n",
		},
		{
			"fails", `{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:7: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":2}
`,
			counts{failed: 1},
			false, "a_test.go:7: wrong\nFAIL\tp\t2.0s\n",
		},
		{
			"skips with a reason", `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: no server\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":0}
`,
			counts{passed: 1, skipped: 1},
			true, "SKIP\tp TestA: a_test.go:9: no server\nok  \tp\t0.0s\n",
		},
		{
			"does not build", `{"ImportPath":"p [p.test]","Action":"build-output","Output":"a.go:1: bad\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}
`,
			counts{failed: 1},
			false, "a.go:1: bad\nFAIL\tp [build failed]\nFAIL\tp\t0.0s\n",
		},
		{
			"crashes in a test", `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: boom\n"}
{"Action":"fail","Package":"p","Elapsed":0}
`,
			counts{failed: 1},
			false, "panic: boom\nFAIL\tp\t0.0s\n",
		},
		{"nothing was tested", "", counts{}, false, ""},
		{"text that is not an event", "go: cannot find module\n", counts{}, false, "go: cannot find module\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			got, err := report(&b, strings.NewReader(c.events))
			require.NoError(t, err)
			got.failures = nil
			require.Equal(t, c.counts, *got)
			require.Equal(t, c.ok, got.ok())
			require.Equal(t, c.shown, b.String())
		})
	}
}

func TestAgain(t *testing.T) {
	const (
		failed = `{"Action":"fail","Package":"p","Test":"TestA/x"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p","Elapsed":2}
`
		race = `{"Action":"output","Package":"p","Test":"TestA","Output":"WARNING: DATA RACE\n"}
`
		crash = `{"Action":"output","Package":"p","Test":"TestC","Output":"panic: boom\n"}
`
		passed = `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":2}
`
	)
	for _, c := range []struct {
		name, first, second string
		want                counts
	}{
		{"passes alone", failed, passed, counts{passed: 1, unsteady: 1}},
		{"fails again", failed, failed, counts{passed: 1, failed: 2}},
		{"runs nothing the second time", failed, "", counts{passed: 1, failed: 2}},
		{"a race", race + failed, passed, counts{passed: 1, failed: 2}},
		{"a crash of another test", crash + failed, passed, counts{passed: 1, failed: 2}},
		{"a package as a whole", `{"Action":"fail","Package":"p"}` + "\n", passed, counts{failed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := report(io.Discard, strings.NewReader(c.first))
			require.NoError(t, err)
			require.NoError(t, got.again(io.Discard, func(pkg, pattern string) (*counts, error) {
				require.Equal(t, "p ^(TestA)$", pkg+" "+pattern)
				return report(io.Discard, strings.NewReader(c.second))
			}))
			got.failures = nil
			require.Equal(t, c.want, *got)
		})
	}
}
