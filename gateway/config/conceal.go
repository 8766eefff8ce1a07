package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/revision"
)

// Kept takes the place of what is not shown of an object, and means it when the object is written back.
const Kept = "kept"

// guessable are the keys of users by which their passwords could be guessed.
var guessable = []string{"password", "hash"}

// Changed takes the place of what is not shown of an object and is another than it was.
const Changed = "changed"

// Conceal returns the texts of an object of a kind before and after a change as they are shown: users without what
// their passwords are checked by, and with what of it is changed. Of an object that does not change both are the same.
func Conceal(kind, before, after string) (shownBefore, shownAfter string) {
	if kind != "user" {
		return before, after
	}
	was := make(map[string]string)
	return concealed(before, func(key, value string) string {
			was[key] = value
			return Kept
		}), concealed(after, func(key, value string) string {
			if old, ok := was[key]; !ok || old != value {
				return Changed
			}
			return Kept
		})
}

// concealed is the text of a user with words in the place of what is not shown; empty when it cannot be read.
func concealed(text string, word func(key, value string) string) string {
	if text == "" {
		return ""
	}
	shown, err := replaced(text, func(key string, v *yaml.Node) error {
		*v = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word(key, v.Value)}
		return nil
	})
	if err != nil {
		return ""
	}
	return shown
}

// Fill returns o with what it has of [Kept] as before has it.
func Fill(o, before revision.Object) (revision.Object, error) {
	if o.Kind != "user" {
		return o, nil
	}
	var was yaml.Node
	if before.Text != "" {
		if err := yaml.Unmarshal([]byte(before.Text), &was); err != nil {
			return o, fmt.Errorf("%s: what the store has is not YAML", o.Key)
		}
	}
	filled, err := replaced(o.Text, func(key string, v *yaml.Node) error {
		if v.Value != Kept {
			return nil
		}
		var old *yaml.Node
		if len(was.Content) > 0 {
			old = child(was.Content[0], key)
		}
		if old == nil {
			return fmt.Errorf("%s: %s: got %q, want one, since the user has none in the store that could be kept", o.Key, key, Kept)
		}
		*v = *old
		return nil
	})
	if err != nil {
		return o, err
	}
	o.Text = filled
	return o, nil
}

// replaced returns the text of an object with other values of the keys that are not shown.
func replaced(text string, value func(key string, v *yaml.Node) error) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		return "", fmt.Errorf("it is not YAML")
	}
	n := doc.Content[0]
	changed := false
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; slices.Contains(guessable, key) {
			changed = true
			if err := value(key, n.Content[i+1]); err != nil {
				return "", err
			}
		}
	}
	if !changed {
		return text, nil
	}
	body, err := canonicalYAML(n)
	return string(body), err
}
