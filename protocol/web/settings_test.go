package web

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettings(t *testing.T) {
	for name, s := range map[string]Settings{
		"nothing": {},
		"everything": {
			Hosts: []string{"wiki.example.com", "Wiki.Example.com:8443", "10.0.0.1", "[::1]:443", "::1"}, Origins: []string{"https://spa.example.com:8443"}, HostHeader: "wiki.internal:80",
			Credential: "X-Api-Key", AssertionHeader: DefaultAssertionHeader, Idle: time.Hour,
		},
		"another header": {AssertionHeader: "X-Pomerium-Jwt-Assertion", Credential: "basic"},
	} {
		require.NoError(t, s.Validate(), name)
	}
	for want, s := range map[string]Settings{
		"hosts: got \"a b\"":                      {Hosts: []string{"a b"}},
		"hosts: got \"*.example.com\"":            {Hosts: []string{"*.example.com"}},
		"hosts: got \"a:0\"":                      {Hosts: []string{"a:0"}},
		"hosts: got \"a:x\"":                      {Hosts: []string{"a:x"}},
		"hosts: got \"\"":                         {Hosts: []string{""}},
		"origins: got \"http://a\"":               {Origins: []string{"http://a"}},
		"origins: got \"https://a/\"":             {Origins: []string{"https://a/"}},
		"origins: got \"*\"":                      {Origins: []string{"*"}},
		"host_header: got \"a/b\"":                {HostHeader: "a/b"},
		"credential: got \"Host\"":                {Credential: "Host"},
		"credential: got \"X-Forwarded-For\"":     {Credential: "X-Forwarded-For"},
		"credential: got \"X Y\"":                 {Credential: "X Y"},
		"assertion_header: got \"Cookie\"":        {AssertionHeader: "Cookie"},
		"assertion_header: got \"Authorization\"": {AssertionHeader: "Authorization"},
		"credential: it is in the header":         {Credential: "X-A", AssertionHeader: "x-a"},
		"idle: got":                               {Idle: 48 * time.Hour},
	} {
		require.ErrorContains(t, s.Validate(), want)
	}
}

func TestShapeOf(t *testing.T) {
	for path, want := range map[string]string{
		"/users/17": "/users/{id}", "/users/17/posts/9": "/users/{id}/posts/{id}", "/a/b": "", "/": "", "/v1/x": "",
		"/o/550e8400-e29b-41d4-a716-446655440000": "/o/{id}", "/c/0123456789abcdef01": "/c/{id}", "/c/deadbeefdeadbeefde": "", "/x/face": "",
	} {
		require.Equal(t, want, shapeOf(path), path)
	}
}
