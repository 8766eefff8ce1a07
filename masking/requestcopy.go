package masking

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/proxy"
)

// copyRequest is what rules about requests find in the rows that a client copies.
type copyRequest struct {
	session *session
	op      *proxy.Statement
	shape   *proxy.Shape
	fields  []sentValue // of a row
	row     int
	p       inspector
	notes   *laterNotes
}

// newCopyRequest returns what looks at the rows of st's COPY; nil when no rule does.
func (x *session) newCopyRequest(st *proxy.Statement, shape *proxy.Shape, targets []target) *copyRequest {
	if x.view.requests == nil {
		return nil
	}
	c := &copyRequest{session: x, op: st, shape: shape, fields: make([]sentValue, len(shape.Columns)), p: newInspector(x.view, nil)}
	for i := range targets {
		t := &targets[i]
		for _, s := range t.fill.Values {
			if s.Kind == proxy.SourceField && s.N < len(c.fields) {
				c.fields[s.N].uses = append(c.fields[s.N].uses, sentUse{t, s})
			}
		}
	}
	c.notes = x.later(st)
	return c
}

// unseen answers data of which the gateway cannot tell the rows.
func (c *copyRequest) unseen() *proxy.Verdict {
	says := c.session.view.requests.all
	if says.Requests == RequestsObserve {
		c.notes.add(says.rule, "", "the rows of several COPYs in one text were not looked at")
		return nil
	}
	v := proxy.Deny(proxy.CauseMasking, says.rule, "the gateway cannot tell apart the rows of this COPY, and a rule is about values in them", "Send each COPY by itself.")
	return &v
}

// see judges a row, and replaces what is tokenised in it.
func (c *copyRequest) see(r *proxy.Row) error {
	c.row++
	x := c.session
	for i := range r.Len() {
		if i >= len(c.fields) {
			break // the server refuses the row
		}
		v := r.Value(i)
		if v == nil {
			continue
		}
		f := &c.fields[i]
		oid := uint32(0)
		if len(f.uses) > 0 {
			oid = f.uses[0].oid
		}
		a := proxy.Arg{Value: v, Type: oid, Binary: c.shape.Columns[i].Binary}
		if f.text, f.opaque = sentText(&a, oid); f.opaque {
			says := x.view.requests.all
			if says.Requests >= RequestsTokenise {
				return refusedError(refusedRequest(says, "a value that the gateway cannot read in "+c.place(i)))
			}
			c.notes.add(says.rule, "", c.place(i)+" was not looked at: its format is not known")
			continue
		}
		f.found = f.found[:0]
		f.find(x, &c.p)
		if err := c.judge(r, i, a); err != nil {
			return err
		}
	}
	return nil
}

// judge answers what was found in the field i of r.
func (c *copyRequest) judge(r *proxy.Row, i int, a proxy.Arg) error {
	f := &c.fields[i]
	replaces := false
	for _, x := range f.found {
		switch x.says.Requests {
		case RequestsRefuse:
			return refusedError(refusedRequest(x.says, sentWhat(x.typ)+" in "+c.place(i)))
		case RequestsTokenise:
			replaces = true
		default:
			c.notes.add(x.says.rule, x.typ, "in "+c.place(i))
		}
	}
	if !replaces {
		return nil
	}
	v, why := f.tokens(c.session, a)
	if why != "" {
		k := slices.IndexFunc(f.found, func(x sentFinding) bool { return x.says.Requests == RequestsTokenise })
		return refusedError(notTokenised(&f.found[k], c.place(i), why))
	}
	if !bytes.Equal(v, a.Value) {
		r.Set(i, v)
		c.session.count(c.op).add(f.found[0].typ)
	}
	return nil
}

func (c *copyRequest) place(i int) string {
	at := "row " + strconv.Itoa(c.row) + " of the COPY"
	if uses := c.fields[i].uses; len(uses) > 0 && uses[0].fill.Column != "*" {
		return at + ", for column " + strconv.Quote(uses[0].fill.Column)
	}
	return at + ", field " + strconv.Itoa(i+1)
}
