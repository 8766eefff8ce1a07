// Command bench compares PostgreSQL reached directly, through PgBouncer in
// session mode, through HAProxy as a TCP proxy, and through the gateway with
// policy and audit on: all in one run, since machines differ and are noisy. It
// prints Markdown tables with ratios. Peers that are not installed are left out.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
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
	seconds := flag.Int("t", 5, "seconds a measurement")
	rounds := flag.Int("rounds", 3, "how often each is measured; the median counts")
	bulk := flag.Int("bulk", 1024, "MiB of the bulk transfers; 0 leaves them out")
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
		seconds: *seconds, rounds: *rounds, mib: *bulk, setup: *setup, old: *old,
		clients: strings.Split(*clients, ","), modes: strings.Split(*modes, ","),
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
	if b.server, err = pgembed.Start(ctx, pgembed.Config{Settings: map[string]string{"shared_buffers": "256MB", "max_connections": "300"}}); err != nil {
		return err
	}
	if _, err := b.server.Exec(ctx, "postgres", "CREATE DATABASE bench"); err != nil {
		return err
	}
	paths, err := b.paths(ctx)
	if err != nil {
		return err
	}
	if out, err := b.command(ctx, paths[0], "pgbench", "-q", "-i", "-s", "10", "bench").CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	if err := b.queries(ctx, paths); err != nil {
		return err
	}
	if b.setup {
		if err := b.connections(ctx, paths); err != nil {
			return err
		}
	}
	if b.mib > 0 {
		return b.bulk(ctx, paths)
	}
	return nil
}

type bench struct {
	seconds, rounds, mib int
	setup                bool
	old                  string
	clients, modes       []string

	dir    string
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

func (b *bench) command(ctx context.Context, p path, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.server.Bin, program), args...)
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}

// tally is what one run of pgbench tells.
type tally struct{ tps, latency, micros float64 }

var (
	tpsLine     = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	latencyLine = regexp.MustCompile(`(?m)^latency average = ([0-9.]+)`)
	countLine   = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

func (b *bench) pgbench(ctx context.Context, p path, args ...string) (t tally, err error) {
	before := cpu(p.pid)
	out, err := b.command(ctx, p, "pgbench", append(args, "bench")...).CombinedOutput()
	if err != nil {
		return t, fmt.Errorf("pgbench %v through %s: %w: %s", args, p.name, err, out)
	}
	value := func(re *regexp.Regexp) float64 {
		m := re.FindSubmatch(out)
		if m == nil {
			return 0
		}
		f, _ := strconv.ParseFloat(string(m[1]), 64)
		return f
	}
	t.tps, t.latency = value(tpsLine), value(latencyLine)
	if n := value(countLine); n > 0 {
		t.micros = float64((cpu(p.pid) - before).Microseconds()) / n
	}
	return t, nil
}

func (b *bench) queries(ctx context.Context, paths []path) error {
	fmt.Println("| pgbench -S | clients | path | tps | of direct | CPU µs a query |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, mode := range b.modes {
		for _, clients := range b.clients {
			results := make([][]tally, len(paths))
			for range b.rounds {
				for i, p := range paths { // each round visits all, so that noise meets all
					t, err := b.pgbench(ctx, p, "-n", "-S", "-M", mode, "-c", clients, "-j", "1", "-T", strconv.Itoa(b.seconds))
					if err != nil {
						return err
					}
					results[i] = append(results[i], t)
				}
			}
			direct := median(results[0]).tps
			for i, p := range paths {
				m := median(results[i])
				fmt.Printf("| %s | %s | %s | %.0f | %.2f | %.1f |\n", mode, clients, p.name, m.tps, m.tps/direct, m.micros)
			}
		}
	}
	return nil
}

func median(list []tally) tally {
	slices.SortFunc(list, func(a, b tally) int { return int(a.tps - b.tps) })
	return list[len(list)/2]
}

// connections measures how fast sessions are set up: a connection a query.
func (b *bench) connections(ctx context.Context, paths []path) error {
	fmt.Println("\n| a connection a query, 4 clients | tps | of direct | CPU µs a connection |")
	fmt.Println("|---|---|---|---|")
	direct := 0.0
	for _, p := range paths {
		t, err := b.pgbench(ctx, p, "-n", "-S", "-C", "-c", "4", "-j", "1", "-T", strconv.Itoa(b.seconds))
		if err != nil {
			return err
		}
		if direct == 0 {
			direct = t.tps
		}
		fmt.Printf("| %s | %.0f | %.2f | %.0f |\n", p.name, t.tps, t.tps/direct, t.micros)
	}
	return nil
}

// bulk measures large results and copies, with the client's output thrown away.
func (b *bench) bulk(ctx context.Context, paths []path) error {
	mib, rows := b.mib, b.mib*1024 // of about 1 KiB
	fmt.Printf("\n| %d MiB | path | seconds | MiB/s | of direct | CPU s a GiB | RSS MiB after |\n", mib)
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, what := range []struct{ name, sql string }{
		{"COPY TO STDOUT", fmt.Sprintf("COPY (SELECT repeat('x', 1023) FROM generate_series(1, %d)) TO STDOUT", rows)},
		{"SELECT", fmt.Sprintf("SELECT repeat('x', 1023) FROM generate_series(1, %d)", rows)},
	} {
		direct := 0.0
		for _, p := range paths {
			args := []string{"-X", "-q", "-A", "-t", "-d", "bench", "-c", what.sql}
			if what.name == "SELECT" {
				args = append([]string{"-v", "FETCH_COUNT=10000"}, args...)
			}
			cmd := b.command(ctx, p, "psql", args...)
			cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			cmd.Stdout = null
			before, begun := cpu(p.pid), time.Now()
			err = cmd.Run()
			null.Close()
			if err != nil {
				return fmt.Errorf("%s through %s: %w", what.name, p.name, err)
			}
			took := time.Since(begun).Seconds()
			rate := float64(mib) / took
			if direct == 0 {
				direct = rate
			}
			fmt.Printf("| %s | %s | %.2f | %.0f | %.2f | %.2f | %s |\n", what.name, p.name, took, rate, rate/direct,
				(cpu(p.pid)-before).Seconds()*1024/float64(mib), rss(p.pid))
		}
	}
	return nil
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
