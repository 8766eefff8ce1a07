package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth bounds how deep values of a request are nested.
const maxDepth = 32

// unambiguous refuses a JSON text with an object that has a name twice, also in letters of another case, or a name
// with a NUL: what is judged is what every reader sees.
func unambiguous(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := value(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the request holds more than one JSON value")
	}
	return nil
}

var errNotJSON = errors.New("the request is not JSON")

func value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return errNotJSON
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("the request is nested more than %d deep", maxDepth)
	}
	seen := make(map[string]bool)
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return errNotJSON
			}
			name, _ := key.(string)
			folded := strings.ToLower(strings.ToUpper(name)) // so that letters are one that have one upper case
			if seen[folded] || strings.ContainsRune(name, 0) {
				return errors.New("an object of the request has a name twice, or one that holds a NUL")
			}
			seen[folded] = true
		}
		if err := value(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // the end
		return errNotJSON
	}
	return nil
}
