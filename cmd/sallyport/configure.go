package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/revision"
)

const configureLong = "Objects are resources, access rules, guardrails, masking rules and users, written as the config file has them. They are kept in the gateway's store and used in addition to the config file. Each change is a revision with its author; one that weakens something waits until a second person approves it."

func applyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply", GroupID: operatorGroup, Short: "Make or change objects of the configuration that are kept in the store",
		Long:    configureLong,
		Example: example("sallyport apply -f team.yaml --reason \"ticket 7\"", "sallyport get -o yaml access | sallyport apply -f -"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	files := objectFiles(f)
	reason := f.String("reason", "", "the `reason`, which is recorded")
	var bind bool
	bindFlag(f, &bind)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		req, err := readFiles(c, *files)
		if err != nil {
			return err
		}
		req.Reason, req.Bind = *reason, bind
		return change(ctx, c, open, output, *req)
	})
	return cmd
}

func diffCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff", GroupID: operatorGroup, Short: "Show what apply would change, and whether a second person has to approve it",
		Example: example("sallyport diff -f team.yaml"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	files := objectFiles(f)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		req, err := readFiles(c, *files)
		if err != nil {
			return err
		}
		api, err := open()
		if err != nil {
			return err
		}
		req.Plan = true
		r, err := api.Apply(ctx, *req)
		if err != nil {
			return configured(err)
		}
		if output.format != "text" {
			return printObject(c.out, output, "Revision", r)
		}
		return printDiff(c.out, r)
	})
	return cmd
}

func deleteCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete KIND/NAME...", GroupID: operatorGroup, Short: "Delete objects of the configuration from the store",
		Example:           example("sallyport delete access/developers --reason \"ticket 8\""),
		ValidArgsFunction: offers(c, storedObjects, true),
		Args:              cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which is recorded")
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "delete needs an object, such as access/developers; \"sallyport get\" lists them")
		}
		req := control.ApplyRequest{Reason: *reason}
		for _, word := range args {
			key, err := objectKey(word)
			if err != nil {
				return err
			}
			req.Delete = append(req.Delete, key)
		}
		return change(ctx, c, open, output, req)
	})
	return cmd
}

func getCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get [KIND[/NAME]...]", GroupID: operatorGroup, Short: "List objects of the configuration, or print them for apply",
		Long:              "It shows those of the config file and of the store. With --output yaml it prints those of the store as apply reads them; what passwords are checked by is shown as \"kept\", which leaves it as it is.",
		Example:           example("sallyport get", "sallyport get access/developers -o yaml"),
		ValidArgsFunction: offers(c, allObjects, true),
		Args:              cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		api, err := open()
		if err != nil {
			return err
		}
		all, err := api.Objects(ctx)
		if err != nil {
			return answered(err)
		}
		list, err := chosen(all.Objects, args)
		if err != nil {
			return err
		}
		if output.format == "yaml" {
			return printForApply(c, list)
		}
		return printList(
			c.out, output, "Object", list,
			column[control.Object]{"OBJECT", false, func(o control.Object) string { return o.String() }},
			column[control.Object]{"HOME", false, objectHome},
			column[control.Object]{"TEXT", true, func(o control.Object) string { return strings.Join(strings.Fields(o.Text), " ") }},
		)
	})
	return cmd
}

// objectHome is where an object is kept.
func objectHome(o control.Object) string {
	if o.Hidden {
		return "store (not used: the config file has this name, or does not use the kind)"
	}
	return o.Home
}

// chosen are the objects that words name: all of a kind, or one.
func chosen(all []control.Object, words []string) ([]control.Object, error) {
	if len(words) == 0 {
		return all, nil
	}
	var list []control.Object
	for _, word := range words {
		kind, name, one := strings.Cut(word, "/")
		if !slices.Contains(config.ObjectKinds(), kind) {
			return nil, unknownKind(kind)
		}
		found := false
		for _, o := range all {
			if o.Kind == kind && (!one || o.Name == name) {
				list, found = append(list, o), true
			}
		}
		if one && !found {
			return nil, fail(exitNotFound, "there is no %s; \"sallyport get %s\" lists what there is", visible(word), kind)
		}
	}
	return list, nil
}

func unknownKind(kind string) error {
	return fail(exitUsage, "unknown kind %q of object: want %s", kind, anyOf(config.ObjectKinds()))
}

func objectKey(word string) (revision.Key, error) {
	kind, name, ok := strings.Cut(word, "/")
	if !ok || name == "" {
		return revision.Key{}, fail(exitUsage, "%q is not an object: want KIND/NAME, such as access/developers", word)
	}
	if !slices.Contains(config.ObjectKinds(), kind) {
		return revision.Key{}, unknownKind(kind)
	}
	return revision.Key{Kind: kind, Name: name}, nil
}

// printForApply prints the objects of the store as apply reads them.
func printForApply(c *cli, list []control.Object) error {
	var stored []revision.Object
	for _, o := range list {
		if o.Home == control.HomeStore {
			stored = append(stored, o.Object)
		}
	}
	if n := len(list) - len(stored); n > 0 {
		fmt.Fprintf(c.err, "left out: what is changed in the config file, %d of %d objects\n", n, len(list))
	}
	if len(stored) == 0 {
		return nil
	}
	text, err := config.WriteObjects(stored)
	if err == nil {
		_, err = c.out.Write(text)
	}
	return err
}

func objectFiles(f *pflag.FlagSet) *[]string {
	return f.StringArrayP("file", "f", nil, "`file` of objects, or a folder of such files; - is standard input; may be repeated")
}

func bindFlag(f *pflag.FlagSet, bind *bool) {
	f.BoolVar(bind, "bind", false, "confirm that secrets go to another address or account than they do now")
}

// maxObjectFiles bounds what is read of files of objects, in bytes.
const maxObjectFiles = revision.MaxSize

// readFiles reads files of objects, whose texts are documents of one file then.
func readFiles(c *cli, files []string) (*control.ApplyRequest, error) {
	if len(files) == 0 {
		return nil, fail(exitUsage, "give --file FILE with the objects")
	}
	var names []string
	for _, file := range files {
		info, err := os.Stat(file)
		if file == "-" || err == nil && !info.IsDir() {
			names = append(names, file)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, err := filepath.Glob(filepath.Join(file, pattern))
			if err != nil {
				return nil, err
			}
			names = append(names, found...)
		}
	}
	var texts []string
	size := 0
	for _, name := range names {
		from := c.in
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			from = f
		}
		text, err := io.ReadAll(io.LimitReader(from, maxObjectFiles+1))
		if err != nil {
			return nil, err
		}
		if size += len(text); size > maxObjectFiles {
			return nil, fail(exitUsage, "the files have more than %d bytes: apply them one after the other", maxObjectFiles)
		}
		if _, err := config.ReadObjects(name, text); err != nil {
			return nil, fail(exitUsage, "%v", err)
		}
		texts = append(texts, string(text))
	}
	if len(texts) == 0 {
		return nil, fail(exitUsage, "reading %s: got no file, want files called *.yaml or *.yml", strings.Join(files, ", "))
	}
	return &control.ApplyRequest{Objects: strings.Join(texts, "\n---\n"), File: strings.Join(names, ", ")}, nil
}

// change asks for a change, and prints what becomes of it.
func change(ctx context.Context, c *cli, open func() (*client.Client, error), output *output, req control.ApplyRequest) error {
	api, err := open()
	if err != nil {
		return err
	}
	r, err := api.Apply(ctx, req)
	if err != nil {
		return configured(err)
	}
	return printChange(c, output, r)
}

// configured is answered for what may say several problems, a line each.
func configured(err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	out := answered(err)
	if e, ok := out.(*exitWith); ok {
		return &exitWith{e.code, strings.Join(lines, "\n")}
	}
	return out
}

// printChange prints what has become of a revision. One that waits ends the command with the code of what needs an
// approval.
func printChange(c *cli, output *output, r *control.Revision) error {
	if output.format != "text" {
		if err := printObject(c.out, output, "Revision", r); err != nil {
			return err
		}
	} else if r.State != revision.Rejected {
		for _, ch := range r.Changes {
			fmt.Fprintf(c.out, "%-10s %s\n", done(ch), visible(ch.String()))
		}
	}
	switch {
	case len(r.Changes) == 0:
		fmt.Fprintln(c.err, "nothing to do: the objects are as the files say")
	case r.State == revision.Waiting:
		for _, why := range r.Needs {
			fmt.Fprintln(c.err, visible(why))
		}
		return fail(exitApproval, "revision %d waits for a second person: another who may configure runs \"sallyport revisions approve %d\"", r.Number, r.Number)
	case r.Unused != "":
		return fail(exitError, "revision %d is kept, but is not used yet: %s", r.Number, visible(r.Unused))
	case r.State == revision.Applied:
		fmt.Fprintf(c.err, "revision %d is in use\n", r.Number)
	default:
		fmt.Fprintf(c.err, "revision %d is %s\n", r.Number, visible(string(r.State)))
	}
	return nil
}

// done says what a change does.
func done(ch revision.Change) string {
	switch {
	case ch.Before == "":
		return "created"
	case ch.After == "":
		return "deleted"
	}
	return "changed"
}

// printDiff prints the changes of a revision, and why it needs a second person.
func printDiff(w io.Writer, r *control.Revision) error {
	for _, ch := range r.Changes {
		name := func(text string) string {
			if text == "" {
				return "/dev/null"
			}
			return visible(ch.String())
		}
		before, after := difflib.SplitLines(ch.Before), difflib.SplitLines(ch.After)
		if ch.Before == "" {
			before = nil
		}
		if ch.After == "" {
			after = nil
		}
		text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: before, B: after, FromFile: name(ch.Before), ToFile: name(ch.After), Context: 3})
		if err != nil {
			return err
		}
		if text == "" {
			text = fmt.Sprintf("%s: it is written in another way\n", ch.Key)
		}
		for line := range strings.Lines(text) {
			if _, err := fmt.Fprintln(w, visible(strings.TrimSuffix(line, "\n"))); err != nil {
				return err
			}
		}
	}
	for _, why := range r.Needs {
		if _, err := fmt.Fprintln(w, "needs a second person: "+visible(why)); err != nil {
			return err
		}
	}
	return nil
}
