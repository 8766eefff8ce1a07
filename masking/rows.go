package masking

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// rows masks the rows of one result.
type rows struct {
	inspector
	columns []column
	counts  *counts
	failed  error        // an analyzer could not be asked
	parts   []part       // of an array or a row
	codes   detect.Codes // of values that are one word; made with the first
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
		case c.plan == nil && (c.kind == kindBool || c.kind == kindPlain || !f.view.scans && c.kind != kindJSON && c.kind != kindText):
		default:
			if c.plan != nil {
				if v = c.plan.hide(v, c.kind == kindJSON, c.oid == oidXML); c.plan.hidden {
					c.plan.hidden = false
					f.counts.add(taintedValue)
					r.Set(i, v)
				}
			}
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
		f.hide(r, i, c, c.with.Transform == Null)
		return
	}
	r.Set(i, c.buf)
}

// hide puts the column's neutral value, or NULL, in the place of a value. null says that
// a rule asks for NULL.
func (f *rows) hide(r *proxy.Row, i int, c *column, null bool) {
	if null {
		r.Set(i, nil)
		return
	}
	r.Set(i, c.neutral)
}

// nulls reports whether a rule asks for NULL in the place of something that was found.
func (f *rows) nulls() bool {
	return slices.ContainsFunc(f.found, func(x detect.Finding) bool { return f.view.transform(x.Type) == Null })
}

// remember notes a value of a masked column, in the form that texts have it in.
func (f *rows) remember(c *column, v []byte) {
	switch c.kind {
	case kindText, kindUnknown:
		if elementsOf[c.oid] == nil && (c.kind == kindText || onlyText(v)) {
			f.seen.add(v)
		}
	case kindNumber, kindTime:
		var ok bool
		if f.plain, ok = c.appendScanned(f.plain[:0], v); !ok {
			return
		}
		if v = f.plain; c.kind == kindTime {
			v = v[:min(len(v), len(time.DateOnly))]
		}
		f.seen.add(v)
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
			var ok bool
			if f.plain, ok = c.appendScanned(f.plain[:0], v); ok && shortNumber(f.plain) {
				return
			}
		}
	}
	if c.kind == kindBool && f.view.mode == Display {
		return
	}
	f.counts.add(c.typ)
	if c.null {
		f.hide(r, i, c, false)
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
	if c.kind == kindText || c.kind == kindJSON {
		f.text(r, i, c, v)
		return
	}
	var ok bool
	f.parts = f.parts[:0]
	switch {
	case c.kind == kindNested && c.binary && c.oid != oidRecord:
		f.plain, ok = appendArray(f.plain[:0], v, 0, &f.parts)
	case c.kind == kindNested && c.binary:
		f.plain, ok = appendRecord(f.plain[:0], v, 0, &f.parts)
	case c.kind == kindUnknown && (onlyText(v) || likeJSON(v[version(v):]) && onlyText(v[1:])):
		f.text(r, i, c, v)
		return
	default:
		f.plain, ok = c.appendScanned(f.plain[:0], v)
	}
	if !ok {
		f.hide(r, i, c, false)
		return
	}
	if !f.finds(c, f.plain) {
		return
	}
	if c.buf, ok = f.appendParts(c.buf[:0], v); !ok {
		f.hide(r, i, c, f.nulls())
		return
	}
	r.Set(i, c.buf)
}

// version returns how many bytes come before the JSON text in v, a value of jsonb
// in binary format.
func version(v []byte) int {
	if v[0] == 1 {
		return 1
	}
	return 0
}

// appendParts appends v, an array or a row in binary format, with what was found in
// its texts hidden. It is false when something else was found.
func (f *rows) appendParts(dst, v []byte) ([]byte, bool) {
	at, parts := 0, f.parts
	for k := 0; k < len(f.found); {
		x := f.found[k]
		if f.view.transform(x.Type) == Visible {
			k++
			continue
		}
		for len(parts) > 0 && parts[0].to <= x.Start {
			parts = parts[1:]
		}
		if len(parts) == 0 || !parts[0].text || x.Start < parts[0].from || x.End > parts[0].to {
			return dst, false
		}
		p := parts[0]
		length := len(dst) + p.start - 4 - at
		dst = append(dst, v[at:p.start]...)
		from := p.start
		if !p.verbatim { // what was found may begin with half an escape
			dst = append(dst, hidden...)
			from = p.end
		}
		for ; k < len(f.found) && f.found[k].Start < p.to; k++ {
			x := f.found[k]
			how := f.view.treatment(x.Type)
			if how.Transform == Visible || !p.verbatim {
				continue
			}
			if how.Transform == Null || x.End > p.to {
				return dst, false
			}
			start, end := p.start+x.Start-p.from, p.start+x.End-p.from
			dst = append(dst, v[from:start]...)
			dst = f.view.masker.appendMasked(dst, v[start:end], x.Type, how)
			from = end
		}
		dst = append(dst, v[from:p.end]...)
		binary.BigEndian.PutUint32(dst[length:], uint32(len(dst)-length-4))
		at = p.end
		parts = parts[1:]
	}
	return append(dst, v[at:]...), at > 0
}

// finds reports whether w holds something that is masked, and counts it.
func (f *rows) finds(c *column, w []byte) (some bool) {
	f.found = f.found[:0]
	if (c.kind != kindNumber && c.kind != kindTime) || !f.view.masker.detector.Trivial(w, c.topics) {
		f.found = f.finder.Find(f.found, w, c.topics)
	}
	if c.wordless() {
		f.found = slices.DeleteFunc(f.found, func(x detect.Finding) bool { return x.Type.Prose() })
	}
	f.found = c.weigher.Weigh(f.found, w)
	f.promote(c, w)
	f.again(w)
	if likeJSON(w) { // and an array looks like it
		f.fields(w, &jsonVisitor{})
	}
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
		if t := f.found[0].Type; (t == c.typ || c.hits == 0) && !each(t) {
			c.typ = t
			c.hits++
		}
	}
	if c.seen >= promoteAfter && c.hits*5 >= c.seen*4 {
		if how := f.view.treatment(c.typ); how.Transform != Visible {
			c.whole, c.why, c.with = true, &ofValues, how
		}
	}
}

// text masks the parts of v that are found.
func (f *rows) text(r *proxy.Row, i int, c *column, v []byte) {
	prefix := 0
	if c.binary && (c.oid == oidJSONB || c.kind == kindUnknown) {
		prefix = version(v)
	}
	w := v[prefix:]
	isJSON := c.kind == kindJSON || likeJSON(w)
	f.found = f.finder.Find(f.found[:0], w, c.topics)
	f.found = c.weigher.Weigh(f.found, w)
	f.promote(c, w)
	f.again(w)
	if c.asked != nil {
		f.ask(c, w)
	}
	if len(f.found) == 0 {
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

// decode finds w when it is one word of base64 or hex that something masked is in.
func (f *rows) decode(w []byte) {
	if f.codes.Detector == nil {
		f.codes = detect.Codes{Detector: f.view.masker.detector, Wants: f.view.hides}
	}
	t, ok := f.codes.Word(w)
	if !ok {
		return
	}
	if f.view.hides(detect.Secret) {
		t = detect.Secret // no part of it is kept: parts of the word are parts of the value
	}
	f.found = append(f.found, detect.Finding{End: len(w), Type: t, Score: 90})
}
