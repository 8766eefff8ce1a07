package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/proxy"
)

// undoSettings are those of a session that undoes something: by them a text of [UndoText] means the same everywhere, whatever character
// set the client has asked for, and what cannot be written back as it was fails.
const undoSettings = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES', time_zone = '+00:00', NAMES utf8mb4"

// kindOf is how values of a type are written back.
type valueKind uint8

const (
	valueText valueKind = iota
	valueNumber
	valueBytes     // as hexadecimal digits
	valueTimestamp // in UTC
	valueUnsteady  // whose text does not say all of it
)

func kindOf(typ string) valueKind {
	switch typ {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year", "double", "bit":
		return valueNumber
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return valueBytes
	case "timestamp":
		return valueTimestamp
	case "float", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection", "vector":
		return valueUnsteady
	}
	return valueText
}

// lost is what imageValue reads of a text that UTF-8 does not hold: the server puts a question mark in the place of a character that
// Unicode does not have.
const lost = "?"

var errLost = errors.New("a text in its rows has characters that Unicode does not have, and cannot be written back")

// imageValue reads a column's value as the digits of its bytes, whatever character set the session has for results.
func imageValue(c *tableColumn, ref string) string {
	path := ref + "." + quoted(c.Name)
	stored := storedValue(c, path)
	text := "CONVERT(" + stored + " USING utf8mb4)"
	switch kindOf(c.Type) {
	case valueBytes:
		return "HEX(" + path + ")"
	case valueText:
		others := func(text string) string { return "CHAR_LENGTH(REPLACE(" + text + ", '?', ''))" }
		return "IF(" + others(stored) + " <=> " + others(text) + ", HEX(" + text + "), '" + lost + "')"
	}
	return "HEX(" + text + ")"
}

// imageText is a value as an image keeps it, of what imageValue has read.
func imageText(typ string, digits []byte) (*string, error) {
	if digits == nil {
		return nil, nil
	}
	if string(digits) == lost {
		return nil, errLost
	}
	raw, err := hex.DecodeString(string(digits))
	if err != nil {
		return nil, impact.ErrAnswer
	}
	text := string(raw)
	switch kindOf(typ) {
	case valueBytes:
		text = string(digits)
	case valueNumber:
		if f, err := strconv.ParseFloat(text, 64); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, impact.ErrAnswer
		}
	case valueTimestamp:
		if text, err = inUTC(text); err != nil {
			return nil, err
		}
	}
	if !utf8.ValidString(text) {
		return nil, errForeign
	}
	return &text, nil
}

// inUTC is the time of a number of seconds, as SQL has it.
func inUTC(seconds string) (string, error) {
	whole, part, _ := strings.Cut(seconds, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 {
		return "", impact.ErrAnswer
	}
	text := "0000-00-00 00:00:00"
	if n > 0 {
		text = time.Unix(n, 0).UTC().Format(time.DateTime)
	}
	if part != "" {
		text += "." + part
	}
	return text, nil
}

// written is a value as SQL has it in a session with undoSettings. It is a plain literal where it can be one: people read it.
func written(c *proxy.ImageColumn, v *string) string {
	switch {
	case v == nil:
		return "NULL"
	case kindOf(c.Type) == valueNumber:
		return *v
	case kindOf(c.Type) == valueBytes:
		return "X'" + *v + "'"
	case strings.ContainsRune(*v, 0):
		return literal(*v)
	}
	return "'" + strings.ReplaceAll(*v, "'", "''") + "'"
}

// asked is a value as SQL has it in every session.
func asked(c *proxy.ImageColumn, v *string) string {
	if k := kindOf(c.Type); v != nil && k != valueNumber && k != valueBytes {
		return literal(*v)
	}
	return written(c, v)
}

// keyIs is the condition that a key is that of a row; of one column it is the value alone.
func keyIs(i *proxy.Image, row *proxy.ImageRow, prefix string, value func(*proxy.ImageColumn, *string) string) string {
	if i.Keys == 1 {
		return value(&i.Columns[0], row.Values[0])
	}
	var all []string
	for c := range i.Keys {
		all = append(all, prefix+quoted(i.Columns[c].Name)+" = "+value(&i.Columns[c], row.Values[c]))
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// keysOf is the condition that a row is one of an image's.
func keysOf(i *proxy.Image, prefix string, value func(*proxy.ImageColumn, *string) string) string {
	var list []string
	for n := range i.Rows {
		list = append(list, keyIs(i, &i.Rows[n], prefix, value))
	}
	if i.Keys > 1 {
		return "(" + strings.Join(list, " OR ") + ")"
	}
	return prefix + quoted(i.Columns[0].Name) + " IN (" + strings.Join(list, ", ") + ")"
}

// keysAre is keysOf in every session.
func keysAre(i *proxy.Image, prefix string) string { return keysOf(i, prefix, asked) }

// UndoText is the statement that undoes what i is of, for a session whose [proxy.Client] says that it
// undoes that. It is empty where i is not one of this protocol.
func UndoText(i *proxy.Image) string {
	if !impact.Undoes(i) {
		return ""
	}
	table := quoted(i.Schema) + "." + quoted(i.Table)
	switch i.Effect {
	case "insert":
		return "DELETE FROM " + table + " WHERE " + keysOf(i, "", written)
	case "delete":
		var names, rows []string
		for c := range i.Columns {
			names = append(names, quoted(i.Columns[c].Name))
		}
		for n := range i.Rows {
			var values []string
			for c := range i.Columns {
				values = append(values, written(&i.Columns[c], i.Rows[n].Values[c]))
			}
			rows = append(rows, "("+strings.Join(values, ", ")+")")
		}
		return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") VALUES " + strings.Join(rows, ", ")
	}
	var sets []string
	for c := i.Keys; c < len(i.Columns); c++ {
		sets = append(sets, quoted(i.Columns[c].Name)+" = "+caseOf(i, c))
	}
	return "UPDATE " + table + " SET " + strings.Join(sets, ", ") + " WHERE " + keysOf(i, "", written)
}

// caseOf is the value of a column by the key of its row.
func caseOf(i *proxy.Image, column int) string {
	var b strings.Builder
	b.WriteString("CASE")
	if i.Keys == 1 {
		b.WriteString(" " + quoted(i.Columns[0].Name))
	}
	for n := range i.Rows {
		fmt.Fprintf(&b, " WHEN %s THEN %s", keyIs(i, &i.Rows[n], "", written), written(&i.Columns[column], i.Rows[n].Values[column]))
	}
	b.WriteString(" END")
	return b.String()
}
