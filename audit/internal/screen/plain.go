package screen

// Plain leaves of a terminal's output the text. The zero Plain is at the
// beginning of a stream.
type Plain struct {
	screen Screen
	buf    []byte
}

// Append appends the text of src to dst: characters, spaces, tabs and line
// breaks. Sequences and characters may be cut between calls.
func (p *Plain) Append(dst, src []byte) []byte {
	p.buf = p.screen.Append(p.buf[:0], src)
	from := 0 // of the text that is not appended yet
	for i := 0; i < len(p.buf); i++ {
		c := p.buf[i]
		if c >= 0x20 || c == '\n' || c == '\t' {
			continue
		}
		dst = append(dst, p.buf[from:i]...)
		if c == 0x1b { // Screen passes on whole sequences, and few kinds
			i++
			if i < len(p.buf) && p.buf[i] == '[' {
				for i++; i < len(p.buf) && (p.buf[i] < 0x40 || p.buf[i] > 0x7e); i++ {
				}
			} else if i < len(p.buf) && p.buf[i] < 0x30 {
				i++
			}
		}
		from = min(i+1, len(p.buf))
	}
	return append(dst, p.buf[from:]...)
}
