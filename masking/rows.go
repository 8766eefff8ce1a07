package masking

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// rows masks the rows of one result.
type rows struct {
	inspector
	columns []column
	counts  *counts
	failed  error  // an analyzer could not be asked
	codes   *codes // of values that are one word; nil until there is one
}

var errColumns = errors.New("a row does not have the columns that the server announced, so it cannot be masked")

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
			if f.failed != nil {
				return f.failed
			}
		}
	}
	return nil
}

// replace masks v whole.
func (f *rows) replace(r *proxy.Row, i int, c *column, v []byte) {
	f.counts.add(c.typ)
	f.remember(c, v)
	var ok bool
	if c.buf, ok = f.view.masker.appendCell(c.buf[:0], c, v); !ok {
		r.Set(i, nil)
		return
	}
	r.Set(i, c.buf)
}

// remember notes a value of a masked column, in the form that texts have it in.
func (f *rows) remember(c *column, v []byte) {
	switch c.kind {
	case kindText:
		if !postgresArrays[c.oid] {
			f.seen.add(v)
		}
	case kindNumber:
		if c.binary {
			f.plain = decimal(f.plain[:0], v, c.oid)
			v = f.plain
		}
		f.seen.add(v)
	case kindTime:
		if c.binary {
			t, ok := binaryTime(v, c.oid)
			if !ok {
				return
			}
			f.plain = t.AppendFormat(f.plain[:0], time.DateOnly)
			v = f.plain
		}
		f.seen.add(v[:min(len(v), len(time.DateOnly))])
	}
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
	f.promote(c, w)
	f.again(w)
	for k := range f.found {
		if t := f.found[k].Type; f.view.transform(t) != Visible {
			f.counts.add(t)
			some = true
		}
	}
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
	isJSON := c.kind == kindJSON || likeJSON(w)
	f.found = f.scan.run(f.found[:0], w, c.topics)
	f.promote(c, w)
	f.again(w)
	if c.asked != nil {
		f.ask(c, w)
	}
	if len(f.found) == 0 && len(w) >= leastCode && oneWord(w) {
		f.decode(w)
	}
	if isJSON {
		f.members = c.members
		f.fields(w, c.visitor())
		f.members = nil
	}
	if len(f.found) == 0 {
		return
	}
	out, changed, null := f.appendMasked(append(c.buf[:0], v[:prefix]...), w, isJSON, c.kind == kindJSON, f.counts)
	c.buf = out
	switch {
	case null:
		r.Set(i, nil)
	case changed:
		r.Set(i, out)
	}
}
