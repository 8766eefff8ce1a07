// Command bench compares PostgreSQL reached directly, through a relay that copies
// bytes, through PgBouncer in session mode, through HAProxy as a TCP proxy, and through
// the gateway with everything on that the README's configuration has: policy,
// analysis, the default guardrails and masking, and the record; and through the same
// without guardrails and masking. All of it is one run, in rounds whose order is
// shuffled, since machines differ and are noisy: each figure is the median of its rounds,
// each ratio that of the ratios within a round, with the least and the greatest. It
// prints Markdown tables. Peers that are not installed are left out.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/pgembed"
)

// path is a way to the server.
type path struct {
	name string
	env  []string // for libpq
	pid  int      // whose CPU is counted; 0 for direct
}

func main() {
	seconds := flag.Int("t", 4, "seconds a measurement")
	rounds := flag.Int("rounds", 5, "how often each is measured; the median counts")
	bulk := flag.Int("bulk", 256, "MiB of the bulk transfers, about; 0 leaves them out")
	wires := flag.String("wires", "plain,tls", "whether clients encrypt")
	program := flag.String("program", "", "a build of the gateway; it is built when there is none")
	old := flag.String("old", "", "an older build of the gateway, to compare with")
	clients := flag.String("clients", "1,4,16", "how many clients query at once")
	modes := flag.String("modes", "simple,prepared", "how pgbench queries")
	setup := flag.Bool("connections", true, "measure the setting up of sessions too")
	flag.Parse()
	if flag.Arg(0) == relayArg && flag.NArg() == 3 {
		fmt.Fprintln(os.Stderr, "bench:", serveRelay(flag.Arg(1), flag.Arg(2)))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{
		seconds: *seconds, rounds: *rounds, mib: *bulk, setup: *setup, program: *program, old: *old,
		clients: strings.Split(*clients, ","), modes: strings.Split(*modes, ","), wires: strings.Split(*wires, ","),
	}
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	defer b.stop()
	if b.cert, b.key, err = selfSigned(); err != nil {
		return err
	}
	if b.server, err = pgembed.Start(ctx, pgembed.Config{
		Settings: map[string]string{"shared_buffers": "256MB", "max_connections": "300"}, CertPEM: b.cert, KeyPEM: b.key,
	}); err != nil {
		return err
	}
	if _, err := b.server.Exec(ctx, "postgres", "CREATE DATABASE bench"); err != nil {
		return err
	}
	paths, err := b.paths(ctx)
	if err != nil {
		return err
	}
	if out, err := b.command(ctx, paths[0], "plain", "pgbench", "-q", "-i", "-s", "10", "bench").CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	for _, wire := range b.wires {
		if err := b.queries(ctx, paths, wire); err != nil {
			return err
		}
	}
	if b.setup {
		if err := b.connections(ctx, paths); err != nil {
			return err
		}
	}
	if b.mib == 0 {
		return nil
	}
	if _, err := b.server.Exec(ctx, "bench", mixedTable(b.mib)); err != nil {
		return err
	}
	for _, wire := range b.wires {
		if err := b.bulk(ctx, paths, wire); err != nil {
			return err
		}
	}
	return nil
}

type bench struct {
	seconds, rounds, mib int
	setup                bool
	program, old         string
	clients, modes       []string
	wires                []string

	dir    string
	cert   []byte
	key    []byte
	server *pgembed.Server
	stops  []func()
}

func (b *bench) stop() {
	for _, f := range slices.Backward(b.stops) {
		f()
	}
	if b.server != nil {
		b.server.Stop()
	}
}

func (b *bench) command(ctx context.Context, p path, wire, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.server.Bin, program), args...)
	mode := "disable"
	if wire == "tls" {
		mode = "require"
	}
	cmd.Env = append(append(os.Environ(), p.env...), "PGSSLMODE="+mode)
	return cmd
}

// cpu is the time that a process has used, by /proc.
func cpu(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func rss(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			return strconv.Itoa(kib / 1024)
		}
	}
	return ""
}
