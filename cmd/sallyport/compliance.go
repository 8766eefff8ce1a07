package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit/compliance"
	"github.com/sallyport/sallyport/audit/report"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
)

// complianceCommand makes and checks packs of evidence for auditors.
func complianceCommand(c *cli) *cobra.Command {
	return family(&cobra.Command{
		Use: "compliance", GroupID: recordsGroup, Short: "Packs of evidence for auditors: make one for a framework and a period, and verify one without a gateway",
		Example: example("sallyport compliance export --framework soc2 --from 2026-01-01", "sallyport compliance verify q1.zip"),
	},
		complianceExportCommand(c), complianceVerifyCommand(c), complianceFrameworksCommand(c))
}

func complianceExportCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Have the running gateway make a pack of evidence; that is on record",
		Example: example("sallyport compliance export --framework soc2 --from 2026-01-01 --key key.pub"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	framework := f.String("framework", "", "the `framework` whose controls it is for; \"sallyport compliance frameworks\" lists them")
	from := f.String("from", "", "first `day`, such as 2026-01-01, or a time, such as 2026-01-01T06:00:00Z; empty is 30 days ago")
	to := f.String("to", "", "last `day`, which is in it as a whole, or a time, which is not; empty is today")
	key := f.String("key", "", "`file` with your own copy of the log's public key; empty is the one inside the pack, which proves less")
	file := f.StringP("file", "f", "", "the new `file` to write; empty is evidence-FRAMEWORK-FIRST.zip here")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		if _, err := compliance.Find(*framework); err != nil {
			return fail(exitUsage, "--framework: %v", err)
		}
		p, err := evidencePeriod(*from, *to, time.Now())
		if err == nil {
			err = compliance.CheckPeriod(p)
		}
		if err != nil {
			return fail(exitUsage, "%v", err)
		}
		name := *file
		if name == "" {
			name = fmt.Sprintf("evidence-%s-%s.zip", *framework, p.From.Format(time.DateOnly))
		}
		if name == "-" {
			return fail(exitUsage, "a pack is verified once it is written: name a file")
		}
		gateway, err := open()
		if err != nil {
			return err
		}
		if err := saveEvidence(ctx, c, gateway, *framework, p, name); err != nil {
			return err
		}
		fmt.Fprintf(c.err, "sallyport: wrote %s\n", name)
		return verifyEvidence(c, name, *key)
	})
	return cmd
}

// evidencePeriod reads a period of days or times.
func evidencePeriod(from, to string, now time.Time) (p report.Period, err error) {
	today := now.UTC().Truncate(24 * time.Hour)
	if p.From, err = border("--from", from, today.AddDate(0, 0, -30), 0); err == nil {
		p.To, err = border("--to", to, today, 1)
	}
	return p, err
}

// border reads a border of a period: a time, or a day, which is so many days later.
func border(flag, s string, empty time.Time, days int) (time.Time, error) {
	if s == "" {
		return empty.AddDate(0, 0, days), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("%s: got %q, want a day such as 2026-01-31, or a time such as 2026-01-31T06:00:00Z", flag, s)
	}
	return t.AddDate(0, 0, days), nil
}

func saveEvidence(ctx context.Context, c *cli, gateway *client.Client, framework string, p report.Period, name string) error {
	return writeNew(c, "compliance export", name, func(w io.Writer) (err error) {
		pack, err := gateway.ExportEvidence(ctx, framework, p.From, p.To)
		if err != nil {
			return answered(err)
		}
		defer func() { err = errors.Join(err, pack.Close()) }()
		_, err = io.Copy(w, pack)
		return err
	})
}

func complianceVerifyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Prove that a pack of evidence is as the gateway made it; no gateway is needed",
		Example: example("sallyport compliance verify --key key.pub q1.zip"),
		Args:    atMost(1),
	}
	key := cmd.Flags().String("key", "", "`file` with your own copy of the log's public key; empty is the one inside the pack, which proves less")
	cmd.RunE = does(func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "compliance verify needs a pack of evidence")
		}
		return verifyEvidence(c, args[0], *key)
	})
	return cmd
}

// verifyEvidence proves a pack, and says what it does not prove.
func verifyEvidence(c *cli, name, key string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(exitNotFound, "%v", err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	var public string
	if key != "" {
		public, err = readPublicKey(key)
	} else {
		public, err = compliance.Key(f, st.Size())
	}
	if err != nil {
		return err
	}
	v, err := compliance.Verify(f, st.Size(), public)
	if err != nil {
		return err
	}
	for _, p := range v.Problems {
		fmt.Fprintln(c.out, "NOT AS MADE: "+visible(p))
	}
	if len(v.Problems) > 0 {
		return fail(exitError, "%s", plural(len(v.Problems), "problem", "problems"))
	}
	m, n := &v.Manifest, v.Manifest.Records
	fmt.Fprintf(c.out, "proven: evidence for %s from %s on and before %s, made at %s: %s as they were made\n", visible(m.Title), m.From.Format(time.RFC3339),
		m.To.Format(time.RFC3339), m.Made.Format(time.RFC3339), plural(v.Files, "file is", "files are"))
	fmt.Fprintf(c.out, "proven: %s among the %d that the signed head is of\n", plural(int(v.Proofs), "record is", "records are"), m.Head.Size)
	if n.Open > 0 {
		fmt.Fprintf(c.out, "not proven: %s open or not sealed yet\n", plural(n.Open, "record that was", "records that were"))
	}
	if n.Erased+n.ErasedBefore > 0 {
		fmt.Fprintf(c.out, "not proven: what %s said\n", plural(n.Erased+n.ErasedBefore, "erased record", "erased records"))
	}
	if key == "" {
		fmt.Fprintln(c.out, "not proven: that the public key is the log's; give your own copy with --key")
	}
	fmt.Fprintln(c.out, "not proven: that the log was not set back; run sallyport verify --witness on it")
	if n.Failed > 0 {
		return fail(exitError, "the pack is as it was made, and %s not as sealed, missing or not readable: its table of records says which", plural(n.Failed, "record is", "records are"))
	}
	return nil
}

func complianceFrameworksCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "frameworks", Short: "List the frameworks that packs are made for, and their controls",
		Example: example("sallyport compliance frameworks"),
		Args:    atMost(0),
	}
	output := listFlags(cmd.Flags())
	cmd.RunE = does(func(context.Context, []string) error {
		var list []complianceControl
		for _, f := range compliance.Frameworks() {
			for _, x := range f.Controls {
				list = append(list, complianceControl{f.ID, f.Title, control.ComplianceDemand{ID: x.ID, Asks: x.Asks, Yours: x.Yours}})
			}
		}
		return printList(c.out, output, "controls", list,
			column[complianceControl]{"FRAMEWORK", false, func(x complianceControl) string { return x.Framework }},
			column[complianceControl]{"CONTROL", false, func(x complianceControl) string { return x.ID }},
			column[complianceControl]{"ASKS FOR", false, func(x complianceControl) string { return x.Asks }},
		)
	})
	return cmd
}

// complianceControl is a control as it is listed.
type complianceControl struct {
	Framework string `json:"framework"`
	Title     string `json:"title"`
	control.ComplianceDemand
}
