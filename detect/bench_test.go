package detect

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/maskdata"
)

// regexes are what is commonly used for thirteen of the types.
var regexes = []*regexp.Regexp{
	regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`), regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`), regexp.MustCompile(`\b(?:\d[ -]?){13,19}\b`),
	regexp.MustCompile(`\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b`), regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`), regexp.MustCompile(`\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b`),
	regexp.MustCompile(`\+?\d{1,3}?[ -.]?\(?\d{3}\)?[ -.]?\d{3}[ -.]?\d{4}`), regexp.MustCompile(`\bAKIA[A-Z0-9]{16}\b`), regexp.MustCompile(`\bghp_[A-Za-z0-9]{36}\b`),
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`), regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`), regexp.MustCompile(`(?i)password\s*[=:]\s*\S+`),
	regexp.MustCompile(`\b[13][a-km-zA-HJ-NP-Z1-9]{25,34}\b`),
}

var sink int

// cpuTime is how long this thread has computed, so that what else runs on the
// machine does not count.
func cpuTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		if err = syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkScan compares the scan with a loop over a table of bytes, and with
// regular expressions, in the same run.
func BenchmarkScan(b *testing.B) {
	prose := bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog and the shipment was delivered yesterday after review\n"), 10000)
	for name, text := range map[string][]byte{"mixed": maskdata.Clean(), "prose": prose, "base64": bytes.Repeat([]byte("dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVy\n"), 20000)} {
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			p := Default()
			var dst []Finding
			var table [256]int
			for c := range table {
				table[c] = c & 1
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var loop, scan time.Duration
			for b.Loop() {
				began := cpuTime()
				n := 0
				for _, c := range text {
					n += table[c]
				}
				sink += n
				turn := cpuTime()
				dst = p.Find(dst[:0], text)
				loop, scan = loop+turn-began, scan+cpuTime()-turn
			}
			part := text[:len(text)/16]
			began := cpuTime()
			for _, re := range regexes {
				sink += len(re.FindAllIndex(part, -1))
			}
			expressions := 16 * (cpuTime() - began)
			b.ReportMetric(float64(len(text))/1e6*float64(b.N)/scan.Seconds(), "scan-MB/s")
			b.ReportMetric(loop.Seconds()/scan.Seconds(), "of-table-loop")
			b.ReportMetric(expressions.Seconds()*float64(b.N)/scan.Seconds(), "times-13-regexes")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkScanKinds scans corpora of one kind each: things that are often taken for something
// sensitive, logs, rows of numbers, and prose with names.
func BenchmarkScanKinds(b *testing.B) {
	m := maskdata.New(19)
	kinds := append(m.LookAlikes(256<<10), maskdata.Corpus{Name: "mixed", Text: string(maskdata.Clean())})
	made := func(name string, line func(i int) string) {
		var text strings.Builder
		for i := 0; text.Len() < 256<<10; i++ {
			text.WriteString(line(i))
			text.WriteByte('\n')
		}
		kinds = append(kinds, maskdata.Corpus{Name: name, Text: text.String()})
	}
	made("access logs", func(i int) string {
		return fmt.Sprintf(`192.0.2.%d - - [09/Mar/2025:16:%02d:45 +0000] "GET /shop/list.html?page=%d&sort=name HTTP/1.1" 200 %d`, i%256, i%60, i%9, i*7919%100000)
	})
	made("lines of digits", func(i int) string { return strconv.Itoa(100000000 + i*7919*104729%100000000000) })
	made("prose with names", func(int) string { return m.Prose().Text })
	for _, k := range kinds {
		b.Run(k.Name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			text := []byte(k.Text)
			lines := bytes.SplitAfter(text, []byte{'\n'})
			var dst []Finding
			var whole, cells time.Duration
			p := Default()
			for b.Loop() {
				began := cpuTime()
				dst = p.Find(dst[:0], text)
				turn := cpuTime()
				for _, l := range lines {
					dst = p.Find(dst[:0], l)
				}
				whole, cells = whole+turn-began, cells+cpuTime()-turn
			}
			size := float64(len(text)) / 1e6 * float64(b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(size/whole.Seconds(), "cpu-MB/s")
			b.ReportMetric(size/cells.Seconds(), "by-line-cpu-MB/s")
		})
	}
}
