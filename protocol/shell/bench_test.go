package shell

import (
	"testing"

	"github.com/sallyport/sallyport/proxy"
)

func BenchmarkFacts(b *testing.B) {
	for name, command := range map[string]string{
		"word": "ls", "line": "cd /srv/app && git pull && sudo systemctl restart app", "path": `rm -rf "${DIR:?}/cache" /tmp/x/*.log`,
	} {
		b.Run(name, func(b *testing.B) {
			op := &proxy.Exec{Command: command}
			b.ReportAllocs()
			for b.Loop() {
				Grammar{}.Facts(op)
			}
		})
	}
}
