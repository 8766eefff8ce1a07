package masking

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// sentNotes are what rules only observe of one operation.
type sentNotes []sentNote

type sentNote struct {
	rule  string
	typ   detect.Type
	place string // the first
	n     uint64
}

// add notes a value of type t; without one, that something was not looked at, as place says.
func (l *sentNotes) add(rule string, t detect.Type, place string) {
	i := slices.IndexFunc(*l, func(n sentNote) bool { return n.rule == rule && n.typ == t && (t != "" || n.place == place) })
	if i < 0 {
		*l = append(*l, sentNote{rule: rule, typ: t, place: place, n: 1})
		return
	}
	(*l)[i].n++
}

// leave leaves the notes on record.
func (l sentNotes) leave(ctx context.Context, x *session, op proxy.Op) proxy.Verdict {
	for i := range l {
		n := &l[i]
		text := n.place
		if n.typ != "" {
			text = sentWhat(n.typ) + " was sent " + n.place
			if n.n > 1 {
				text += ", and " + strconv.FormatUint(n.n-1, 10) + " more"
			}
		}
		note := &proxy.Note{Kind: proxy.NoteObserved, By: x.view.masker.Name(), Rule: cmp.Or(n.rule, "requests"), Text: text, Type: string(n.typ), Count: n.n}
		if err := x.session.Note(ctx, op, note); err != nil {
			return proxy.Deny(proxy.CauseInternal, n.rule, "this is refused because the gateway could not record what it sends", "")
		}
	}
	return proxy.Pass()
}
