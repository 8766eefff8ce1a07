package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// maxGrantFile bounds what is read of a file with a grant.
const maxGrantFile = 64 << 10

// readGrant returns the signed approval that a file holds, and nothing when it holds something else.
func readGrant(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxGrantFile+1))
	if err != nil {
		return "", err
	}
	if _, err := audit.GrantOrigin(string(b)); err != nil {
		return "", nil
	}
	return string(b), nil
}

// verifyGrant proves an approval by itself.
func verifyGrant(c *cli, signed, key string, signers []string, err error) error {
	switch {
	case err != nil:
		return err
	case key == "":
		return fail(exitUsage, "a signed approval is verified with the public key of the log that has signed it: --key FILE (log/key.pub in the audit log)")
	}
	public, err := readPublicKey(key)
	if err != nil {
		return err
	}
	g, err := audit.OpenGrant(signed, append([]string{public}, signers...)...)
	switch {
	case errors.Is(err, audit.ErrOtherSigner):
		return fail(exitError, "NOT PROVEN: %v: give the public key of that log with --key", err)
	case err != nil:
		return fail(exitError, "NOT AS SIGNED: %v", err)
	}
	origin, err := audit.GrantOrigin(signed)
	if err != nil {
		return err
	}
	if g.State != proxy.GrantApproved {
		fmt.Fprintf(c.out, "proven: %s has signed that request %s was %s at %s, by which nothing may run\n", origin, visible(g.Request), visible(g.State), g.Signed.Format(time.RFC3339))
		return nil
	}
	fmt.Fprintf(c.out, "proven: %s has signed the approval of request %s at %s\n", origin, visible(g.Request), g.Signed.Format(time.RFC3339))
	_, err = io.WriteString(c.out, grantLines(g))
	fmt.Fprintln(c.out, "not proven: that it was used, once and for this alone, nor that it was not revoked: that is for the logs of the gateways on its store")
	return err
}

// grantLines is what an approval says, a fact a line.
func grantLines(g *proxy.Grant) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name, visible(value))
		}
	}
	who := g.Requester
	if g.For != "" {
		who += " for " + g.For
	}
	at := g.Resource
	if g.Database != "" {
		at += "/" + g.Database
	}
	if g.Account != "" {
		at += " as " + g.Account
	}
	line("for", who)
	line("at", at)
	line("what", g.Kind)
	line("actions", strings.Join(g.Actions, ", "))
	if g.Rows > 0 {
		line("rows", fmt.Sprintf("at most %d, returned or changed", g.Rows))
	}
	line("text", g.Text)
	line("arguments", g.Arguments)
	if g.Bounds != nil {
		line("rows", fmt.Sprint(g.Bounds.Rows))
		line("which are", g.Bounds.Digest)
	}
	if !g.From.IsZero() {
		line("from", g.From.Format(time.RFC3339))
	}
	line("until", g.NotAfter.Format(time.RFC3339))
	if g.Uses > 0 {
		line("uses", fmt.Sprint(g.Uses))
	}
	line("rules", strings.Join(g.Rules, ", ")+" of "+g.Revision)
	for _, v := range g.Votes {
		text := v.By + " at " + v.At.Format(time.RFC3339)
		if v.Channel != "" {
			text += " by " + v.Channel
		}
		line("approved by", text)
	}
	line("hash", g.Hash)
	return b.String()
}
