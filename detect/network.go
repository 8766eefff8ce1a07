package detect

import "bytes"

// ipv4 finds an address whose first part is group g and returns the group
// after it, or g. Addresses that point at nobody are passed over.
func (s *scan) ipv4(g int) int {
	if g+3 >= s.n {
		return g
	}
	var part [4]int
	for k := range part {
		l := s.length(g + k)
		if l > 3 || k > 0 && s.groups[g+k].sep != '.' {
			return g
		}
		d := s.digits[s.groups[g+k].digit : s.groups[g+k].digit+l]
		if part[k] = number(d); part[k] > 255 || l > 1 && d[0] == 0 {
			return g
		}
	}
	last := g + 3
	end := s.groups[last].end
	if last+1 < s.n {
		if sep := s.groups[last+1].sep; sep == '.' || sep == '-' {
			return g // 1.2.3.4.5, 1.2.3.4-5
		}
	} else if c := s.at(end); isAlnum(c) || c == '_' || (c == '-' || c == '.' || c == '+' || c == '~') && isAlnum(s.at(end+1)) {
		return g
	}
	start := s.groups[g].start
	if s.at(start-1) == ':' && isDigit(s.at(start-2)) && s.at(start-3) <= ' ' { // a version after its epoch, as in 2:1.2.3.4
		return last + 1
	}
	if ofDocuments(part[0], part[1], part[2]) {
		return last + 1
	}
	if near := s.context(start).near; near&aboutVersion != 0 && near&aboutIP == 0 {
		return last + 1
	}
	s.emit(start, end, local(IP, localIPv4(part[0], part[1])), 85)
	return last + 1
}

// local returns the type of an address of type t, of which is known whether it is
// local.
func local(t Type, yes bool) Type {
	switch {
	case !yes:
		return t
	case t == IP:
		return LocalIP
	}
	return LocalMAC
}

// colon looks at the colon at i: a hardware or IPv6 address, a URL with a
// password, or a key and its value.
func (s *scan) colon(i int) int {
	if s.at(i+1) == '/' && s.at(i+2) == '/' {
		return s.userinfo(i + 3)
	}
	if s.at(i+1) == '*' && s.at(i+2) == ':' || s.at(i+1) == '5' && bytes.HasPrefix(s.src[i:], []byte(":5432:")) {
		if to := s.passFile(i); to > i {
			return to
		}
	}
	if next := s.at(i + 1); next == ':' || isHex(next) && isHex(s.at(i-1)) {
		if s.at(i+3) == ':' && s.at(i+6) == ':' {
			if to := s.mac(i - 2); to > i {
				return to
			}
		}
		if to := s.ipv6(i); to > i {
			return to
		}
	}
	if to := s.assigned(i); to > i+1 || s.at(i+1) <= ' ' {
		return to
	}
	return max(s.used(i), i+1)
}

// mac finds a hardware address at start and returns its end, or start.
func (s *scan) mac(start int) int {
	if start < s.floor || start+17 > len(s.src) {
		return start
	}
	w := s.src[start : start+17]
	sep := w[2]
	zero := true
	for i, c := range w {
		if i%3 == 2 {
			if c != sep {
				return start
			}
			continue
		}
		if !isHex(c) {
			return start
		}
		zero = zero && c == '0'
	}
	if before, after := s.at(start-1), s.at(start+17); zero || isAlnum(before) || isAlnum(after) || before == sep && !s.label(start-1) || after == sep ||
		sep != ':' && sep != '-' {
		return start
	}
	if s.endsDump(start, start+17) {
		return start + 17
	}
	first, third := hexValue(w[0])<<4|hexValue(w[1]), hexValue(w[6])<<4|hexValue(w[7])
	second := hexValue(w[3])<<4 | hexValue(w[4])
	s.emit(start, start+17, local(MAC, localMAC(first, second, third) || s.ofInterface(start)), 85)
	return start + 17
}

// label reports whether the colon at i stands behind a word, as in "MAC:", rather
// than behind a part of an address.
func (s *scan) label(i int) bool {
	if s.at(i) != ':' || i < 1 || !letterByte[s.src[i-1]] {
		return false
	}
	n := 0
	for k := i - 1; k >= 0 && i-k < 6 && letterByte[s.src[k]]; k-- {
		if n++; !isHex(s.src[k]) {
			return true
		}
	}
	return n > 4
}

// hardware finds a hardware address one of whose parts is src[start:end], written
// with dashes or, in three parts, with dots.
func (s *scan) hardware(start, end int) int {
	before, after := s.at(start-1), s.at(end)
	switch {
	case end-start == 2 && (before == '-' || after == '-' || before == ':' || after == ':'):
		for k := start; k > start-18; k -= 3 { // digits may stand in any part
			if to := s.mac(k); to > k {
				return max(to, end)
			}
		}
	case end-start == 4 && (before == '.' || after == '.'):
		for k := start; k > start-15; k -= 5 {
			if to := s.dottedMAC(k); to > k {
				return max(to, end)
			}
		}
	}
	return start
}

// dottedMAC finds a hardware address in three parts at start, with a letter in
// it, and returns its end, or start.
func (s *scan) dottedMAC(start int) int {
	if start < s.floor || start+14 > len(s.src) {
		return start
	}
	letter := false
	for i, c := range s.src[start : start+14] {
		if i%5 == 4 {
			if c != '.' {
				return start
			}
			continue
		}
		if !isHex(c) {
			return start
		}
		letter = letter || !isDigit(c)
	}
	before, after := s.at(start-1), s.at(start+14)
	if !letter || isAlnum(before) || isAlnum(after) || before == '.' || after == '.' && isAlnum(s.at(start+15)) {
		return start
	}
	w := s.src[start:]
	first, second, third := hexValue(w[0])<<4|hexValue(w[1]), hexValue(w[2])<<4|hexValue(w[3]), hexValue(w[5])<<4|hexValue(w[6])
	s.emit(start, start+14, local(MAC, localMAC(first, second, third) || s.ofInterface(start)), 82)
	return start + 14
}

// ipv6 finds an address around the colon at i and returns its end, or i.
func (s *scan) ipv6(i int) int {
	src := s.src
	start := i
	for start > s.floor && i-start < 5 && isHex(src[start-1]) {
		start--
	}
	if i-start > 4 || isAlnum(s.at(start-1)) || s.at(start-1) == ':' && !s.label(start-1) {
		return i
	}
	groups, digits, gap, k := 0, 0, false, start
	for ; k < len(src) && k-start < 40; k++ {
		if c := src[k]; isHex(c) {
			if digits++; digits > 4 {
				return i
			}
			continue
		} else if c != ':' {
			break
		}
		if digits > 0 {
			groups++
		}
		if s.at(k+1) == ':' {
			if gap {
				return i
			}
			gap = true
			k++
		} else if digits == 0 || !isHex(s.at(k+1)) {
			if digits > 0 && k > start {
				groups-- // a colon behind the address
			}
			break
		}
		digits = 0
	}
	if digits > 0 || s.at(k) == ':' && k > start && isHex(s.at(k-1)) {
		groups++
	}
	if gap && s.at(k) == '.' && digits > 0 { // its end is written as an IPv4 address
		if to := s.embedded(k - digits); to > k && groups < 7 {
			if near, unfound := s.ofEmbedded(k - digits); !unfound {
				s.emit(start, to, local(IP, localIPv6(src[start:to]) || near), 85)
			}
			return to
		}
	}
	if k-start == 23 && s.endsDump(start, k) {
		return k
	}
	if isAlnum(s.at(k)) || s.at(k) == '_' || !gap && groups != 8 || gap && (groups < 3 || groups > 7) {
		return i
	}
	first, rest := hextet(src[start:k])
	if second, _ := hextet(rest); first == 0x2001 && second == 0x0db8 || first == 0x3fff && second < 0x1000 {
		return k // documentation
	}
	near := localIPv6(src[start:k])
	if s.at(k) == '%' { // the zone of a link-local address
		for z := k + 1; z < len(src) && z-k < 18 && (isAlnum(src[z]) || src[z] == '.' || src[z] == '-' || src[z] == '_'); z++ {
			k = z + 1
		}
	}
	s.emit(start, k, local(IP, near), 85)
	return k
}

// embedded returns the end of the IPv4 address at i, or i.
func (s *scan) embedded(i int) int {
	k := i
	for part := range 4 {
		if part > 0 {
			if s.at(k) != '.' {
				return i
			}
			k++
		}
		n, from := 0, k
		for k-from < 3 && isDigit(s.at(k)) {
			n = n*10 + int(s.at(k)-'0')
			k++
		}
		if k == from || n > 255 {
			return i
		}
	}
	if isAlnum(s.at(k)) {
		return i
	}
	return k
}

// userinfo finds the password of a URL whose authority begins at i and returns
// where to go on. A password that nobody has encoded may hold any sign: it ends at
// the last @ that a host follows.
func (s *scan) userinfo(i int) int {
	src := s.src
	colon, at := -1, -1
	k := i
	for ; k < len(src) && k-i < 512; k++ {
		c := src[k]
		if c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' {
			break
		}
		if c == ':' && colon < 0 {
			if port := digitRun(src, k+1); port > 0 && port < 6 && s.authorityEnds(k+1+port) {
				break
			}
			colon = k
		}
		if colon < 0 && (c == '@' || c == '/' || c == '?' || c == '#') {
			if c == '@' {
				return k + 1
			}
			return i
		}
		if c == ':' && k > colon && s.at(k+1) == '/' && s.at(k+2) == '/' && at >= 0 { // the next URL
			break
		}
		if c == '@' && s.hostAt(k+1) {
			at = k
		}
	}
	if at < 0 || colon < 0 {
		return i
	}
	if at > colon+1 && !reference(src[colon+1:at]) {
		s.emit(colon+1, at, Password, 96)
	}
	return at + 1
}

// authorityEnds reports whether a URL's host and port end before src[i].
func (s *scan) authorityEnds(i int) bool {
	switch c := s.at(i); c {
	case '/', '?', '#', ',', ')', ']', '}', ';', '.', '\\', '|':
		return true
	case '"', '\'', '<', '>', '`', '&':
		return true
	default:
		return c <= ' '
	}
}

// hostAt reports whether a host's name or address is at i, and its authority ends
// there.
func (s *scan) hostAt(i int) bool {
	k := i
	if s.at(k) == '[' { // an IPv6 address
		return true
	}
	for k-i < 254 && (isAlnum(s.at(k)) || s.at(k) == '.' || s.at(k) == '-' || s.at(k) == '_') {
		k++
	}
	if k == i {
		c := s.at(k)
		return c == '/' || c == ':' || c == '$' || c == '{' || c == '%' || c == '(' // a socket, or a variable
	}
	if s.at(k) == ':' {
		k++
		k += digitRun(s.src, min(k, len(s.src)))
	}
	return s.authorityEnds(k) || s.at(k) == ':' || s.at(k) == '$' || s.at(k) == '{'
}
