package masking

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"
)

// parseInteger reads a decimal integer of at most 18 digits.
func parseInteger(v []byte) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 19 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, 64) // does not allocate
	return n, err == nil
}

// floorTo returns the largest multiple of size that is not above n.
func floorTo(n, size int64) int64 {
	r := n % size
	if r < 0 {
		r += size
	}
	return n - r
}

// appendBucket appends the range that the number v is in, as in 30-39.
func appendBucket(dst, v []byte, size int64) ([]byte, bool) {
	n, ok := parseInteger(bytes.TrimSpace(v))
	if !ok || n < -1<<62 || n > 1<<62 {
		return dst, false
	}
	low := floorTo(n, size)
	dst = strconv.AppendInt(dst, low, 10)
	return strconv.AppendInt(append(dst, '-'), low+size-1, 10), true
}

// appendDomain appends an e-mail address with its local part hidden.
func appendDomain(dst, v []byte) ([]byte, bool) {
	at := bytes.LastIndexByte(v, '@')
	if at < 0 {
		return dst, false
	}
	return append(append(dst, "****"...), v[at:]...), true
}

// appendNetwork appends an address, or a network, with all but its first bits as
// zeros.
func appendNetwork(dst, v []byte, bits int) ([]byte, bool) {
	text, length, isNetwork := bytes.Cut(v, []byte("/"))
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		return dst, false
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		bits *= 2
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return dst, false
	}
	dst = p.Addr().AppendTo(dst)
	if isNetwork {
		n, ok := parseInteger(length)
		if !ok || n < 0 || n > 128 {
			return dst, false
		}
		dst = strconv.AppendInt(append(dst, '/'), min(n, int64(bits)), 10)
	}
	return dst, true
}

// dateLayouts are those that dates are read in, and written again.
var dateLayouts = []string{
	"2006-01-02", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00", time.RFC3339, "2006-01-02T15:04:05",
}

// appendDate appends the date v, shifted or truncated, in the form that it has.
func (k *keys) appendDate(dst, v []byte, how treatment) ([]byte, bool) {
	if len(v) < 10 || len(v) > 40 || v[4] != '-' {
		return dst, false
	}
	text := string(v)
	for _, layout := range dateLayouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		t = k.moved(t, how)
		if t.Year() < 1 || t.Year() > 9999 {
			return dst, false
		}
		return t.AppendFormat(dst, layout), true
	}
	return dst, false
}

// moved shifts or truncates t. A shift is by 1 to Days days, back or forth, the
// same for equal days under one key.
func (k *keys) moved(t time.Time, how treatment) time.Time {
	if how.Transform == Shift {
		text := t.AppendFormat(nil, time.DateOnly)
		days := 0
		k.hashed(text, "date shift", func(h *keyedHash) {
			days = 1 + int(binary.BigEndian.Uint32(h.sum)%uint32(how.Days))
			if h.sum[4]&1 == 1 {
				days = -days
			}
		})
		return t.AddDate(0, 0, days)
	}
	y, m, d := t.Date()
	switch how.Unit {
	case "decade":
		y, m, d = y-y%10, time.January, 1
	case "year":
		m, d = time.January, 1
	case "month":
		d = 1
	}
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}
