package masking

// AppendMasked appends src to dst with every value that is found in it, and that the
// default set masks, masked in part, and returns it.
func (m *Masker) AppendMasked(dst, src []byte) []byte { return m.AppendMaskedNamed(dst, src, "") }

// AppendMaskedNamed is AppendMasked for the value of a column or field of that
// name: masked whole when the name says what it holds.
func (m *Masker) AppendMaskedNamed(dst, src []byte, name string) []byte {
	if t, ok := m.scanner.typeOfName(name); ok && name != "" {
		return m.AppendMaskedAs(dst, src, t)
	}
	from := 0
	for _, f := range m.scanner.ScanNamed(nil, src, m.scanner.Topics(name)) {
		if !personal(f.Type) {
			continue
		}
		dst = append(dst, src[from:f.Start]...)
		dst = m.appendMasked(dst, src[f.Start:f.End], f.Type, treatment{})
		from = f.End
	}
	return append(dst, src[from:]...)
}

// AppendMaskedAs appends v to dst, masked in part as one value of type t, and
// returns it.
func (m *Masker) AppendMaskedAs(dst, v []byte, t Type) []byte {
	if len(v) == 0 {
		return dst
	}
	return m.appendMasked(dst, v, t, treatment{})
}
