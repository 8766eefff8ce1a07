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
	v := proxy.Pass()
	switch o := op.(type) {
	case *proxy.Exec:
		place := "in the command line"
		if o.Kind == proxy.KindInput {
			place = "in a typed line"
		}
		v = x.sentIn(&p, []byte(o.Command), place, &notes)
	case *proxy.Call:
		for i := 0; i < len(o.Args) && !v.Refuses(); i++ {
			v = x.sentIn(&p, bytes.Join([][]byte{[]byte(o.Name), o.Args[i]}, []byte("=")), "in an argument of "+o.Name, &notes)
		}
	}
	if v.Refuses() {
		return v
	}
	return notes.leave(ctx, x, op)
}
