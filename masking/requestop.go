package masking

import (
	"bytes"
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// What is asked besides statements has its values in a command line, a typed line or
// arguments. Nothing in them can be replaced, so who would tokenise refuses.

// sends judges what an operation other than a statement sends.
func (x *session) sends(ctx context.Context, op proxy.Op) proxy.Verdict {
	if x.view.requests == nil {
		return proxy.Pass()
	}
	p := newInspector(x.view, nil)
	var notes sentNotes
	look := func(v []byte, place string) proxy.Verdict {
		for _, f := range x.judgedIn(&p, v, nil) {
			says := x.view.requestsOf(f.Type)
			if says.Requests >= RequestsTokenise {
				return refusedRequest(says, sentWhat(f.Type)+" "+place)
			}
			notes.add(says.rule, f.Type, place)
		}
		return proxy.Pass()
	}
	v := proxy.Pass()
	switch o := op.(type) {
	case *proxy.Exec:
		place := "in the command line"
		if o.Kind == proxy.KindInput {
			place = "in a typed line"
		}
		v = look([]byte(o.Command), place)
	case *proxy.Call:
		for i := 0; i < len(o.Args) && !v.Refuses(); i++ {
			v = look(bytes.Join([][]byte{[]byte(o.Name), o.Args[i]}, []byte("=")), "in an argument of "+o.Name)
		}
	}
	if v.Refuses() {
		return v
	}
	return notes.leave(ctx, x, op)
}
