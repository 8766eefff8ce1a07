package syslog

import "bytes"

// timeOf returns an event's time, which has the form of RFC 5424's TIMESTAMP.
func timeOf(event []byte) string {
	_, rest, ok := bytes.Cut(event, []byte(`"t":"`))
	at, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 || len(at) > 32 {
		return "-"
	}
	return string(at)
}
