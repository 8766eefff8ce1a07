package detect

import "bytes"

// An address tells about a person where it points at one. Those that are given out
// again in every network, that lead to the machine itself or to many point at nobody.
// They have types of their own, which are masked where a rule names them, in texts as
// in columns: nobody can operate a network without them.

// ofDocuments reports whether the address a.b.c.x is one of documents, of the machine
// itself or a mask. Such are never found.
func ofDocuments(a, b, c int) bool {
	return a == 0 || a == 127 || a == 255 || a == 192 && b == 0 && c == 2 || a == 198 && b == 51 && c == 100 || a == 203 && b == 0 && c == 113
}

// localIPv4 reports whether the address a.b.x.x is private, of a link, shared by a
// provider, for tests, or of a group (RFC 6890).
func localIPv4(a, b int) bool {
	switch a {
	case 10:
		return true
	case 100:
		return b >= 64 && b < 128
	case 169:
		return b == 254
	case 172:
		return b >= 16 && b < 32
	case 192:
		return b == 168
	case 198:
		return b == 18 || b == 19
	}
	return a >= 224
}

// localIPv6 reports whether an IPv6 address, as text, is local to a link or a site, or
// leads to many.
func localIPv6(text []byte) bool {
	first, _ := hextet(text)
	return first&0xffc0 == 0xfe80 || first&0xfe00 == 0xfc00 || first&0xff00 == 0xff00
}

// hextet reads the group that text begins with, and returns what follows its colon.
func hextet(text []byte) (n int, rest []byte) {
	i := 0
	for i < len(text) && isHex(text[i]) {
		n = n<<4 | int(hexValue(text[i]))
		i++
	}
	if i < len(text) {
		i++
	}
	return n, text[i:]
}

// ofEmbedded is localIPv4 and ofDocuments for the address at i, the end of an IPv6 one.
func (s *scan) ofEmbedded(i int) (near, unfound bool) {
	var part [3]int
	for k := range part {
		for ; isDigit(s.at(i)); i++ {
			part[k] = part[k]*10 + int(s.at(i)-'0')
		}
		i++
	}
	return localIPv4(part[0], part[1]), ofDocuments(part[0], part[1], part[2])
}

// localMAC reports whether a hardware address that begins with a, b and c is of no
// device by itself: of a group, of documents, or of a virtual machine or container.
func localMAC(a, b, c byte) bool {
	switch [2]byte{a, b} {
	case [2]byte{0xff, 0xff}, [2]byte{0x33, 0x33}, [2]byte{0x02, 0x42}, [2]byte{0x42, 0x01}: // all, IPv6's groups, Docker, Google Cloud
		return true
	}
	switch [3]byte{a, b, c} {
	case [3]byte{0x01, 0x00, 0x5e}, [3]byte{0x01, 0x80, 0xc2}, [3]byte{0x00, 0x00, 0x5e}, // groups, documents and routers that take each other's place
		[3]byte{0x00, 0x0c, 0x29}, [3]byte{0x00, 0x05, 0x69}, [3]byte{0x00, 0x1c, 0x14}, [3]byte{0x00, 0x50, 0x56}, // VMware
		[3]byte{0x52, 0x54, 0x00}, [3]byte{0x00, 0x15, 0x5d}, [3]byte{0x00, 0x16, 0x3e}, [3]byte{0x00, 0x1c, 0x42}, [3]byte{0x08, 0x00, 0x27}: // KVM, Hyper-V, Xen, Parallels, VirtualBox
		return true
	}
	return false
}

// interfaceWords come before the hardware address of an interface of the machine that
// a command runs on, and of those around it: ip addr, ip neigh, ifconfig.
var interfaceWords = [...]string{"link/ether", "link/loopback", "brd", "permaddr", "lladdr", "ether", "HWaddr", "link/ieee802.11", "link/none"}

// ofInterface reports whether a hardware address at i is that of an interface.
func (s *scan) ofInterface(i int) bool {
	before := bytes.TrimRight(s.src[max(0, i-24):i], " \t")
	for _, w := range interfaceWords {
		n := len(before) - len(w)
		if n >= 0 && string(before[n:]) == w && (n == 0 || before[n-1] <= ' ') {
			return true
		}
	}
	return false
}

// endsDump reports whether s.src[start:end] is the last line of a dump as openssl has
// them: alone on its line, far from its margin, after a line of pairs that ends in a
// colon.
func (s *scan) endsDump(start, end int) bool {
	const margin, alone = 4, 8 // alone where the line before is not known
	for s.at(end) == ' ' || s.at(end) == '\r' {
		end++
	}
	if c := s.at(end); c != '\n' && c != 0 {
		return false
	}
	i := start
	for i > 0 && s.src[i-1] == ' ' {
		i--
	}
	if i == 0 {
		return start-i >= alone
	}
	if start-i < margin || s.src[i-1] != '\n' {
		return false
	}
	for i--; i > 0 && (s.src[i-1] == '\r' || s.src[i-1] == ' '); {
		i--
	}
	return i > 2 && s.src[i-1] == ':' && isHex(s.src[i-2]) && isHex(s.src[i-3])
}
