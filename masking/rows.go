package masking

import (
	"cmp"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// rows masks the rows of one result.
type rows struct {
	view    *view
	columns []column
	counts  *counts
	scan    scan
	found   []Finding
	plain   []byte // a value in another form, to be scanned
}

var errColumns = errors.New("a row has not the columns that were announced, so it cannot be masked")

// row masks the values of r in place.
func (f *rows) row(r *proxy.Row) error {
	if r.Len() != len(f.columns) {
		return errColumns
	}
	for i := range f.columns {
		v := r.Value(i)
		if len(v) == 0 {
			continue
		}
		c := &f.columns[i]
		switch {
		case c.whole:
			f.replace(r, i, c, v)
		case c.tainted:
			f.doubtful(r, i, c, v)
		case c.kind == kindBool || c.kind == kindPlain || !f.view.scans && c.kind != kindJSON && c.kind != kindText:
		default:
			f.scanned(r, i, c, v)
		}
	}
	return nil
}

// replace masks v whole.
func (f *rows) replace(r *proxy.Row, i int, c *column, v []byte) {
	f.counts.add(c.typ)
	var ok bool
	if c.buf, ok = f.view.masker.appendCell(c.buf[:0], c, v); !ok {
		r.Set(i, nil)
		return
	}
	r.Set(i, c.buf)
}

// doubtful masks a value that may derive from a masked column.
func (f *rows) doubtful(r *proxy.Row, i int, c *column, v []byte) {
	if c.numbers {
		// Counts and sums pass, numbers as long as identifiers do not.
		switch {
		case c.kind == kindPlain:
			return
		case c.kind == kindNumber, c.kind == kindText && c.oid == 0 && !c.binary:
			w := v
			if c.binary {
				f.plain = decimal(f.plain[:0], v, c.oid)
				w = f.plain
			}
			if shortNumber(w) {
				return
			}
		}
	}
	if c.kind == kindBool && f.view.mode == Display {
		return
	}
	f.counts.add(c.typ)
	if c.null {
		r.Set(i, nil)
		return
	}
	c.buf = append(c.buf[:0], hidden...)
	r.Set(i, c.buf)
}

// shortNumber reports whether w is a decimal number of fewer than seven digits.
func shortNumber(w []byte) bool {
	n := 0
	for _, c := range w {
		switch {
		case isDigit(c):
			n++
		case c != '-' && c != '.' && c != '+':
			return false
		}
	}
	return n < 7
}

// scanned masks what is found in v.
func (f *rows) scanned(r *proxy.Row, i int, c *column, v []byte) {
	null := false
	switch c.kind {
	case kindText, kindJSON:
		f.text(r, i, c, v)
		return
	case kindNumber:
		w := v
		if c.binary {
			f.plain = decimal(f.plain[:0], v, c.oid)
			w = f.plain
		}
		null = f.finds(c, w)
	case kindBytes:
		w := v
		if !c.binary {
			f.plain = unhex(f.plain[:0], v)
			w = f.plain
		}
		null = f.finds(c, w)
	case kindArray:
		ok := elements(v, func(oid uint32, value []byte) bool {
			f.plain = decimal(f.plain[:0], value, oid)
			null = null || f.finds(c, f.plain)
			return !null
		})
		null = null || !ok
	case kindTime, kindOpaque:
		null = (c.kind != kindTime || !c.binary) && f.finds(c, v)
	}
	if null {
		r.Set(i, nil)
	}
}

// finds reports whether w holds something that is masked, and counts it.
func (f *rows) finds(c *column, w []byte) (some bool) {
	f.found = f.scan.run(f.found[:0], w, c.topics)
	for k := range f.found {
		if t := f.found[k].Type; f.view.transform(t) != Visible {
			f.counts.add(t)
			some = true
		}
	}
	f.promote(c, w)
	return some
}

// Values of a column are looked at together: when of at least promoteAfter
// values four in five are one finding of one type, all that follow are masked
// as of that type, the ill-formed ones among them too.
const (
	promoteAfter = 16
	promoteUntil = 256
)

func (f *rows) promote(c *column, w []byte) {
	if c.seen >= promoteUntil {
		return
	}
	c.seen++
	if len(f.found) == 1 && f.found[0].Start <= 1 && f.found[0].End >= len(w)-1 {
		if t := f.found[0].Type; t == c.typ || c.hits == 0 {
			c.typ = t
			c.hits++
		}
	}
	if c.seen >= promoteAfter && c.hits*5 >= c.seen*4 {
		if how := f.view.treatment(c.typ); how.Transform != Visible {
			c.whole, c.with = true, how
		}
	}
}

// text masks the parts of v that are found.
func (f *rows) text(r *proxy.Row, i int, c *column, v []byte) {
	prefix := 0
	if c.binary && (c.oid == oidJSONB || c.oid == 0 && v[0] == 1 && likeJSON(v[1:])) {
		prefix = 1 // the version
	}
	w := v[prefix:]
	if c.binary && c.oid == 0 && len(w) == 8 { // perhaps a number, in a copy that does not say
		f.plain = decimal(f.plain[:0], w, oidInt8)
		if f.finds(c, f.plain) {
			r.Set(i, nil)
			return
		}
	}
	f.found = f.scan.run(f.found[:0], w, c.topics)
	f.promote(c, w)
	isJSON := c.kind == kindJSON || likeJSON(w)
	if isJSON {
		f.fields(w)
	}
	if len(f.found) == 0 {
		return
	}
	out, changed := append(c.buf[:0], v[:prefix]...), false
	at := 0
	cursor := jsonCursor{src: w}
	for _, x := range f.found {
		how := f.view.treatment(x.Type)
		if how.Transform == Visible || x.Start < at {
			continue
		}
		f.counts.add(x.Type)
		if how.Transform == Null {
			r.Set(i, nil)
			return
		}
		changed = true
		switch {
		case isJSON && !cursor.inside(x.Start) && (c.kind == kindJSON || isDigit(w[x.Start])):
			x.Start, x.End = bareToken(w, max(x.Start, at), x.End)
			x.Start = max(x.Start, at)
			out = append(append(out, w[at:x.Start]...), "null"...)
		case isJSON && slices.Contains(w[x.Start:x.End], '\\'):
			out = append(append(out, w[at:x.Start]...), hidden...) // half an escape would not be JSON
		default:
			out = append(out, w[at:x.Start]...)
			out = f.view.masker.appendMasked(out, w[x.Start:x.End], x.Type, how)
		}
		at = x.End
	}
	c.buf = append(out, w[at:]...)
	if changed {
		r.Set(i, c.buf)
	}
}

// likeJSON reports whether a text looks like a JSON object or a list of them.
func likeJSON(w []byte) bool {
	return len(w) > 8 && (w[0] == '{' || w[0] == '[' && (w[1] == '{' || w[1] == '"'))
}

// fields adds the values of a JSON text whose keys say what they hold; they
// take the place of what was found in them.
func (f *rows) fields(w []byte) {
	n := len(f.found)
	namedValues(w, f.view.typeOfKey, func(start, end int, t Type) {
		f.found = append(f.found, Finding{start, end, t, 100})
	})
	if len(f.found) == n {
		return
	}
	for k := range n {
		x := &f.found[k]
		for _, y := range f.found[n:] {
			if x.Start < y.End && y.Start < x.End {
				x.Start, x.End = y.Start, y.Start
			}
		}
	}
	f.found = slices.DeleteFunc(f.found, func(x Finding) bool { return x.Start == x.End })
	slices.SortFunc(f.found, func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
}

// typeOfKey returns the type of the values of a key in structured text.
func (v *view) typeOfKey(key []byte) (Type, bool) {
	name := string(key)
	t, ok := typeOfName(name)
	if ok && v.transform(t) != Visible {
		return t, true
	}
	for i := range v.columns {
		if glob(v.columns[i].column, name) {
			return Column, true
		}
	}
	return "", false
}
