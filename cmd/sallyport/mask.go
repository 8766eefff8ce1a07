package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/masking"
)

// maxMask bounds the text that mask holds in memory, in bytes.
const maxMask = 256 << 20

// mask masks a file or standard input, or says what it finds.
func mask(_ context.Context, c *cli, args []string) error {
	f := c.flags("mask")
	explain := f.Bool("explain", false, "list what is found as JSON, a line a text: id, text, and spans with UTF-8 byte offsets")
	lines := f.Bool("jsonl", false, "with -explain: each line of the input is an object with id and text")
	columns := f.Bool("columns", false, "each line of the input is an object with name, db_type and values; prints {i, type} for those that hold something")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	in := c.in
	if f.NArg() == 1 {
		file, err := os.Open(f.Arg(0))
		if err != nil {
			return fail(exitNotFound, "%v", err)
		}
		defer file.Close()
		in = file
	}
	out := bufio.NewWriterSize(c.out, 64<<10)
	var err error
	switch {
	case *columns && (*explain || *lines), *lines && !*explain:
		return fail(exitUsage, "-columns stands alone, and -jsonl goes with -explain")
	case *columns:
		err = maskColumns(out, in)
	case *lines:
		err = explainLines(out, in)
	default:
		err = maskWhole(out, in, *explain)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}

// maskWhole takes the input as one text, so that values over several lines are
// found.
func maskWhole(out *bufio.Writer, in io.Reader, explain bool) error {
	b, err := io.ReadAll(io.LimitReader(in, maxMask+1))
	if err != nil {
		return err
	}
	if len(b) > maxMask {
		return fail(exitError, "the text is longer than %d MiB; cut it into parts", maxMask>>20)
	}
	if explain {
		return json.NewEncoder(out).Encode(explained(json.RawMessage(`""`), string(b)))
	}
	m, err := masking.New(masking.Config{})
	if err != nil {
		return err
	}
	_, err = out.Write(m.AppendMasked(nil, b))
	return err
}

type span struct {
	Start int          `json:"start"`
	End   int          `json:"end"`
	Type  masking.Type `json:"type"`
}

type explanation struct {
	ID    json.RawMessage `json:"id"`
	Text  string          `json:"text"`
	Spans []span          `json:"spans"`
}

func explained(id json.RawMessage, text string) explanation {
	e := explanation{ID: id, Text: text, Spans: []span{}}
	for _, f := range masking.Default().Scan(nil, []byte(text)) {
		e.Spans = append(e.Spans, span{f.Start, f.End, f.Type})
	}
	return e
}

// eachLine calls f with every line that is not empty, and says which one was
// wrong.
func eachLine(in io.Reader, f func(i int, line []byte) error) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), 64<<20)
	for i, n := 0, 1; s.Scan(); n++ {
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := f(i, line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		i++
	}
	return s.Err()
}

func explainLines(out *bufio.Writer, in io.Reader) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return eachLine(in, func(_ int, line []byte) error {
		var t struct {
			ID   json.RawMessage `json:"id"`
			Text string          `json:"text"`
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		if t.ID == nil {
			t.ID = json.RawMessage("null")
		}
		return enc.Encode(explained(t.ID, t.Text))
	})
}

func maskColumns(out *bufio.Writer, in io.Reader) error {
	enc := json.NewEncoder(out)
	return eachLine(in, func(i int, line []byte) error {
		var t struct {
			Name   string            `json:"name"`
			Values []json.RawMessage `json:"values"`
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return err
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
		typ, ok := masking.Default().ColumnType(t.Name, values)
		if !ok {
			return nil
		}
		return enc.Encode(struct {
			I    int          `json:"i"`
			Type masking.Type `json:"type"`
		}{i, typ})
	})
}
