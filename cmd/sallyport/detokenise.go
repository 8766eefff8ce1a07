package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

// detokenise turns tokens back for a user who proves her password and is in a
// group that may. Each token is noted before its value is shown.
func detokenise(ctx context.Context, c *cli, args []string) error {
	f := c.flags("detokenise")
	file, user := configFlag(f), f.String("u", os.Getenv("USER"), "as this `user`, whose password is read")
	if err := parse(f, args, 1000); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "name the tokens")
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	users, err := cfg.Users()
	if err != nil {
		return err
	}
	password, err := c.askPassword()
	if err != nil {
		return err
	}
	id, err := users.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: *user, Password: proxy.NewSecret(password)})
	if err != nil {
		return fail(exitNotLoggedIn, "%v", err)
	}
	notes, err := os.OpenFile(filepath.Join(cfg.Data(), "detokenised.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer notes.Close()
	masker, err := cfg.Masker(ctx, masking.Config{Detokenised: func(_ context.Context, id *proxy.Identity, t masking.Type, err error) error {
		return noteDetokenised(notes, id, t, err)
	}})
	if err != nil {
		return err
	}
	if masker == nil {
		return fail(exitUsage, "nothing is masked by %s", *file)
	}
	for _, token := range f.Args() {
		value, _, err := masker.Detokenise(ctx, id, []byte(token))
		switch {
		case errors.Is(err, masking.ErrNotPermitted):
			return fail(exitPolicy, "%s has %v; masking_key.detokenise names the groups that do", id.Subject, err)
		case err != nil:
			return err
		}
		fmt.Fprintf(c.out, "%s\n", value)
	}
	return nil
}

// noteDetokenised writes who turned a token of which type back, to the disk.
func noteDetokenised(w *os.File, id *proxy.Identity, t masking.Type, failed error) error {
	note := struct {
		At    time.Time    `json:"at"`
		User  string       `json:"user"`
		Type  masking.Type `json:"type,omitempty"`
		Error string       `json:"error,omitempty"`
	}{At: time.Now().UTC(), User: id.Subject, Type: t}
	if failed != nil {
		note.Error = failed.Error()
	}
	b, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(b, '\n')); err != nil {
		return err
	}
	return w.Sync()
}

// askPassword reads a password once, without showing it where a person types.
func (c *cli) askPassword() (string, error) {
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.err, "Password: ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.err)
		return string(b), err
	}
	line, err := bufio.NewReader(io.LimitReader(c.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
