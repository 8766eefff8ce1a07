package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A copy of a log has the layout of C2SP tlog-tiles, in addition to the records:
//
//	checkpoint              the signed head, replaced by each that follows
//	tile/entries/N          leaves, 256 in each bundle; N.p/W holds the W first of it
//	tile/L/N                hashes of level L, 256 in each tile; likewise
//	checkpoints/SIZE        every head that was copied, for ever
//	sessions/ID.rec         a session's record
//
// All but the first are written once and never changed. No key is among them.

const (
	bundleSize = 256 // leaves in a bundle, and hashes in a tile
	tileHeight = 8   // of which this is the logarithm
)

const (
	latestName     = "checkpoint"
	headPrefix     = "checkpoints/"
	recordPrefix   = "sessions/"
	maxCheckpoint  = 64 << 10                           // bytes
	maxLeaf        = idLen + 1 + 20 + 1 + 64 + 1        // of leaf.text, in bytes
	maxBundleBytes = bundleSize * (2 + maxLeaf)         // of a bundle
	maxTileBytes   = bundleSize * int(len(tlog.Hash{})) // of a tile
)

// headName is the name of the copy of a head. Names sort by size.
func headName(size int64) string { return fmt.Sprintf("%s%020d", headPrefix, size) }

func parseHeadName(name string) (size int64, ok bool) {
	_, err := fmt.Sscanf(strings.TrimPrefix(name, headPrefix), "%d", &size)
	return size, err == nil && name == headName(size)
}

func recordName(id string) string { return recordPrefix + id + recordSuffix }

// tileName is the name of bundle or tile n with width elements, of level "entries",
// "0", "1" …
func tileName(level string, n int64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < bundleSize {
		path += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + path
}

// encodeBundle writes leaves as an entry bundle: each with its length before it.
func encodeBundle(lines []string) []byte {
	var b []byte
	for _, line := range lines {
		b = binary.BigEndian.AppendUint16(b, uint16(len(line)))
		b = append(b, line...)
	}
	return b
}

// decodeBundle reads an entry bundle of n leaves.
func decodeBundle(b []byte, n int) ([]string, error) {
	lines := make([]string, 0, n)
	for len(b) >= 2 {
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; size > len(b) {
			return nil, errors.New("it ends in the middle of an entry")
		}
		lines = append(lines, string(b[:size]))
		b = b[size:]
	}
	if len(b) > 0 || len(lines) != n {
		return nil, fmt.Errorf("it holds %d entries and not %d", len(lines), n)
	}
	return lines, nil
}
