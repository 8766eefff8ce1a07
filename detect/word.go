package detect

// maxRun bounds how far a word is followed back from a digit in it.
const maxRun = 64

// wordAt looks at the word of letters and digits around the digit at i, and
// returns where to go on.
func (s *scan) wordAt(i int) int {
	src := s.src
	start := i
	for start > s.seen && i-start < maxRun && isAlnum(src[start-1]) {
		start--
	}
	end := i
	for end < len(src) && isAlnum(src[end]) {
		end++
	}
	s.seen = end
	if start < s.floor || s.at(start-1) == '_' || s.at(end) == '_' {
		return end
	}
	if end-start == 8 && isUUID(src, start) {
		return start + 36
	}
	if end-start == 2 && src[start] == 'v' {
		if to := s.originKey(start); to > end {
			return to
		}
	}
	if n := end - start; n >= 36 && n <= 46 {
		if t := tokenOf(src[start:end]); t != "" {
			s.emit(start, end, t, 95)
			return end
		}
	}
	if to := s.iban(start); to > start {
		s.emit(start, to, IBAN, 95)
		return max(to, end)
	}
	if from := s.formStart(start); from < start {
		if to := s.forms(from); to > from {
			return max(to, end)
		}
	}
	if to := s.forms(start); to > start {
		return max(to, end)
	}
	if to := s.wallet(start, end); to > start {
		return max(to, end)
	}
	if end-start <= 4 {
		if to := s.hardware(start, end); to > start {
			return max(to, end)
		}
	}
	return end
}

// tokenOf returns the type of a word that is a token by its beginning and length,
// of kinds whose beginnings are no good to look for, or "".
func tokenOf(w []byte) Type {
	switch {
	case len(w) == 42 && string(w[:4]) == "4b1d" && mixedCase(w): // ClickHouse
		return CloudKey
	case len(w) == 36 && string(w[:4]) == "dapi" && lowerHexOnly(w[4:]): // Databricks
		return APIToken
	case len(w) == 46 && string(w[:3]) == "oy2": // NuGet
		return APIToken
	}
	return ""
}

func lowerHexOnly(w []byte) bool {
	for _, c := range w {
		if !isDigit(c) && c-'a' >= 6 {
			return false
		}
	}
	return true
}

// originKey finds a key of Cloudflare's for origin certificates, whose beginning
// looks like a version, and returns its end, or start.
func (s *scan) originKey(start int) int {
	const begin = "v1.0-"
	k := start + len(begin)
	if k > len(s.src) || string(s.src[start:k]) != begin {
		return start
	}
	for k < len(s.src) && k-start < 200 && (isHex(s.src[k]) || s.src[k] == '-') {
		k++
	}
	if k-start < 160 {
		return start
	}
	s.emit(start, k, CloudKey, 95)
	return k
}

// isUUID reports whether 36 bytes from start on are a UUID.
func isUUID(src []byte, start int) bool {
	if len(src)-start < 36 {
		return false
	}
	for i, c := range src[start : start+36] {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isHex(c) {
			return false
		}
	}
	return true
}

// forms tries the forms of words at start and emits the best value. It returns
// its end, or start.
func (s *scan) forms(start int) int {
	src := s.src
	if start < s.floor || start >= len(src) {
		return start
	}
	if c := s.at(start - 1); isAlnum(c) || c == '_' || (c == '-' || c == '.' || c == '/') && isAlnum(s.at(start-2)) {
		return start
	}
	kind, lead := 0, start
	if isDigit(src[start]) {
		for lead < len(src) && lead-start < maxWord && isDigit(src[lead]) {
			lead++
		}
	} else {
		kind = 1
		for lead < len(src) && lead-start < maxWord && (src[lead]|0x20)-'a' < 26 {
			lead++
		}
	}
	runs := s.plan.runs[kind][lead-start]
	if runs == 0 {
		return start
	}
	run := lead
	for run < len(src) && run-start <= maxWord && isAlnum(src[run]) {
		run++
	}
	if runs>>(run-start)&1 == 0 {
		return start
	}
	list := s.plan.patterns[kind][lead-start]
	var best *pattern
	var bestScore uint8
	to := start
	for i := range list {
		p := &list[i]
		end := start + len(p.form)
		if end > len(src) || len(p.form) < to-start {
			continue
		}
		n, ok := s.fits(src[start:end], p.form)
		if !ok || isAlnum(s.at(end)) || s.at(end) == '_' || s.at(end) == '-' && isAlnum(s.at(end+1)) {
			continue
		}
		if p.valid != nil && !p.valid(src[start:end], s.word[:n]) {
			continue
		}
		score, ok := s.accept(start, p.weak, p.context, p.score, false, p.checked)
		if ok && (best == nil || score > bestScore || end > to) {
			best, bestScore, to = p, score, end
		}
	}
	if best == nil {
		return start
	}
	s.emit(start, to, best.typ, bestScore)
	return to
}

// fits reports whether w has the form, and puts the values of its digits into
// s.word.
func (s *scan) fits(w []byte, form string) (digits int, ok bool) {
	for i, c := range w {
		switch f := form[i]; f {
		case '9':
			if !isDigit(c) {
				return 0, false
			}
		case 'A':
			if (c|0x20)-'a' >= 26 {
				return 0, false
			}
		case 'X':
			if !isAlnum(c) {
				return 0, false
			}
		default:
			if c != f {
				return 0, false
			}
		}
		if isDigit(c) {
			s.word[digits] = c - '0'
			digits++
		}
	}
	return digits, true
}
