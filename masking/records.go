package masking

import (
	"bytes"

	"github.com/sallyport/sallyport/detect"
)

// records are those of CSV (RFC 4180) or of tab-separated values. The first one
// names the columns.
type records struct {
	p         inspector
	separator byte
	begun     bool
	columns   []recordColumn
	cell      []byte
}

type recordColumn struct {
	topics detect.Topics
	whole  bool
	typ    detect.Type
	with   treatment
}

func (r *records) units(b []byte) int {
	end, inside := 0, false
	for i, c := range b {
		switch {
		case c == '"':
			inside = !inside
		case c == '\n' && !inside:
			end = i + 1
		}
	}
	return end
}

func (r *records) append(dst, units []byte, n *counts, _ bool) []byte {
	column, first := 0, !r.begun
	if first && r.separator == ',' {
		line, _, _ := bytes.Cut(units, []byte("\n"))
		if bytes.IndexByte(line, ',') < 0 && bytes.IndexByte(line, ';') >= 0 {
			r.separator = ';'
		}
	}
	for i := 0; i < len(units); {
		start, inside := i, false
		for ; i < len(units) && (inside || units[i] != r.separator && units[i] != '\n'); i++ {
			if units[i] == '"' {
				inside = !inside
			}
		}
		end := i
		if end > start && units[end-1] == '\r' && i < len(units) && units[i] == '\n' {
			end--
		}
		dst = r.field(dst, units[start:end], column, first, n)
		if i == len(units) {
			break
		}
		dst = append(dst, units[end:i+1]...)
		column++
		if units[i] == '\n' {
			column, first, r.begun = 0, false, true
		}
		i++
	}
	return dst
}

// field appends one field masked.
func (r *records) field(dst, f []byte, column int, first bool, n *counts) []byte {
	quoted := len(f) > 1 && f[0] == '"' && f[len(f)-1] == '"'
	text := f
	if quoted {
		text = bytes.ReplaceAll(f[1:len(f)-1], []byte(`""`), []byte(`"`))
	}
	var c recordColumn
	if first {
		r.columns = append(r.columns, r.decide(string(bytes.TrimSpace(text))))
	} else if column < len(r.columns) {
		c = r.columns[column]
	}
	if len(text) == 0 {
		return append(dst, f...)
	}
	changed := false
	r.cell = r.cell[:0]
	if c.whole {
		n.add(c.typ)
		changed = true
		if c.with.Transform != Null {
			r.cell = r.p.view.masker.appendMasked(r.cell, text, c.typ, c.with)
		}
	} else {
		isJSON := likeJSON(text)
		r.p.find(text, c.topics, isJSON)
		r.cell, changed, _ = r.p.appendMasked(r.cell, text, isJSON, false, n)
	}
	if !changed {
		return append(dst, f...)
	}
	if !quoted && bytes.IndexByte(r.cell, r.separator) < 0 && !bytes.ContainsAny(r.cell, "\"\r\n") {
		return append(dst, r.cell...)
	}
	dst = append(dst, '"')
	dst = append(dst, bytes.ReplaceAll(r.cell, []byte(`"`), []byte(`""`))...)
	return append(dst, '"')
}

// decide says what is done with the column of that name.
func (r *records) decide(name string) recordColumn {
	c := recordColumn{topics: r.p.view.masker.detector.Topics(name)}
	if t, ok := r.p.view.typeOfKey([]byte(name)); ok {
		c.whole, c.typ, c.with = true, t, r.p.view.treatmentOfKey(name, t)
	}
	return c
}
