package opa

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Reads is which of what differs between questions that are otherwise alike a policy reads.
// What it is not certain not to read counts as read.
type Reads struct {
	// Time: a decision is remembered for the second in which it was made.
	Time bool
	// Login and Source are when the user logged in and where the client is: a decision is
	// remembered for sessions that are alike in them.
	Login, Source bool
	// Params are what a client asks for when it connects.
	Params bool
	// Arguments are the text, the values and the name of a statement, and Chance is what no
	// input decides: nothing is remembered.
	Arguments, Chance bool
}

// readsOf looks at all that compiled modules refer to, whether it is reached or not.
func readsOf(c *ast.Compiler) Reads {
	var r Reads
	for _, m := range c.Modules {
		ast.NewGenericVisitor(func(x any) bool { return r.see(x) }).Walk(m)
	}
	return r
}

// see takes in one node. It reports whether its children need not be seen.
func (r *Reads) see(x any) bool {
	t, ok := x.(*ast.Term)
	if !ok {
		return false
	}
	switch v := t.Value.(type) {
	case ast.Var:
		if v.Equal(ast.InputRootDocument.Value) {
			r.input(nil)
		}
	case ast.Ref:
		if slices.Contains(volatile, v.String()) {
			r.Chance = true
		}
		if len(v) == 0 || !v[0].Equal(ast.InputRootDocument) {
			return false
		}
		r.input(v[1:])
		for _, part := range v[1:] {
			ast.NewGenericVisitor(func(x any) bool { return r.see(x) }).Walk(part)
		}
		return true
	}
	return false
}

// input takes in a path below input. From a part on that is not a constant, it is every path.
func (r *Reads) input(path ast.Ref) {
	for _, p := range []struct {
		path []string
		read *bool
	}{
		{[]string{"time"}, &r.Time},
		{[]string{"identity", "login_ns"}, &r.Login},
		{[]string{"source"}, &r.Source},
		{[]string{"operation", "connect", "params"}, &r.Params},
		{[]string{"operation", "statement", "text"}, &r.Arguments},
		{[]string{"operation", "statement", "args"}, &r.Arguments},
		{[]string{"operation", "statement", "name"}, &r.Arguments},
	} {
		*p.read = *p.read || meet(path, p.path)
	}
}

// meet reports whether one of two paths may begin with the other.
func meet(ref ast.Ref, path []string) bool {
	for i := range min(len(ref), len(path)) {
		s, ok := ref[i].Value.(ast.String)
		if !ok {
			return true
		}
		if string(s) != path[i] {
			return false
		}
	}
	return true
}
