package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes; connect passes its client's own code through.
const (
	exitOK = iota
	exitError
	exitUsage
	exitNotFound
	exitNotLoggedIn
	exitPolicy
	exitApproval
	exitDenied
	exitGuardrail
	exitUnreachable
	exitOutdated
)

// exits says what each exit code means, for help and documents.
var exits = []struct {
	code    int
	meaning string
}{
	{exitOK, "done"},
	{exitError, "failed; the message says why"},
	{exitUsage, "the command line is wrong"},
	{exitNotFound, "what was named is not there"},
	{exitNotLoggedIn, "not logged in, or the login has expired"},
	{exitPolicy, "denied by policy"},
	{exitApproval, "needs an approval"},
	{exitDenied, "the request was denied, has expired or was decided already"},
	{exitGuardrail, "refused by a guardrail"},
	{exitUnreachable, "the gateway cannot be reached, or is not the one that is known"},
	{exitOutdated, "this program is older than the gateway understands"},
}

// exitsPassedOn is what the table does not say.
const exitsPassedOn = "\"sallyport connect\" ends with its client's own code, or with 128+N when signal N ended the client."

// exitCodesTopic is what "sallyport help exit-codes" shows.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Every command ends with one of these codes:\n\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "  %2d  %s\n", e.code, e.meaning)
	}
	b.WriteString("\n" + strings.Join(wrap(exitsPassedOn, columns), "\n"))
	return &cobra.Command{Use: "exit-codes", Short: "What exit codes mean", Long: b.String()}
}
