package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Pick returns the value of key in a text that holds several: a JSON object, whose values
// are texts or numbers, or lines NAME=VALUE. Key is the whole name first, and a path of names with
// dots between them next. Without a key the whole text is the value, without one line break at its end. Errors hold
// nothing of the text.
func Pick(text []byte, key string) (*Value, error) {
	if key == "" {
		if !isKey(string(text)) {
			text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		}
		return Whole(string(text))
	}
	if object := bytes.TrimSpace(text); len(object) > 0 && object[0] == '{' {
		return pickJSON(object, key)
	}
	return pickLine(text, key)
}

// Pick returns the value of r's key in a text, as [Pick] does. The option user=KEY has the user name
// that belongs to the secret picked from the same text.
func (r Ref) Pick(text []byte) (*Value, error) {
	v, err := Pick(text, r.Key)
	if user := r.Options.Get("user"); err == nil && user != "" {
		var name *Value
		if name, err = Pick(text, user); err == nil {
			v.Username = name.secret().Reveal()
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Whole returns a text that is one secret as a value. Errors hold nothing of the text.
func Whole(s string) (*Value, error) {
	switch {
	case !utf8.ValidString(s) || strings.Contains(s, "\x00"):
		return nil, fmt.Errorf("%w: want UTF-8 without zero bytes", ErrType)
	case s == "":
		return nil, ErrEmpty
	case len(s) > MaxSecret:
		return nil, ErrTooLarge
	}
	return Text(s), nil
}

func pickJSON(text []byte, key string) (*Value, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil { // its error may quote the text
		return nil, fmt.Errorf("%w: want a JSON object for key %q", ErrType, key)
	}
	raw, ok := object[key]
	if head, rest, dotted := strings.Cut(key, "."); !ok && dotted {
		if inner, has := object[head]; has {
			return pickJSON(inner, rest)
		}
	}
	if !ok {
		return nil, fmt.Errorf("key %q: %w", key, ErrNotFound)
	}
	return fromJSON(raw, key)
}

// fromJSON returns a JSON text or number as a value.
func fromJSON(raw json.RawMessage, key string) (*Value, error) {
	var text string
	var number json.Number
	switch {
	case len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil:
	case json.Unmarshal(raw, &number) == nil && number != "":
		text = number.String()
	default:
		return nil, fmt.Errorf("key %q: %w: want a JSON string", key, ErrType)
	}
	return Whole(text)
}

// pickLine reads lines NAME=VALUE as .env files have them: empty lines and those that begin with # say
// nothing, "export " may be first, and a value may be quoted: in ” as it is, and in "" with
// the escapes of a JSON string.
func pickLine(text []byte, key string) (*Value, error) {
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !ok || strings.TrimSpace(name) != key {
			continue
		}
		value = strings.TrimSpace(value)
		switch {
		case len(value) >= 2 && value[0] == '\'' && value[len(value)-1] == '\'':
			value = value[1 : len(value)-1]
		case strings.HasPrefix(value, `"`):
			unquoted, err := strconv.Unquote(value)
			if err != nil {
				return nil, fmt.Errorf("key %q: %w: its quotes do not end, or an escape in them is unknown", key, ErrType)
			}
			value = unquoted
		}
		return Whole(value)
	}
	return nil, fmt.Errorf("key %q: %w", key, ErrNotFound)
}
