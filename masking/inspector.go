package masking

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/jsontext"
)

// inspector finds what is masked in a text and hides it. It is used by one
// goroutine; its buffers are valid until it is used again.
type inspector struct {
	view    *view
	seen    *remembered            // nil: nothing is remembered
	members map[string]detect.Type // of one column of JSON, by key in lower case
	keys    map[string]struct{}    // of JSON, beside those that name what is masked; in lower case
	finder  detect.Finder
	found   []detect.Finding

	known *[64]knownKey // what was said of keys of JSON before

	plain []byte     // a value in another form, to be scanned
	inner *inspector // of JSON within strings of JSON
	depth int        // of that
}

func newInspector(v *view, seen *remembered) inspector {
	return inspector{view: v, seen: seen, finder: detect.Finder{Detector: v.masker.detector}}
}

// find sets found to what is masked in w, and to what is found and not masked. w
// is JSON or a plain text.
func (p *inspector) find(w []byte, topics detect.Topics, isJSON bool) {
	p.found = p.finder.Find(p.found[:0], w, topics)
	p.again(w)
	if isJSON {
		p.fields(w, &jsonVisitor{})
	}
}

// findJSON is find for a part of a JSON text that visitor has come to.
func (p *inspector) findJSON(w []byte, visitor *jsonVisitor) {
	p.found = p.finder.Find(p.found[:0], w, 0)
	p.again(w)
	p.fields(w, visitor)
}

// again adds to the findings in w those that were seen in masked columns before, and takes
// away those in tokens that are stored.
func (p *inspector) again(w []byte) {
	if n := len(p.found); p.seen != nil && p.seen.table.Load() != nil {
		p.found = p.view.merge(p.seen.find(p.found, w), n)
	}
	p.found = p.view.exceptStored(p.found, w)
}

// maxNestedJSON bounds how deep JSON within strings of JSON is followed.
const maxNestedJSON = 3

// fields adds the values of a JSON text whose keys say what they hold, and the
// strings that hold something behind their escapes. They take the place of what
// was found in them.
func (p *inspector) fields(w []byte, visitor *jsonVisitor) {
	n := len(p.found)
	visitor.visit(w, p)
	if len(p.found) == n {
		return
	}
	for k, j := 0, n; k < n; k++ { // both are in order
		x := &p.found[k]
		for j < len(p.found) && p.found[j].End <= x.Start {
			j++
		}
		if j < len(p.found) && p.found[j].Start < x.End {
			x.Start, x.End = p.found[j].Start, p.found[j].Start
		}
	}
	p.found = slices.DeleteFunc(p.found, func(x detect.Finding) bool { return x.Start == x.End })
	slices.SortFunc(p.found, func(a, b detect.Finding) int { return cmp.Compare(a.Start, b.Start) })
}

// named takes the bounds of a value that a key says is masked.
func (p *inspector) named(start, end int, t detect.Type) {
	p.found = append(p.found, detect.Finding{Start: start, End: end, Type: t, Score: 100})
}

// escaped takes the bounds of the inside of a JSON string that has escapes.
func (p *inspector) escaped(src []byte, start, end int) {
	if p.depth == maxNestedJSON {
		p.named(start, end, taintedValue) // nobody writes that
		return
	}
	if p.inner == nil {
		inner := newInspector(p.view, p.seen)
		inner.depth, inner.keys = p.depth+1, p.keys
		p.inner = &inner
	}
	p.inner.plain = appendUnescaped(p.inner.plain[:0], src[start:end])
	p.inner.find(p.inner.plain, 0, likeJSON(p.inner.plain))
	for _, x := range p.inner.found {
		if p.view.transform(x.Type) != Visible {
			p.named(start, end, x.Type)
			return
		}
	}
}

// appendMasked appends w with what was found in it hidden. isJSON says that w is
// JSON, typed that it must stay it. null says that the whole must become NULL,
// where there is one.
func (p *inspector) appendMasked(dst, w []byte, isJSON, typed bool, n *counts) (out []byte, changed, null bool) {
	at := 0
	cursor := jsonCursor{src: w}
	for _, x := range p.found {
		how := p.view.treatment(x.Type)
		if how.Transform == Visible || x.Start < at {
			continue
		}
		n.add(x.Type)
		changed, null = true, null || how.Transform == Null
		switch {
		case isJSON && !cursor.inside(x.Start) && (typed || isDigit(w[x.Start])):
			x.Start, x.End = jsontext.BareToken(w, max(x.Start, at), x.End)
			x.Start = max(x.Start, at)
			dst = append(append(dst, w[at:x.Start]...), "null"...)
		case isJSON && hasEscape(w[x.Start:x.End]):
			dst = append(append(dst, w[at:x.Start]...), hidden...) // half an escape would not be JSON
		default:
			dst = append(dst, w[at:x.Start]...)
			dst = p.view.masker.appendMasked(dst, w[x.Start:x.End], x.Type, how)
		}
		at = x.End
	}
	return append(dst, w[at:]...), changed, null
}

// typeOfKey returns the type of the values of a key.
func (p *inspector) typeOfKey(key []byte) (detect.Type, bool) {
	if t, ok := p.typeOfKnown(key); ok {
		return t, true
	}
	if len(p.members) > 0 {
		if t, ok := p.members[strings.ToLower(string(key))]; ok {
			return t, true
		}
	}
	return Column, len(p.keys) > 0 && among(p.keys, string(key))
}

// knownKey is what a view says of a key. Texts have few different ones, over and
// over.
type knownKey struct {
	name [31]byte
	n    uint8 // bytes of name
	typ  detect.Type
	ok   bool
}

// typeOfKnown is view.typeOfKey, which does not change, but for short keys asks it
// once.
func (p *inspector) typeOfKnown(key []byte) (detect.Type, bool) {
	n := len(key)
	if n == 0 || n > len(knownKey{}.name) {
		return p.view.typeOfKey(key)
	}
	if p.known == nil {
		p.known = &[64]knownKey{}
	}
	k := &p.known[(int(key[0])+7*int(key[n-1])+31*int(key[n/2])+n)%len(p.known)]
	if string(k.name[:k.n]) != string(key) {
		k.n = uint8(copy(k.name[:], key))
		k.typ, k.ok = p.view.typeOfKey(key)
	}
	return k.typ, k.ok
}

// typeOfKey returns the type of the values of a key in structured text.
func (v *view) typeOfKey(key []byte) (detect.Type, bool) {
	name := string(key)
	t, ok := v.masker.detector.TypeOfName(name)
	if ok && v.transform(t) != Visible {
		return t, true
	}
	for i := range v.columns {
		if v.columns[i].named(name) {
			return Column, true
		}
	}
	return "", false
}

// treatmentOfKey returns what is done with the values of a key, of which typeOfKey
// has said that they are masked as type t.
func (v *view) treatmentOfKey(name string, t detect.Type) treatment {
	how := treatment{Transform: Visible}
	for i := range v.columns {
		if v.columns[i].named(name) {
			how = stricter(how, v.columns[i].with)
		}
	}
	if how.Transform == Visible {
		how = v.treatment(t)
	}
	return how
}

// likeJSON reports whether a text looks like a JSON object or a list of them.
func likeJSON(w []byte) bool {
	return len(w) > 8 && (w[0] == '{' || w[0] == '[' && (w[1] == '{' || w[1] == '"'))
}
