package masking

// AppendMasked appends src to dst with every value that is found in it masked in
// part, and returns it.
func (m *Masker) AppendMasked(dst, src []byte) []byte {
	from := 0
	for _, f := range m.scanner.Scan(nil, src) {
		dst = append(dst, src[from:f.Start]...)
		dst = m.appendMasked(dst, src[f.Start:f.End], f.Type, treatment{})
		from = f.End
	}
	return append(dst, src[from:]...)
}

// whole counts the values that are one finding as a whole, by its type, and those
// that are not empty.
func (p *Scanner) whole(topics Topics, values [][]byte) (hits map[Type]int, seen int) {
	hits = make(map[Type]int)
	var found []Finding
	for _, v := range values {
		if len(v) == 0 {
			continue
		}
		seen++
		found = p.ScanNamed(found[:0], v, topics)
		if len(found) == 1 && found[0].Start <= 1 && found[0].End >= len(v)-1 {
			hits[found[0].Type]++
		}
	}
	return hits, seen
}
