package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// run is one measurement: what was done a second, and the CPU time that each
// took, in whatever unit.
type run struct{ rate, cpu float64 }

// turns measures every path once a round, in an order that changes, so that what else the
// machine does meets all of them.
func (b *bench) turns(paths []path, measure func(p path) (run, error)) ([][]run, error) {
	runs := make([][]run, len(paths))
	for range b.rounds {
		for _, i := range rand.Perm(len(paths)) {
			r, err := measure(paths[i])
			if err != nil {
				return nil, err
			}
			runs[i] = append(runs[i], r)
		}
	}
	return runs, nil
}

func rate(r run) float64  { return r.rate }
func cpuOf(r run) float64 { return r.cpu }

// median is that of what the runs say.
func median(runs []run, of func(run) float64) float64 {
	list := make([]float64, len(runs))
	for i := range runs {
		list[i] = of(runs[i])
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// ratio compares two paths round by round: the median, and the least and greatest.
func ratio(runs, base []run, of func(run) float64) string {
	list := make([]float64, 0, len(runs))
	for i := range runs {
		if d := of(base[i]); d > 0 {
			list = append(list, of(runs[i])/d)
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return fmt.Sprintf("%.2f (%.2f–%.2f)", list[len(list)/2], list[0], list[len(list)-1])
}

// table prints a line for each path: its rate, that of the first path's; its CPU time, that of
// the relay's and of PgBouncer's.
func table(before string, paths []path, runs [][]run) {
	base := func(name string) []run {
		if i := slices.IndexFunc(paths, func(p path) bool { return p.name == name }); i >= 0 {
			return runs[i]
		}
		return make([]run, len(runs[0]))
	}
	for i, p := range paths {
		fmt.Printf("| %s | %s | %.0f | %s |", before, p.name, median(runs[i], rate), ratio(runs[i], runs[0], rate))
		if p.pid != 0 {
			fmt.Printf(" %.2f | %s | %s |\n", median(runs[i], cpuOf), ratio(runs[i], base(relayName), cpuOf), ratio(runs[i], base(pgbouncerName), cpuOf))
		} else {
			fmt.Println(" | | |")
		}
	}
}

func header(before, rate, cpu string, columns int) {
	fmt.Printf("\n| %s | path | %s | of direct | %s | of the relay's | of PgBouncer's |\n|", before, rate, cpu)
	for range columns + 6 {
		fmt.Print("---|")
	}
	fmt.Println()
}

var (
	tpsLine   = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	countLine = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

// pgbench returns transactions a second and CPU time a transaction, in µs.
func (b *bench) pgbench(ctx context.Context, p path, wire string, args ...string) (r run, err error) {
	before := cpu(p.pid)
	args = append(args, "-n", "-S", "-j", "1", "-T", strconv.Itoa(b.seconds), "bench")
	out, err := b.command(ctx, p, wire, "pgbench", args...).CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("pgbench %v through %s: %w: %s", args, p.name, err, out)
	}
	value := func(re *regexp.Regexp) (float64, error) {
		m := re.FindSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("pgbench %v through %s: no line like %s in %q", args, p.name, re, out)
		}
		return strconv.ParseFloat(string(m[1]), 64)
	}
	if r.rate, err = value(tpsLine); err != nil {
		return r, err
	}
	n, err := value(countLine)
	if n > 0 {
		r.cpu = float64((cpu(p.pid) - before).Microseconds()) / n
	}
	return r, err
}

func (b *bench) queries(ctx context.Context, paths []path, wire string) error {
	header("pgbench -S | wire | clients", "tps", "CPU µs a query", 3)
	for _, mode := range b.modes {
		for _, clients := range b.clients {
			runs, err := b.turns(paths, func(p path) (run, error) {
				return b.pgbench(ctx, p, wire, "-M", mode, "-c", clients)
			})
			if err != nil {
				return err
			}
			table(mode+" | "+wire+" | "+clients, paths, runs)
		}
	}
	return nil
}

// connections measures how fast sessions are set up: a connection a query.
func (b *bench) connections(ctx context.Context, paths []path) error {
	header("a connection a query | clients", "tps", "CPU µs a connection", 2)
	runs, err := b.turns(paths, func(p path) (run, error) {
		return b.pgbench(ctx, p, "plain", "-C", "-c", "4")
	})
	if err != nil {
		return err
	}
	table("plain | 4", paths, runs)
	return nil
}

// mixedColumns are those of the table of rows as applications have them.
const mixedColumns = "id, token_id, full_name, email, street, city, amount, quantity, note, doc, created_at, active, status"

const mixedRow = 400 // bytes, about

// mixedTable makes a table of so many MiB.
func mixedTable(mib int) string {
	return fmt.Sprintf(`CREATE TABLE mixed AS SELECT i AS id, md5(i::text)::uuid AS token_id,
	first || ' ' || last AS full_name, lower(first) || '.' || lower(last) || i %% 1000 || '@example.com' AS email,
	i %% 200 + 1 || ' ' || last || ' Street' AS street, (ARRAY['London', 'Berlin', 'Paris', 'Springfield', 'Porto'])[i %% 5 + 1] AS city,
	(i * 7919 %% 1000000 / 100.0)::numeric(10,2) AS amount, i %% 100 AS quantity,
	(ARRAY['customer asked about the shipment of order ' || i || ', call back next week', 'left at the door; the neighbour ' || last || ' signed for the parcel',
		'refund was approved after the review', 'no answer', 'Spoke with ' || first || ' ' || last || ' about the invoice and the delivery in spring.'])[i %% 5 + 1] AS note,
	jsonb_build_object('sku', 'AB-' || i %% 10000, 'tags', ARRAY['new', 'sale'], 'price', i %% 1000 / 10.0, 'at', timestamp '2025-01-01' + i * interval '37 s', 'qty', i %% 9) AS doc,
	timestamptz '2025-01-01 00:00:07+00' + i * interval '37.123 s' AS created_at, i %% 3 = 0 AS active, (ARRAY['open', 'shipped', 'returned'])[i %% 3 + 1] AS status
FROM (SELECT i, (ARRAY['Ann', 'Boris', 'Chiara', 'Dmitri', 'Elif', 'Farid', 'Grace'])[i %% 7 + 1] AS first,
	(ARRAY['Example', 'Fischer', 'Garcia', 'Hansen', 'Ito', 'Jones', 'Kowalski', 'Lopez', 'Miller'])[i %% 9 + 1] AS last FROM generate_series(1, %d) i) people`, mib<<20/mixedRow)
}

// bulk measures how large results are moved, with the client's output thrown away. The first
// transfer tells how large they are.
func (b *bench) bulk(ctx context.Context, paths []path, wire string) error {
	header("mixed rows | wire", "MiB/s", "CPU s a GiB", 2)
	var counted counter
	copyOut := "COPY (SELECT " + mixedColumns + " FROM mixed) TO STDOUT"
	cmd := b.command(ctx, paths[0], wire, "psql", "-X", "-q", "-d", "bench", "-c", copyOut)
	if cmd.Stdout = &counted; cmd.Run() != nil || counted == 0 {
		return fmt.Errorf("%s directly: %d bytes came", copyOut, counted)
	}
	mib := float64(counted) / (1 << 20)
	for _, what := range []struct {
		name string
		args []string
	}{
		{"COPY", []string{"-c", copyOut}},
		{"SELECT", []string{"-v", "FETCH_COUNT=10000", "-c", "SELECT " + mixedColumns + " FROM mixed"}},
	} {
		runs, err := b.turns(paths, func(p path) (run, error) {
			cmd := b.command(ctx, p, wire, "psql", append([]string{"-X", "-q", "-A", "-t", "-d", "bench"}, what.args...)...)
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				return run{}, err
			}
			defer null.Close()
			cmd.Stdout, cmd.Stderr = null, os.Stderr
			before, begun := cpu(p.pid), time.Now()
			if err := cmd.Run(); err != nil {
				return run{}, fmt.Errorf("%s through %s: %w", what.name, p.name, err)
			}
			return run{mib / time.Since(begun).Seconds(), (cpu(p.pid) - before).Seconds() * 1024 / mib}, nil
		})
		if err != nil {
			return err
		}
		table(what.name+" | "+wire, paths, runs)
	}
	fmt.Println()
	for _, p := range paths[1:] {
		fmt.Printf("%s: %s MiB resident\n", p.name, rss(p.pid))
	}
	return nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
