package aws

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
)

//go:embed actions.txt
var actionLines string

//go:embed routes.txt
var routeLines string

// form is how a service is asked.
type form uint8

const (
	formUnknown form = iota
	formS3           // REST, with errors in XML
	formREST         // REST, with JSON
	formJSON         // an action in X-Amz-Target, with JSON
	formQuery        // an action in a form, with XML
)

// service is what is known of one.
type service struct {
	form   form
	target string // what comes before the action in X-Amz-Target
	global bool   // it has one host for all regions
	// names are the parameters that name what an action is about.
	names []string
}

// services are those whose actions are known, by the name that requests are signed for.
var services = map[string]*service{
	"s3":             {form: formS3},
	"lambda":         {form: formREST},
	"eks":            {form: formREST},
	"dynamodb":       {form: formJSON, target: "DynamoDB_20120810", names: []string{"TableName"}},
	"secretsmanager": {form: formJSON, target: "secretsmanager", names: []string{"SecretId", "Name", "SecretIdList"}},
	"ssm":            {form: formJSON, target: "AmazonSSM", names: []string{"Name", "Names", "Path"}},
	"kms":            {form: formJSON, target: "TrentService", names: []string{"KeyId"}},
	"ecs":            {form: formJSON, target: "AmazonEC2ContainerServiceV20141113", names: []string{"cluster", "clusterName"}},
	"sts":            {form: formQuery, names: []string{"RoleArn"}},
	"ec2":            {form: formQuery},
	"iam":            {form: formQuery, global: true, names: []string{"UserName", "RoleName", "GroupName", "PolicyArn", "PolicyName"}},
	"rds":            {form: formQuery, names: []string{"DBInstanceIdentifier", "DBClusterIdentifier"}},
	"cloudformation": {form: formQuery, names: []string{"StackName", "StackSetName", "ChangeSetName"}},
}

// route is how an action of a service with REST is asked for.
type route struct {
	action, method string
	path           []string // "{Name}" is any segment, and a last "{Name+}" all that follow
	query          []string // "name" or "name=value"
}

// table is what actions.txt and routes.txt say.
type table struct {
	access map[string]proxy.Access // by "service:Action"
	routes map[string][]route      // by service
	flags  map[string]bool         // the names in queries of S3 that make another action of a request
}

var theTable = sync.OnceValue(func() *table {
	t := &table{access: map[string]proxy.Access{}, routes: map[string][]route{}, flags: map[string]bool{}}
	classes := map[string]proxy.Access{"read": proxy.AccessRead, "write": proxy.AccessWrite, "admin": proxy.AccessAdmin}
	for line := range strings.Lines(actionLines) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] == "#" {
			continue
		}
		for _, action := range words[2:] {
			t.access[words[0]+":"+action] = classes[words[1]]
		}
	}
	for line := range strings.Lines(routeLines) {
		words := strings.Fields(line)
		if len(words) != 4 || words[0] == "#" {
			continue
		}
		path, query, _ := strings.Cut(words[3], "?")
		r := route{action: words[1], method: words[2], path: strings.Split(path[1:], "/")}
		for q := range strings.SplitSeq(query, "&") {
			if q == "" {
				continue
			}
			r.query = append(r.query, q)
			if words[0] == "s3" {
				name, _, _ := strings.Cut(q, "=")
				t.flags[name] = true
			}
		}
		t.routes[words[0]] = append(t.routes[words[0]], r)
	}
	return t
})

// accessOf is the right that an action needs; one that is not known needs all of them.
func accessOf(name string) proxy.Access {
	if a, ok := theTable().access[name]; ok {
		return a
	}
	return proxy.AccessUnknown
}

// chooses reports whether a parameter tells actions of a service with REST apart.
func (t *table) chooses(service, name string) bool {
	return slices.ContainsFunc(t.routes[service], func(r route) bool {
		return slices.ContainsFunc(r.query, func(q string) bool {
			got, _, _ := strings.Cut(q, "=")
			return got == name
		})
	})
}

// match returns whether a path is the route's, and what it has in the place of names.
func (r *route) match(path []string) (names []string, ok bool) {
	for i, want := range r.path {
		if strings.HasSuffix(want, "+}") {
			if i >= len(path) {
				return nil, false
			}
			return append(names, strings.Join(path[i:], "/")), strings.Join(path[i:], "/") != ""
		}
		switch {
		case i >= len(path):
			return nil, false
		case strings.HasPrefix(want, "{"):
			if path[i] == "" {
				return nil, false
			}
			names = append(names, path[i])
		case want != path[i]:
			return nil, false
		}
	}
	return names, len(path) == len(r.path)
}

// named are the names that a path has, by what the route calls them.
func (r *route) named(names []string) []sigv4.Param {
	list := make([]sigv4.Param, 0, len(names))
	for _, part := range r.path {
		if strings.HasPrefix(part, "{") && len(list) < len(names) {
			list = append(list, sigv4.Param{Name: strings.Trim(part, "{+}"), Value: names[len(list)]})
		}
	}
	return list
}

// asks reports whether a query has all that the route names.
func (r *route) asks(query map[string]string) bool {
	return !slices.ContainsFunc(r.query, func(q string) bool {
		name, want, valued := strings.Cut(q, "=")
		got, ok := query[name]
		return !ok || valued && got != want
	})
}
