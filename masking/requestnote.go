package masking

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

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

// laterNotes are notes of data that flows, which are left when its operation ends.
type laterNotes struct {
	mu   sync.Mutex
	list sentNotes
}

func (l *laterNotes) add(rule string, t detect.Type, place string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list.add(rule, t, place)
}

// later returns the notes that are left when op ends.
func (x *session) later(op proxy.Op) *laterNotes {
	id := op.Info().ID
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.notes[id]
	if l == nil {
		if x.notes == nil {
			x.notes = make(map[uint64]*laterNotes)
		}
		l = &laterNotes{}
		x.notes[id] = l
	}
	return l
}

// leave leaves the notes of an operation that has ended; nil has none.
func (l *laterNotes) leave(ctx context.Context, x *session, op proxy.Op) {
	if l == nil {
		return
	}
	l.mu.Lock()
	list := l.list
	l.list = nil
	l.mu.Unlock()
	_ = list.leave(ctx, x, op) // a note that cannot be kept has ended the session
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
