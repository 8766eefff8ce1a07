package detect

// monthDate finds a date of birth whose month is a word, such as 7 Feb 2001 and
// February 7, 2001, of which src[i:j] is the day, and returns its end, or i. It
// counts only behind a word about birth.
func (s *scan) monthDate(i, j int) int {
	start, k := i, j
	if m := monthEnd(s.src, s.skip(j, " -.")); m > 0 { // 7 Feb 2001, 7th of February
		k = m
	} else if c := s.at(j) | 0x20; c >= 'n' && isLower(c) && j+2 < len(s.src) && !isAlnum(s.at(j+2)) { // 7th February
		n := s.skip(j+2, " ,")
		if s.at(n) == 'o' && s.at(n+1) == 'f' {
			n = s.skip(n+2, " ")
		}
		if m := monthEnd(s.src, n); m > 0 {
			k = m
		} else {
			start, k = s.monthBefore(i), j+2
		}
	} else {
		start = s.monthBefore(i)
	}
	if start == i && k == j || start < 0 {
		return i
	}
	k = s.skip(k, " ,.-'")
	from := k
	for k-from < 4 && isDigit(s.at(k)) {
		k++
	}
	if n := k - from; n != 4 && n != 2 || isAlnum(s.at(k)) || start < s.floor {
		return i
	}
	if s.context(start).near&aboutBirth == 0 {
		return i
	}
	s.emit(start, k, BirthDate, 70)
	return k
}

// skip returns where the run of at most three bytes of set that begins at i ends.
func (s *scan) skip(i int, set string) int {
	for n := 0; n < 3 && i < len(s.src); n++ {
		found := false
		for k := range len(set) {
			found = found || set[k] == s.src[i]
		}
		if !found {
			break
		}
		i++
	}
	return i
}

// monthBefore returns where the name of a month begins that stands before i, or
// -1.
func (s *scan) monthBefore(i int) int {
	k := i
	for n := 0; n < 2 && k > 0 && (s.src[k-1] == ' ' || s.src[k-1] == '.' || s.src[k-1] == '-'); n++ {
		k--
	}
	end := k
	for k > 0 && end-k < 12 && (s.src[k-1]|0x20)-'a' < 26 {
		k--
	}
	if end == i || end-k < 3 || monthEnd(s.src, k) != end {
		return -1
	}
	return k
}

var months = [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

// monthEnd returns where the name of a month ends that begins at i, or 0: an
// English one in full or its first three letters.
func monthEnd(src []byte, i int) int {
	n := 0
	for i+n < len(src) && n < 12 && (src[i+n]|0x20)-'a' < 26 {
		n++
	}
	if n < 3 || n > 9 {
		return 0
	}
	for _, m := range months {
		if src[i]|0x20 != m[0] || src[i+1]|0x20 != m[1] || src[i+2]|0x20 != m[2] || n > len(m) {
			continue
		}
		same := n <= 4 || n == len(m)
		for k := 3; k < n && same; k++ {
			same = src[i+k]|0x20 == m[k]
		}
		if same {
			return i + n
		}
	}
	return 0
}
