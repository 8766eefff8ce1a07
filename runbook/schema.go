package runbook

import (
	"encoding/json"
	"math/big"
)

// Schema returns the JSON Schema (2020-12) of a run's values, for forms. Secrets are not in
// it, since nobody gives them. [Runbook.Bind] decides, whatever a form has let through.
func (b *Runbook) Schema() map[string]any {
	properties, required := map[string]any{}, []string{}
	order := []string{}
	for _, p := range b.Params {
		if Type(p.Type) == SecretType {
			continue
		}
		properties[p.Name] = p.schema()
		order = append(order, p.Name)
		if p.Required {
			required = append(required, p.Name)
		}
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "title": or(b.Metadata.Title, b.Metadata.Name),
		"properties": properties, "required": required, "additionalProperties": false, "x-order": order,
	}
}

// formats are those of JSON Schema, and patterns where it has none.
var formats = map[Type]map[string]any{
	Date:     {"format": "date"},
	DateTime: {"format": "date-time"},
	Duration: {"pattern": `^(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+$`},
	CIDR:     {"pattern": `^[0-9a-fA-F.:]+/[0-9]{1,3}$`},
	UUID:     {"format": "uuid"},
	Email:    {"format": "email", "maxLength": 254},
	URL:      {"format": "uri", "maxLength": 2000},
	IP:       {"anyOf": []any{map[string]any{"format": "ipv4"}, map[string]any{"format": "ipv6"}}},
}

func (p *Param) schema() map[string]any {
	t := Type(p.Type)
	s := map[string]any{"type": "string", "x-type": p.Type}
	for k, v := range formats[t] {
		s[k] = v
	}
	if p.Title != "" {
		s["title"] = p.Title
	}
	if p.Help != "" {
		s["description"] = p.Help
	}
	if p.ValuesFrom != nil {
		s["x-values-from"] = p.ValuesFrom.On
	}
	switch t {
	case Integer, Number:
		s["type"] = p.Type
		set(s, "minimum", p.Min)
		set(s, "maximum", p.Max)
	case Boolean:
		s["type"] = p.Type
	case String:
		s["maxLength"] = maxString
		if p.Pattern != "" {
			s["pattern"] = "^(?:" + p.Pattern + ")$"
		}
		set(s, "minLength", p.Min)
		set(s, "maxLength", p.Max)
	case Text:
		s["maxLength"] = maxText
		set(s, "minLength", p.Min)
		set(s, "maxLength", p.Max)
	case File:
		s["maxLength"] = or(p.MaxBytes, maxFileArg)
	case Enum:
		s["enum"] = p.texts()
	case Multi:
		s["type"], s["uniqueItems"], s["maxItems"] = "array", true, maxMulti
		s["items"] = map[string]any{"type": "string", "enum": p.texts()}
	case Identifier:
		s["enum"] = p.Allow
	}
	if p.Default != nil {
		if v, err := p.Value(p.Default.Text); err == nil {
			s["default"] = v.inJSON()
		}
	}
	return s
}

func (p *Param) texts() []string {
	list := make([]string, len(p.Values))
	for i, v := range p.Values {
		list[i] = v.Text
	}
	return list
}

func set(s map[string]any, key string, l *Literal) {
	if l != nil {
		s[key] = json.Number(l.Text)
	}
}

// inJSON is a value as JSON has it.
func (v *Value) inJSON() any {
	switch {
	case v.Null:
		return nil
	case v.Type == Integer || v.Type == Number:
		if _, ok := new(big.Rat).SetString(v.Text); ok {
			return json.Number(v.Text)
		}
	case v.Type == Boolean:
		return v.Text == "true"
	case v.Type == Multi:
		if v.List == nil {
			return []string{}
		}
		return v.List
	}
	return v.Text
}
