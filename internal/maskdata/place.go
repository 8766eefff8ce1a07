package maskdata

import (
	"slices"
	"strings"
)

// labelled are places where {L} is a label as people write it.
var labelled = []string{
	"{L}: {V}", "{L} {V}", "{L} is {V}", "Please note my {L} is {V}.", "The {L} on file ({V}) has expired.", "{L}:{V}", "- {L}: {V}\n- status: active", "Hi, my {L} is {V}, thanks!",
	"Customer gave {L} {V} over chat.", "{L} = {V}", "Updated {L} to {V} yesterday", "Name: unknown\n{L}: {V}\nNotes: none", "{L} - {V}", "We could not verify the {L} {V}; please call back.", "{L}\t{V}", "For {L} use {V}.",
	"{L}: {V}, ticket closed",
}

// keyed are places where {K} is a name as programs write it.
var keyed = []string{
	`{"{K}": "{V}"}`, `{"id": 17, "{K}":"{V}", "ok": true}`, "{K}={V}", "{K}: {V}", "<{K}>{V}</{K}>", `INSERT INTO t ({K}) VALUES ('{V}')`, "level=info {K}={V} msg=saved", `{K} = "{V}"`, "UPDATE t SET {K} = '{V}' WHERE id = 7",
	`{"user": {"{K}": "{V}", "tags": ["a", "b"]}}`, "SELECT * FROM t WHERE {K} = '{V}'", `"{K}","{V}"`, "?{K}={V}&page=2", "{K}:\n  - {V}", `<input name="{K}" value="{V}">`, `{\"{K}\": \"{V}\"}`,
}

// bare are places that say nothing about what a value is.
var bare = []string{
	"{V}", "Please see {V} for details.", "({V})", "[{V}]", "\"{V}\"", "it was {V}, she said", "2024-05-06T12:00:01Z INFO request done for {V} in 20ms", "17,{V},active,2024-01-02", "| 12 | {V} | open |", "foo\n{V}\nbar", "{V};{V2}", "'{V}'",
	"Sent {V} to support.", "user said: {V}", "value <{V}> rejected", "a\t{V}\tb",
}

// place returns a text for a value of kind k.
func (m *Maker) place(k *kind, weak bool) string {
	var t string
	switch n := m.r.IntN(10); {
	case n < 4:
		t = strings.ReplaceAll(pick(m, labelled), "{L}", pick(m, k.labels))
	case n < 8 || weak:
		t = strings.ReplaceAll(pick(m, keyed), "{K}", pick(m, k.keys))
	default:
		t = pick(m, bare)
	}
	return strings.ReplaceAll(t, "{V2}", "next")
}

func sortedKeys[V any](of map[string]V) []string {
	keys := make([]string, 0, len(of))
	for k := range of {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
