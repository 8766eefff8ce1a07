package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/masking"
)

// maxMask bounds the text that mask holds in memory, in bytes.
const maxMask = 256 << 20

// maskCommand masks a file or standard input, or says what it finds.
func maskCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "mask [FILE]", GroupID: dataGroup, Short: "Mask a text, or list what is found in it",
		Example: example("sallyport mask customers.csv", "sallyport mask --explain --jsonl texts.jsonl"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	format := f.String("format", "", "`format` of the input: text, csv, json or jsonl; empty is that of the file's name, or text")
	explain := f.Bool("explain", false, "list what is found as JSON, one line per text: id, text, and spans with UTF-8 byte offsets")
	lines := f.Bool("jsonl", false, "with --explain: each line of the input is an object with id and text")
	columns := f.Bool("columns", false, "each line of the input is an object with name, db_type and values; prints {i, type} for those that hold something, with --explain of all what speaks for it")
	cmd.RunE = does(func(_ context.Context, args []string) error {
		in := c.in
		if name := strings.Join(args, ""); name != "" && name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return fail(exitNotFound, "%v", err)
			}
			defer file.Close()
			in = file
			if *format == "" {
				*format = formats[strings.ToLower(filepath.Ext(name))]
			}
		}
		out := bufio.NewWriterSize(c.out, 64<<10)
		var err error
		switch {
		case *columns && *lines, *lines && !*explain:
			return fail(exitUsage, "--columns cannot be combined with --jsonl, and --jsonl needs --explain")
		case *columns:
			err = maskColumns(out, c.err, in, *explain)
		case *lines:
			err = explainLines(out, in)
		case *explain:
			err = explainWhole(out, in)
		default:
			err = maskWhole(out, in, *format)
		}
		if ferr := out.Flush(); err == nil {
			err = ferr
		}
		return err
	})
	return cmd
}

// formats are what names of files end in.
var formats = map[string]string{".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}

// maskWhole writes in with what is found in it masked. Texts are taken as a
// whole, so that values over several lines are found.
func maskWhole(out *bufio.Writer, in io.Reader, format string) error {
	m, err := masking.New(masking.Config{})
	if err != nil {
		return err
	}
	switch format {
	case "", "text":
	case "csv":
		return maskCSV(out, in, m)
	case "jsonl":
		return eachLine(in, func(_ int, line []byte) error {
			if err := maskJSON(out, bytes.NewReader(line), m); err != nil {
				return err
			}
			return out.WriteByte('\n')
		})
	case "json":
		if err := maskJSON(out, io.LimitReader(in, maxMask), m); err != nil {
			return err
		}
		return out.WriteByte('\n')
	default:
		return fail(exitUsage, "unknown format %q: want text, csv, json or jsonl", format)
	}
	b, err := readWhole(in)
	if err != nil {
		return err
	}
	_, err = out.Write(m.AppendMasked(nil, b))
	return err
}

func readWhole(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxMask+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxMask {
		return nil, fail(exitError, "the text is longer than %d MiB; cut it into parts", maxMask>>20)
	}
	return b, nil
}

type span struct {
	Start int         `json:"start"`
	End   int         `json:"end"`
	Type  detect.Type `json:"type"`
}

type explanation struct {
	ID    json.RawMessage `json:"id"`
	Text  string          `json:"text"`
	Spans []span          `json:"spans"`
}

func explained(id json.RawMessage, text string) explanation {
	e := explanation{ID: id, Text: text, Spans: []span{}}
	for _, f := range detect.Default().Find(nil, []byte(text)) {
		e.Spans = append(e.Spans, span{f.Start, f.End, f.Type.Standard()})
	}
	return e
}

func encoder(out io.Writer) *json.Encoder {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc
}

func explainWhole(out *bufio.Writer, in io.Reader) error {
	b, err := readWhole(in)
	if err != nil {
		return err
	}
	return encoder(out).Encode(explained(json.RawMessage(`""`), string(b)))
}

// eachLine calls f with every line that is not empty, and says which one was
// wrong.
func eachLine(in io.Reader, f func(i int, line []byte) error) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), 64<<20)
	n := 1
	for i := 0; s.Scan(); n++ {
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := f(i, line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		i++
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}

func explainLines(out *bufio.Writer, in io.Reader) error {
	enc := encoder(out)
	return eachLine(in, func(_ int, line []byte) error {
		var t struct {
			ID   json.RawMessage `json:"id"`
			Text *string         `json:"text"`
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		if t.Text == nil {
			return fmt.Errorf("want an object with text")
		}
		if t.ID == nil {
			t.ID = json.RawMessage("null")
		}
		return enc.Encode(explained(t.ID, *t.Text))
	})
}

// reason is a detect.Reason as JSON.
type reason struct {
	Says   string  `json:"says"`
	Weight float64 `json:"weight"`
}

// columnKeys are those of a line of maskColumns.
var columnKeys = []string{"name", "db_type", "values"}

// maskColumns says what columns hold. Keys that it does not know are told once each.
func maskColumns(out *bufio.Writer, errs io.Writer, in io.Reader, explain bool) error {
	enc := encoder(out)
	told := make(map[string]bool)
	return eachLine(in, func(i int, line []byte) error {
		var t struct {
			Name   string            `json:"name"`
			DBType string            `json:"db_type"`
			Values []json.RawMessage `json:"values"`
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(line, &keys); err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			if !slices.Contains(columnKeys, strings.ToLower(k)) && !told[k] && len(told) < 100 {
				told[k] = true
				fmt.Fprintf(errs, "sallyport: column %d: the unknown key %q is ignored: want name, db_type and values\n", i+1, visible(k))
			}
		}
		values := make([][]byte, 0, len(t.Values))
		for _, raw := range t.Values {
			var s *string
			switch err := json.Unmarshal(raw, &s); {
			case err != nil:
				values = append(values, raw) // a number or the like, as it is written
			case s != nil:
				values = append(values, []byte(*s))
			}
		}
		if explain {
			e := detect.Default().ExplainColumn(t.Name, t.DBType, values)
			reasons := make([]reason, len(e.Reasons))
			for k, r := range e.Reasons {
				reasons[k] = reason(r)
			}
			return enc.Encode(struct {
				I       int         `json:"i"`
				Name    string      `json:"name"`
				Type    detect.Type `json:"type"`
				Whole   bool        `json:"whole"`
				Seen    int         `json:"seen"`
				Reasons []reason    `json:"reasons"`
			}{i, t.Name, e.Type.Standard(), e.Whole, e.Seen, reasons})
		}
		typ, ok := detect.Default().ColumnVerdict(t.Name, t.DBType, values)
		if !ok {
			return nil
		}
		return enc.Encode(struct {
			I    int         `json:"i"`
			Type detect.Type `json:"type"`
		}{i, typ.Standard()})
	})
}
