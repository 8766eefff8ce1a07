package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
)

var actionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{1,127}$`)

var errAction = errors.New("the request names no action in the way of its service")

// readJSON finds the action in X-Amz-Target, and what it is about in the body.
func (c *call) readJSON() error {
	prefix, action, ok := strings.Cut(c.header.Get("X-Amz-Target"), ".")
	if !ok || c.method != "POST" || len(c.target.Query) > 0 || len(c.target.Path) != 1 || c.target.Path[0] != "" || !strings.HasPrefix(c.media(), "application/x-amz-json-") {
		return errAction
	}
	if !actionName.MatchString(action) || c.header.Get("Content-Encoding") != "" {
		return errAction
	}
	n := valuesOf(c.body)
	switch {
	case n > maxValues:
		return errBody
	case c.holds != nil && !c.holds(n*valueSize):
		return errRoom
	}
	if err := checkJSON(c.body); err != nil {
		return err
	}
	var in map[string]any
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.UseNumber()
	if len(bytes.TrimSpace(c.body)) > 0 && d.Decode(&in) != nil {
		return errBody
	}
	if prefix == c.known.target {
		c.action = c.service + ":" + action
	} else { // a server that reads the end alone runs this action
		c.also = append(c.also, c.service+":"+action)
	}
	var names []string
	if c.service == "dynamodb" {
		tables(in, &names, 0)
		if err := statements(in, &names, 0); err != nil {
			return err
		}
	} else {
		for _, name := range c.known.names {
			names = append(names, texts(in[name])...)
		}
	}
	if c.service == "ssm" {
		c.references(names)
	}
	names = c.named(names)
	slices.Sort(names)
	left := maxShape
	shape, err := json.Marshal(shapeOf(in, "", &left))
	if err != nil {
		return errBody
	}
	if len(in) == 0 {
		shape = nil
	}
	c.query = summary(string(shape), c.body)
	return c.about(action, names)
}

// secretSuffix is what Secrets Manager adds to the name of a secret in its ARN.
var secretSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// named are the names of things, which may be given as ARNs or with a version.
func (c *call) named(list []string) (names []string) {
	for _, given := range list {
		name := strings.TrimPrefix(resourceName(given), "/")
		switch c.service {
		case "ssm":
			name = strings.ReplaceAll(name, ":", "/")
		case "dynamodb": // a backup, an index or an export is of the table before it
			name, _, _ = strings.Cut(name, "/")
		case "cloudformation":
			if name != given { // an ARN goes on with an identifier
				name, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, "changeSet/"), "stackset/"), "/")
				name, _, _ = strings.Cut(name, ":")
			}
		case "rds": // which does not tell capitals from small letters
			name = strings.ToLower(name)
		}
		names = append(names, name)
		// An ARN may have the suffix, or be a part of one: it is about a name with it, or without.
		if short := secretSuffix.ReplaceAllString(name, ""); c.service == "secretsmanager" && name != given && short != name {
			names = append(names, short)
		}
	}
	return names
}

// secretReference is the parameter by which Systems Manager reads a secret of Secrets Manager.
const secretReference = "/aws/reference/secretsmanager/"

// references adds the secrets that parameters are.
func (c *call) references(names []string) {
	for _, name := range names {
		if at := strings.Index(strings.ToLower(name), secretReference); at >= 0 {
			secret, _, _ := strings.Cut(name[at+len(secretReference):], ":")
			c.further = append(c.further, part{c.method, "secretsmanager:GetSecretValue", "/GetSecretValue/" + secret})
		}
	}
}

// texts are the texts of a value, and of a list of them.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, x := range v {
			list = append(list, texts(x)...)
		}
		return list
	}
	return nil
}

// tables collects the tables that a request to DynamoDB names: in TableName and TableArn of anything, in the ARNs of what belongs to a table,
// and the keys of RequestItems.
func tables(v any, to *[]string, depth int) {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			switch {
			case depth <= 4 && (name == "TableName" || name == "TableArn" || name == "SourceTableName" || name == "SourceTableArn" || name == "TargetTableName" || name == "GlobalTableName" || name == "ResourceArn" || name == "BackupArn" || name == "ExportArn" || name == "ImportArn" || name == "StreamArn"):
				*to = append(*to, texts(x)...)
			case depth == 0 && name == "RequestItems":
				if m, ok := x.(map[string]any); ok {
					for table := range m {
						*to = append(*to, table)
					}
				}
			default:
				tables(x, to, depth+1)
			}
		}
	case []any:
		for _, x := range v {
			tables(x, to, depth+1)
		}
	}
}

// Bounds of a body: how deep it may be nested, and how many values it may hold, each of which takes up to valueSize bytes of memory, however few it is
// written in. The longest body with the most values has room.
const (
	maxDepth  = 64
	maxValues = 200_000
	valueSize = 224
)

// valuesOf is how many values a text of JSON has. Of a text that is not JSON it counts what would be read before the error, or more.
func valuesOf(b []byte) int64 {
	n, quoted := int64(1), false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// checkJSON refuses what parsers read differently: keys that are there twice, and what follows the value.
func checkJSON(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	if valuesOf(b) > maxValues {
		return errBody
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errBody
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil || depth > maxDepth {
		return errBody
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			k, err := d.Token()
			name, ok := k.(string)
			if err != nil || !ok || seen[name] {
				return errBody
			}
			seen[name] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errBody
	}
	return nil
}

// tells reports whether the value of a parameter says what is asked for, and holds no data.
func tells(name string) bool {
	for _, end := range []string{"Name", "Names", "Id", "Ids", "Arn", "Identifier", "Expression", "Type", "Mode", "Path", "KeyId", "cluster", "service", "taskDefinition", "State", "Status"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// shapeOf is a value with its data left out. left is how much of its text is still wanted: what comes after that is left out too.
func shapeOf(v any, name string, left *int) any {
	*left--
	switch v := v.(type) {
	case map[string]any:
		if name == "M" { // the names in a map of DynamoDB are data
			return "…"
		}
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) { // as they are written
			if *left < 0 {
				break
			}
			*left -= len(k)
			out[k] = shapeOf(v[k], k, left)
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			if *left < 0 {
				break
			}
			out = append(out, shapeOf(x, name, left))
		}
		return out
	case string:
		if tells(name) {
			*left -= len(v)
			return v
		}
		return "…"
	case json.Number:
		return "…"
	}
	return v
}

// maxShape bounds what is said of a body.
const maxShape = 4 << 10

// summary is what is said of a request besides its path: what it asks for, and the digest of its body, so that what was approved is
// what runs.
func summary(text string, body []byte) string {
	if len(text) > maxShape {
		text = strings.ToValidUTF8(text[:maxShape], "") + "…"
	}
	if len(body) == 0 {
		return text
	}
	if text != "" {
		text += "&"
	}
	return text + "sha256=" + sigv4.Digest(body)
}

var indexed = regexp.MustCompile(`(\.member)?\.\d+$`)

// readQuery finds the action in a form, or in the query.
func (c *call) readQuery() error {
	if len(c.target.Path) != 1 || c.target.Path[0] != "" {
		return errAction
	}
	params := c.target.Query
	switch {
	case c.method == "GET" && len(c.body) == 0:
	case c.method == "POST" && len(params) == 0 && c.media() == "application/x-www-form-urlencoded" && c.header.Get("Content-Encoding") == "":
		if bytes.ContainsAny(c.body, ";") {
			return errBody
		}
		form, err := url.ParseQuery(string(c.body))
		if err != nil {
			return errBody
		}
		params = nil
		for name, values := range form {
			for _, v := range values {
				params = append(params, sigv4.Param{Name: name, Value: v})
			}
		}
	default:
		return errAction
	}
	values, err := once(params)
	if err != nil {
		return err
	}
	for _, p := range params { // servers may not tell capitals from small letters
		for _, name := range append([]string{"Action"}, c.known.names...) {
			if p.Name != name && strings.EqualFold(p.Name, name) {
				return errSeveral
			}
		}
	}
	action := values["Action"]
	if !actionName.MatchString(action) {
		return errAction
	}
	c.action = c.service + ":" + action
	var names []string
	for _, name := range c.known.names { // all of them: services do not mind a parameter that the action does not have
		if v := values[name]; v != "" {
			names = append(names, c.named([]string{v})...)
		}
	}
	if c.service == "cloudformation" && slices.ContainsFunc(params, grantsRoles) {
		c.further = append(c.further, part{c.method, "iam:CreateRole", "/CreateRole"})
	}
	shown := make([]sigv4.Param, 0, len(params))
	for _, p := range params {
		if p.Name == "Action" || p.Name == "Version" {
			continue
		}
		if _, end, ok := cutLast(indexed.ReplaceAllString(p.Name, "")); !ok || !tells(end) {
			p.Value = "…"
		}
		shown = append(shown, p)
	}
	slices.SortFunc(shown, func(a, b sigv4.Param) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for i, p := range shown {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.Name + "=" + p.Value)
	}
	c.query = summary(b.String(), c.body)
	return c.about(action, names)
}

// grantsRoles reports whether a parameter lets a stack's template make or change what IAM has: users, roles, policies, keys.
func grantsRoles(p sigv4.Param) bool {
	return strings.HasPrefix(p.Name, "Capabilities") && strings.Contains(strings.ToUpper(p.Value), "IAM")
}

// cutLast returns the last part of a name with dots.
func cutLast(name string) (before, last string, ok bool) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:], true
	}
	return "", name, name != ""
}
