package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/masking"
)

// deciding is how many rows of a CSV file decide what its columns hold.
const deciding = 1000

// maskCSV masks a CSV file whose first row has the names of its columns. A column
// that holds something sensitive by its name and first values is masked whole,
// the others where something is found.
func maskCSV(out *bufio.Writer, in io.Reader, m *masking.Masker) error {
	r := csv.NewReader(in)
	w := csv.NewWriter(out)
	names, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read CSV: %w", err)
	}
	if err := w.Write(names); err != nil {
		return err
	}
	var first [][]string
	for len(first) < deciding {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read CSV: %w", err)
		}
		first = append(first, row)
	}
	columns := make([]*masking.ColumnMasker, len(names))
	for i, name := range names {
		var values [][]byte
		for _, row := range first {
			values = append(values, []byte(row[i]))
		}
		columns[i] = m.Column(name, "", values)
	}
	masked := func(row []string) error {
		for i, v := range row {
			row[i] = string(columns[i].AppendMasked(nil, []byte(v)))
		}
		return w.Write(row)
	}
	for _, row := range first {
		if err := masked(row); err != nil {
			return err
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read CSV: %w", err)
		}
		if err := masked(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// maskJSON masks one JSON value: strings by their keys and by what is found in
// them; numbers of which something would be masked become null. Space between
// tokens is not kept.
func maskJSON(out *bufio.Writer, in io.Reader, m *masking.Masker) error {
	d := json.NewDecoder(in)
	d.UseNumber()
	j := jsonMask{d: d, out: out, m: m}
	if err := j.value("", 0); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read JSON: more than one value; use --format jsonl for one value per line")
	}
	return nil
}

// maxJSONDepth bounds how deep values are nested.
const maxJSONDepth = 1000

type jsonMask struct {
	d   *json.Decoder
	out *bufio.Writer
	m   *masking.Masker
}

// value masks the next value, of the key name.
func (j *jsonMask) value(name string, depth int) error {
	if depth > maxJSONDepth {
		return errors.New("it is nested too deep")
	}
	t, err := j.d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		return j.nested(t, name, depth)
	case string:
		return j.text(string(j.m.AppendMaskedNamed(nil, []byte(t), name)))
	case json.Number:
		if masked := j.m.AppendMaskedNamed(nil, []byte(t), name); string(masked) != string(t) {
			t = "null"
		}
		_, err = j.out.WriteString(string(t))
	case nil:
		_, err = j.out.WriteString("null")
	default:
		_, err = fmt.Fprint(j.out, t)
	}
	return err
}

// nested masks an object or a list; values of a list are of the list's key.
func (j *jsonMask) nested(open json.Delim, name string, depth int) error {
	j.out.WriteByte(byte(open))
	for n := 0; j.d.More(); n++ {
		if n > 0 {
			j.out.WriteByte(',')
		}
		if open == '{' {
			key, err := j.d.Token()
			if err != nil {
				return err
			}
			name, _ = key.(string)
			if err := j.text(string(j.m.AppendMasked(nil, []byte(name)))); err != nil {
				return err
			}
			j.out.WriteByte(':')
		}
		if err := j.value(name, depth+1); err != nil {
			return err
		}
	}
	end, err := j.d.Token()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(j.out, end)
	return err
}

func (j *jsonMask) text(s string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = j.out.Write(b)
	return err
}
