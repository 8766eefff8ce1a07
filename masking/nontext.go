package masking

import "bytes"

// textHead is how much of a stream is looked at to tell what it is, in bytes.
const textHead = 4 << 10

// controls are the control characters that text does not hold. A single NUL is
// none of them: lists are separated by them, as by find -print0.
const controls = "\x01\x02\x03\x04\x05\x06\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e\x1f"

// zeros is how many NULs in a row text does not hold.
const zeros = 4

// noText reports whether b is no text in any encoding that has ASCII in it: an
// archive, an image, a program, compressed or encrypted data. Stars in such data
// hide nothing that somebody would read, and break it.
func noText(b []byte) bool {
	return bytes.ContainsAny(b, controls) || bytes.Contains(b, make([]byte, zeros))
}

// around is how much beside a value tells whether it stands in text, in bytes.
const around = 128

// amidNoText reports whether what stands around b[start:end] is no text.
func amidNoText(b []byte, start, end int) bool {
	return noText(b[max(0, start-around):min(len(b), end+around)])
}
