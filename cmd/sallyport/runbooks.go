package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/runbook"
)

// Commands about runbooks and their runs.

func runbooksCommand(c *cli) *cobra.Command {
	return family(&cobra.Command{
		Use: "runbooks", GroupID: everydayGroup, Short: "Reviewed procedures with typed parameters",
		Example: example("sallyport runbooks ls", "sallyport runbooks run main/refund-order --param order_id=4711"),
	}, runbooksListCommand(c), runbooksShowCommand(c), runbooksRunCommand(c), runbooksGrantCommand(c), runbooksStatusCommand(c), runbooksCancelCommand(c), runbooksLintCommand(c), runbooksTestCommand(c))
}

func runbooksListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{Use: "ls", Short: "List runbooks, also those that cannot be read", Example: example("sallyport runbooks ls", "sallyport runbooks ls --output wide"), Args: atMost(0)}, "Runbook",
		(*client.Client).Runbooks,
		column[control.Runbook]{"RUNBOOK", false, func(r control.Runbook) string { return r.Source + "/" + r.Name }},
		column[control.Runbook]{"RISK", false, func(r control.Runbook) string { return r.Risk }},
		column[control.Runbook]{"OWNER", false, func(r control.Runbook) string { return r.Owner }},
		column[control.Runbook]{"REVIEW", false, func(r control.Runbook) string { return map[bool]string{true: "yes"}[r.Review] }},
		column[control.Runbook]{"FILE", true, func(r control.Runbook) string { return r.Path }},
		column[control.Runbook]{"COMMIT", true, func(r control.Runbook) string { return r.Commit }},
		column[control.Runbook]{"TITLE", false, func(r control.Runbook) string {
			if r.Problem != "" {
				return shortened("cannot be read: "+r.Path+": "+r.Problem, 80)
			}
			return r.Title
		}},
	)
}

// named splits SOURCE/NAME.
func namedRunbook(args []string, command string) (source, name string, err error) {
	if len(args) == 1 {
		if source, name, ok := strings.Cut(args[0], "/"); ok && source != "" && name != "" {
			return source, name, nil
		}
	}
	return "", "", fail(exitUsage, "runbooks %s needs a runbook as SOURCE/NAME; \"sallyport runbooks ls\" lists them", command)
}

func runbooksShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "show SOURCE/NAME", Short: "Show what a runbook takes, and what it may run on", Example: example("sallyport runbooks show main/refund-order"), Args: atMost(1)}
	open := controlFlags(c, cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		source, name, err := namedRunbook(args, "show")
		if err != nil {
			return err
		}
		api, err := open()
		if err != nil {
			return err
		}
		d, err := api.Runbook(ctx, source, name)
		if err != nil {
			return answered(err)
		}
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		return printYAML(c.out, text)
	})
	return cmd
}

func runbooksStatusCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "status [RUN]", Short: "Show a run, or list the latest", Example: example("sallyport runbooks status", "sallyport runbooks status k3q7zw2m5x4a"), Args: atMost(1)}
	f := cmd.Flags()
	open := controlFlags(c, f)
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		api, err := open()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			r, err := api.Run(ctx, args[0])
			if err != nil {
				return answered(err)
			}
			return printRun(c.out, r)
		}
		list, err := api.Runs(ctx)
		if err != nil {
			return answered(err)
		}
		return printList(
			c.out, output, "Run", list,
			column[runbook.Run]{"RUN", false, func(r runbook.Run) string { return r.ID }},
			column[runbook.Run]{"RUNBOOK", false, func(r runbook.Run) string { return r.Origin.Source + "/" + r.Name }},
			column[runbook.Run]{"USER", false, func(r runbook.Run) string { return r.Requester }},
			column[runbook.Run]{"STATE", false, func(r runbook.Run) string { return string(r.State) }},
			column[runbook.Run]{"BEGAN", false, func(r runbook.Run) string { return localTime(r.Created) }},
			column[runbook.Run]{"SESSION", true, func(r runbook.Run) string { return r.Session }},
			column[runbook.Run]{"MESSAGE", false, func(r runbook.Run) string { return shortened(r.Message, 60) }},
		)
	})
	return cmd
}

func runbooksCancelCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "cancel RUN", Short: "Cancel a run, also in the middle of a statement", Example: example("sallyport runbooks cancel k3q7zw2m5x4a"), Args: atMost(1)}
	open := controlFlags(c, cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "runbooks cancel needs a run; \"sallyport runbooks status\" lists them")
		}
		api, err := open()
		if err != nil {
			return err
		}
		if err := api.CancelRun(ctx, args[0]); err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "run %s is being cancelled\n", visible(args[0]))
		return nil
	})
	return cmd
}

// bookFiles are files of runbooks, with a folder that has what they refer to.
type bookFiles struct {
	root *os.Root
	text map[string][]byte // by path
}

func openBooks(dir string) (*bookFiles, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fail(exitUsage, "runbooks: %v", err)
	}
	b := &bookFiles{root, make(map[string][]byte)}
	entries, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, p := range entries {
		name := filepath.Base(p)
		if strings.HasSuffix(name, ".test.yaml") {
			continue
		}
		if b.text[name], err = b.Read(context.Background(), name, runbook.MaxFile); err != nil {
			return nil, fail(exitError, "%s: %v", p, err)
		}
	}
	return b, nil
}

// Read implements [runbook.Files].
func (b *bookFiles) Read(_ context.Context, path string, limit int) ([]byte, error) {
	i, err := b.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !i.Mode().IsRegular() || i.Size() > int64(limit) {
		return nil, fmt.Errorf("want a regular file of %d bytes or less", limit)
	}
	return b.root.ReadFile(path)
}

// Find implements [runbook.Files].
func (b *bookFiles) Find(_ context.Context, name string) (*runbook.Runbook, error) {
	for _, p := range slices.Sorted(maps.Keys(b.text)) {
		if r, err := runbook.Parse(b.text[p]); err == nil && r.Metadata.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no runbook %q found in the folder", name)
}

// each calls f with every runbook of a folder, and counts those of which it has an error.
func (b *bookFiles) each(c *cli, dir string, f func(file string, r *runbook.Runbook) error) (failed int) {
	for _, p := range slices.Sorted(maps.Keys(b.text)) {
		r, err := runbook.Parse(b.text[p])
		if err == nil {
			err = r.Complete(context.Background(), b)
		}
		if err == nil {
			err = f(p, r)
		}
		if err == nil {
			continue
		}
		failed++
		for l := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(c.out, "%s: %s\n", visible(filepath.Join(dir, p)), visible(l))
		}
	}
	return failed
}

func runbooksLintCommand(c *cli) *cobra.Command {
	return overFolders(c, "lint", "Check the runbooks of a folder, with line and remedy", func(*bookFiles, string, *runbook.Runbook) error { return nil })
}

func runbooksTestCommand(c *cli) *cobra.Command {
	return overFolders(c, "test", "Run the tests of the runbooks of a folder, NAME.test.yaml each", func(b *bookFiles, p string, r *runbook.Runbook) error {
		text, err := b.Read(context.Background(), strings.TrimSuffix(p, ".yaml")+".test.yaml", runbook.MaxFile)
		if err != nil {
			return fmt.Errorf("it has no tests: %w", err)
		}
		cases, err := runbook.ParseTests(text)
		if err != nil {
			return err
		}
		for _, one := range cases {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			err := r.Test(ctx, one)
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// overFolders is a command that does something with the runbooks of a folder.
func overFolders(c *cli, verb, short string, f func(b *bookFiles, file string, r *runbook.Runbook) error) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " [FOLDER]", Short: short, Long: "It asks no gateway. Without a folder it is the current one.", Example: example("sallyport runbooks " + verb + " runbooks"), Args: atMost(1)}
	cmd.RunE = does(func(_ context.Context, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		b, err := openBooks(dir)
		if err != nil {
			return err
		}
		defer b.root.Close()
		if len(b.text) == 0 {
			return fail(exitUsage, "runbooks %s: %s has no files *.yaml", verb, dir)
		}
		if failed := b.each(c, dir, func(file string, r *runbook.Runbook) error { return f(b, file, r) }); failed > 0 {
			return fail(exitError, "runbooks %s: %d of %d runbooks failed", verb, failed, len(b.text))
		}
		fmt.Fprintf(c.out, "%d runbooks are in order\n", len(b.text))
		return nil
	})
	return cmd
}
