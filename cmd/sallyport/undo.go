package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/review"
)

// requestLength is that of the identifier of a request; those of sessions are longer.
const requestLength = 10

func sessionsUndoCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "undo SESSION|REQUEST", Short: "Undo an operation that was approved, or list what can be undone in a session",
		Long: "With a session it lists the operations that can be undone, the latest first; with --last it undoes the latest. With a request it undoes the operation that ran by it. " +
			"What undoes it runs as you, by the rules, after another approval. When a row has changed since, nothing is undone.",
		Example: example("sallyport sessions undo 01KXY8N2V5G6W7C8D9E0F1A2B3", "sallyport sessions undo 4jzq7nbkw2"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	last := f.Bool("last", false, "undo the latest operation of the session")
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "sessions undo needs a session or a request; \"sallyport sessions ls\" lists the sessions")
		}
		gateway, err := open()
		if err != nil {
			return err
		}
		id := args[0]
		if len(id) != requestLength {
			all, err := gateway.Undos(ctx, id)
			switch {
			case err != nil:
				return answered(err)
			case !*last:
				return printUndos(c.out, output, all)
			}
			if id = latestUndo(all); id == "" {
				return fail(exitNotFound, "nothing can be undone in session %s", args[0])
			}
		}
		return undo(ctx, c, gateway, id)
	})
	return cmd
}

// latestUndo is the latest operation that was not undone; empty when all were.
func latestUndo(all []review.Undo) string {
	for i := range all {
		if all[i].State == review.UndoKept {
			return all[i].ID
		}
	}
	return ""
}

func printUndos(w io.Writer, o *output, all []review.Undo) error {
	return printList(
		w, o, "Undo", all,
		column[review.Undo]{"REQUEST", false, func(u review.Undo) string { return u.ID }},
		column[review.Undo]{"AT", false, func(u review.Undo) string { return u.At.Local().Format(time.DateTime) }},
		column[review.Undo]{"USER", false, func(u review.Undo) string { return u.Requester }},
		column[review.Undo]{"RESOURCE", false, func(u review.Undo) string { return u.Resource }},
		column[review.Undo]{"WHAT", false, func(u review.Undo) string { return fmt.Sprintf("%s %d %s", u.Effect, u.Rows, u.Table) }},
		column[review.Undo]{"STATE", false, func(u review.Undo) string { return strings.TrimPrefix(string(u.State), "undo_") }},
		column[review.Undo]{"UNTIL", false, func(u review.Undo) string { return u.Expires.Local().Format(time.DateTime) }},
		column[review.Undo]{"SESSION", true, func(u review.Undo) string { return u.Session }},
		column[review.Undo]{"OPERATION", true, func(u review.Undo) string { return fmt.Sprint(u.Operation) }},
	)
}

// undo undoes an operation, and says how that goes.
func undo(ctx context.Context, c *cli, gateway *client.Client, id string) error {
	if err := confirm(c, fmt.Sprintf("Type yes to undo what ran by request %s: ", visible(id))); err != nil {
		return err
	}
	var end control.UndoEvent
	err := gateway.Undo(ctx, id, func(e control.UndoEvent) error {
		end = e
		switch e.Type {
		case "plan":
			fmt.Fprintf(c.err, "undoing request %s of %s: %s\n", visible(e.Undo.ID), visible(e.Undo.Requester), visible(e.Plan))
		case "held":
			fmt.Fprintln(c.err, visible(e.Message))
		}
		return nil
	})
	if err != nil {
		return answered(err)
	}
	switch end.Type {
	case "done":
		_, err := fmt.Fprintf(c.out, "undone: %d rows, by request %s\n", end.Rows, visible(end.Request))
		return err
	case "conflict":
		for _, key := range end.Keys {
			var parts []string
			for i, v := range key {
				if i < len(end.Columns) {
					parts = append(parts, end.Columns[i]+" "+v)
				}
			}
			fmt.Fprintln(c.err, "  "+visible(strings.Join(parts, ", ")))
		}
		return fail(exitDenied, "%s", visible(end.Message))
	}
	return fail(exitPolicy, "%s", visible(end.Message))
}
