package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/protocol"
)

// execCommand runs one statement or command at a resource.
func execCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "exec NAME", GroupID: everydayGroup, Short: "Run one statement or command at a resource, and print what it returns",
		Long:              "It starts the native client, which asks nothing; its exit code is passed on. Rows can be printed as CSV or JSON, of one statement.",
		Example:           example("sallyport exec orders -c \"SELECT count(*) FROM orders\"", "sallyport exec orders -f report.sql --output csv", "sallyport exec vm1 -c \"systemctl status app\""),
		ValidArgsFunction: offers(c, resources, false),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fail(exitUsage, "exec: give what is to run as one text after --command: sallyport exec %s -c TEXT", visible(args[0]))
			}
			return nil
		},
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	text := f.StringP("command", "c", "", "the statement or command, as `text`")
	file := f.StringP("file", "f", "", "a `file` of statements; - is standard input")
	account := f.StringP("account", "a", "", "use this `account` of the resource")
	database := f.StringP("database", "d", "", "use this `database`; empty is the resource's")
	output := outputFlag(f, "", "table", "csv", "json")
	f.BoolVar(&output.stream, "stream", false, "with --output json: an object per line")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || (*text == "") == (*file == "") {
			return fail(exitUsage, "exec NAME needs --command TEXT or --file FILE; \"sallyport ls\" lists the resources")
		}
		if output.stream && output.format != "json" {
			return fail(exitUsage, "--stream is for --output json")
		}
		p, err := openProfile(*profile)
		if err != nil {
			return err
		}
		r, at, err := p.reach(ctx, args[0], *account, *database)
		if err != nil {
			return err
		}
		x := protocol.Execution{Text: *text, File: *file, CSV: output.format != "table"}
		if output.format == "json" {
			x.Null = rand.Text() // which no value is
		}
		cmd, err := executing(r.Type, at, x)
		if err != nil {
			return err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
		if output.format != "json" {
			return runClient(cmd)
		}
		return runRows(c, cmd, x.Null, output.stream)
	})
	return cmd
}

// reach is a resource of the login, and how native clients get there.
func (p *profile) reach(ctx context.Context, name, account, database string) (*control.Resource, *protocol.Endpoint, error) {
	api, err := p.api()
	if err != nil {
		return nil, nil, err
	}
	if err := p.renew(ctx); err != nil {
		return nil, nil, err
	}
	r, err := resource(ctx, api, name)
	if err != nil {
		return nil, nil, err
	}
	at, err := p.endpoint(r, account, database, nil)
	return r, &at, err
}

// executing is the command of the native client of a type of resources for one thing.
func executing(typ string, at *protocol.Endpoint, x protocol.Execution) (*exec.Cmd, error) {
	list := gateway.Defaults().Protocols
	i := slices.IndexFunc(list, func(p protocol.Protocol) bool { return p.Name == typ })
	if i < 0 || list[i].Exec == nil {
		return nil, fail(exitError, "nothing is known that runs a text at a resource of type %s", typ)
	}
	line, err := list[i].Exec(*at, x)
	if err != nil {
		return nil, fail(exitUsage, "%v", err)
	}
	return started(line)
}

// maxRows bounds what is printed as one JSON text, in bytes of CSV.
const maxRows = 64 << 20

// runRows runs a client and prints its rows as JSON: all in one text, or each on a line.
func runRows(c *cli, cmd *exec.Cmd, null string, stream bool) error {
	from, to := io.Pipe()
	cmd.Stdout = to
	printed := make(chan error, 1)
	go func() {
		err := printRows(c.out, from, null, stream)
		from.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // a client that goes on writing is told
		printed <- err
	}()
	ran := runClient(cmd)
	to.CloseWithError(ran) // nil is the end
	if err := <-printed; ran == nil {
		return err
	}
	return ran
}

// printRows prints CSV with a line of names as JSON.
func printRows(w io.Writer, from io.Reader, null string, stream bool) error {
	limited := &io.LimitedReader{R: from, N: maxRows}
	if stream {
		limited.N = 1<<63 - 1
	}
	rows := csv.NewReader(limited)
	names, err := rows.Read()
	if errors.Is(err, io.EOF) {
		names, err = nil, nil // nothing was returned
	}
	if err != nil {
		return err
	}
	rows.ReuseRecord = true
	names = slices.Clone(names)
	var list []json.RawMessage
	for names != nil {
		values, err := rows.Read()
		if errors.Is(err, io.EOF) {
			if limited.N == 0 {
				return fail(exitError, "the rows are more than %d MiB: print them by --output csv, or with --stream", maxRows>>20)
			}
			break
		}
		if errors.Is(err, csv.ErrFieldCount) {
			return fail(exitError, "more than one statement returned rows, and JSON has those of one: print them by --output csv")
		}
		if err != nil {
			return err
		}
		object, err := row(names, values, null)
		if err != nil {
			return err
		}
		if stream {
			if _, err := w.Write(append(object, '\n')); err != nil {
				return err
			}
			continue
		}
		list = append(list, object)
	}
	if stream {
		return nil
	}
	return printObject(w, &output{format: "json"}, "RowList", struct {
		Items []json.RawMessage `json:"items"`
	}{append([]json.RawMessage{}, list...)})
}

// row is a row as a JSON object, with its columns in their order. Values are texts, as the server writes them.
func row(names, values []string, null string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, text := range []string{name, values[i]} {
			if j == 1 {
				b.WriteByte(':')
				if text == null {
					b.WriteString("null")
					continue
				}
			}
			word, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			b.Write(word)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
