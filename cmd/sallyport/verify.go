package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
)

// verifyCommand proves a bundle, a whole log, a copy of one in a bucket, or a signed approval.
func verifyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify BUNDLE|GRANT|DIR|s3://BUCKET/PREFIX", GroupID: recordsGroup, Short: "Prove that records are as they were sealed, and approvals as they were signed",
		Example: example("sallyport verify --key key.pub bundle", "sallyport verify --key key.pub --witness old-checkpoint data/audit", "sallyport verify --key key.pub grant"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	config := f.StringP("config", "c", "", "config `file` that says where the key of the records is kept, for a log whose master.key is not in DIR")
	key := f.String("key", "", "`file` with the log's public key; empty is the one inside the log, which proves less")
	var witnesses, checkpoints, keys, signers []string
	f.StringArrayVar(&checkpoints, "checkpoint", nil, "`PLACE`: the same as --witness")
	f.StringArrayVar(&witnesses, "witness", nil, "`PLACE` where checkpoints were kept, a file, a URL or s3://BUCKET/PREFIX: the log must continue them; can be given several times")
	f.StringArrayVar(&keys, "cosigned", nil, "`KEY` of a witness, or a file with it, that must have cosigned the log in DIR; can be given several times")
	f.StringArrayVar(&signers, "signer", nil, "`file` with the public key of the log of another gateway on the same store, which has signed approvals, too; can be given several times")
	var bucket bucketFlags
	bucket.add(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		witnesses = append(witnesses, checkpoints...)
		if len(args) == 0 {
			return fail(exitUsage, "verify needs a bundle, a signed approval, an audit log's directory, or s3://BUCKET/PREFIX")
		}
		path := args[0]
		if st, err := os.Stat(path); len(keys) > 0 && (err != nil || !st.IsDir()) {
			return fail(exitUsage, "--cosigned is for a log's directory, which keeps the cosignatures")
		}
		if strings.HasPrefix(path, bucketScheme) {
			return verifyCopy(ctx, c, path, *key, bucket, witnesses)
		}
		st, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fail(exitNotFound, "%v", err)
		}
		if err != nil {
			return err
		}
		for i, file := range signers {
			if signers[i], err = readPublicKey(file); err != nil {
				return err
			}
		}
		if st.IsDir() {
			return verifyLog(ctx, c, path, *config, *key, bucket, witnesses, keys, signers)
		}
		if signed, err := readGrant(path); signed != "" || err != nil {
			return verifyGrant(c, signed, *key, signers, err)
		}
		return verifyBundle(c, path, *key, signers)
	})
	return cmd
}

func readPublicKey(file string) (string, error) {
	b, err := os.ReadFile(file)
	return string(bytes.TrimSpace(b)), err
}

func verifyLog(ctx context.Context, c *cli, dir, config, key string, bucket bucketFlags, witnesses, keys, signers []string) error {
	file := key
	if file == "" {
		file = filepath.Join(dir, "log", "key.pub")
	}
	public, err := readPublicKey(file)
	if err != nil {
		return err
	}
	trusted, err := readWitnesses(ctx, bucket, witnesses) // before the log, which goes on
	if err != nil {
		return err
	}
	for i, k := range keys {
		if b, err := os.ReadFile(k); err == nil {
			keys[i] = string(bytes.TrimSpace(b))
		}
	}
	cosigned, err := audit.CosignedHeads(dir, public, keys...)
	if err != nil {
		return fail(exitError, "NOT COSIGNED: %v", err)
	}
	for _, h := range cosigned {
		trusted = append(trusted, h.Note)
	}
	var content audit.Keys
	if config != "" {
		cfg, err := load(c, config)
		if err != nil {
			return err
		}
		if content, err = cfg.AuditKeys(ctx, nil); err != nil {
			return err
		}
	}
	tell, end := c.progress("verifying sessions")
	r, err := audit.Verification{Public: public, Keys: content, Signers: signers, Trusted: trusted, Progress: tell}.Log(dir)
	end()
	if err != nil {
		return err
	}
	printProven(c, r)
	printApprovals(c, &r.Approvals)
	if r.Erased > 0 {
		fmt.Fprintf(c.out, "erased: the content of %s, as the gateway's own records say\n", plural(r.Erased, "sealed record", "sealed records"))
	}
	if r.Unopened > 0 {
		fmt.Fprintf(c.out, "not proven: that %s can be read, unless erased on record, and that what ran there by approvals is what was approved; the key that opens them is kept elsewhere: name its config file with --config\n",
			plural(r.Unopened, "sealed record", "sealed records"))
	}
	for _, h := range cosigned {
		fmt.Fprintf(c.out, "cosigned: the first %d sealed records, by %s at %s\n", h.N, h.Witness, h.At.UTC().Format(time.RFC3339))
	}
	if n := len(r.Unproven) - r.Unsigned; n > 0 {
		fmt.Fprintf(c.out, "not proven: %s not sealed: the sessions are open, or a stopped gateway left them\n", plural(n, "record that is", "records that are"))
	}
	if n := r.Unsigned; n > 0 {
		fmt.Fprintf(c.out, "not proven: %s listed as sealed after the signed head: the gateway is sealing, or stopped while it did, or the head was set back; give checkpoints kept elsewhere with --witness\n",
			plural(n, "record that is", "records that are"))
	}
	if key == "" {
		fmt.Fprintln(c.out, "not proven: that the public key is this log's; give your own copy with --key")
	}
	if len(trusted) == 0 {
		fmt.Fprintln(c.out, "not proven: that the log was not set back to an earlier state; give checkpoints kept elsewhere with --witness")
	}
	return problems(r)
}

func printProven(c *cli, r *audit.Report) {
	fmt.Fprintf(c.out, "proven: %d sealed records with %d events are whole, in order and as they were sealed\n", r.Sessions, r.Events)
	printProblems(c, r)
}

func printProblems(c *cli, r *audit.Report) {
	for _, p := range r.Problems {
		fmt.Fprintln(c.out, "NOT AS SEALED: "+visible(p))
	}
}

// printApprovals says what ran by approvals.
func printApprovals(c *cli, a *audit.Approvals) {
	if a.Proven > 0 {
		fmt.Fprintf(c.out, "proven: what ran by %s is what was approved\n", plural(a.Proven, "signed approval", "signed approvals"))
	}
	for _, origin := range slices.Sorted(maps.Keys(a.Others)) {
		fmt.Fprintf(c.out, "not proven: what ran by %s of another gateway; give the public key of its log %s with --signer\n",
			plural(a.Others[origin], "approval", "approvals"), visible(origin))
	}
	if a.Unsigned > 0 {
		fmt.Fprintf(c.out, "not proven: what ran by %s that nobody has signed: one of an earlier version, or of a reviewer of your own\n", plural(a.Unsigned, "approval", "approvals"))
	}
}

func problems(r *audit.Report) error {
	if len(r.Problems) > 0 {
		return fail(exitError, "%s", plural(len(r.Problems), "problem", "problems"))
	}
	return nil
}

// plural says how many, with the word for one or for several.
func plural(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

func verifyCopy(ctx context.Context, c *cli, url, key string, flags bucketFlags, witnesses []string) error {
	if key == "" {
		return fail(exitUsage, "a copy is verified with the log's public key: --key FILE (log/key.pub in the audit log)")
	}
	public, err := readPublicKey(key)
	if err != nil {
		return err
	}
	b, err := flags.open(url)
	if err != nil {
		return err
	}
	defer b.Close()
	trusted, err := readWitnesses(ctx, flags, witnesses)
	if err != nil {
		return err
	}
	tell, end := c.progress("verifying sessions")
	r, err := audit.Verification{Public: public, Trusted: trusted, Progress: tell}.Copy(ctx, b)
	end()
	if err != nil {
		return err
	}
	printProven(c, r)
	fmt.Fprintln(c.out, "not proven: what was sealed after the newest head that was copied, and sessions that were open then")
	fmt.Fprintln(c.out, "not proven: that what ran by approvals is what was approved: that is for the log, which has the keys of its sessions")
	if len(trusted) == 0 {
		fmt.Fprintln(c.out, "not proven: that the newest heads were not taken away, unless Object Lock keeps them; give checkpoints kept elsewhere with --witness")
	}
	return problems(r)
}

func verifyBundle(c *cli, path, key string, signers []string) error {
	if key == "" {
		return fail(exitUsage, "a bundle is verified with the log's public key: --key FILE (log/key.pub in the audit log)")
	}
	b, err := readBundle(path)
	if err != nil {
		return err
	}
	public, err := readPublicKey(key)
	if err != nil {
		return err
	}
	if err := proveBundle(c.out, b, public); err != nil {
		return err
	}
	r := &audit.Report{}
	if b.Key == nil {
		fmt.Fprintln(c.out, "not proven: what the session holds: the bundle has no key to read it with")
	} else if r.Approvals, r.Problems, err = b.Approvals(public, signers...); err != nil {
		return err
	}
	printProblems(c, r)
	printApprovals(c, &r.Approvals)
	if r.Approvals.Proven > 0 {
		fmt.Fprintln(c.out, "not proven: that nothing ran by the same approval in another session: that is for the whole log")
	}
	fmt.Fprintln(c.out, "not proven: that the log it comes from lists every session that took place")
	return problems(r)
}
