package aws

import (
	"encoding/json"
	"slices"
	"strings"
)

// publicPolicy reports whether a bucket's policy allows something to everybody. Servers differ in whether they tell capitals of its names from
// small letters: each reading counts.
func publicPolicy(b []byte) (bool, error) {
	if err := checkJSON(b); err != nil {
		return false, err
	}
	var in map[string]any
	if json.Unmarshal(b, &in) != nil {
		return false, errBody
	}
	for _, v := range under(in, "Statement") {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, v := range list {
			s, ok := v.(map[string]any)
			if !ok {
				return false, errBody
			}
			if slices.ContainsFunc(under(s, "Effect"), allows) && (len(under(s, "NotPrincipal")) > 0 || slices.ContainsFunc(under(s, "Principal"), anybody)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// under are the values of a name, in capitals or small letters.
func under(in map[string]any, name string) (list []any) {
	for key, v := range in {
		if strings.EqualFold(key, name) {
			list = append(list, v)
		}
	}
	return list
}

func allows(effect any) bool {
	text, ok := effect.(string)
	return ok && strings.EqualFold(text, "Allow")
}

// anybody reports whether a principal of a policy, or one of several, is everybody.
func anybody(v any) bool {
	switch v := v.(type) {
	case string:
		return v == "*"
	case []any:
		return slices.ContainsFunc(v, anybody)
	case map[string]any:
		for _, x := range v {
			if anybody(x) {
				return true
			}
		}
	}
	return false
}

// publicGrant reports whether a request gives everybody rights by an access control list.
func publicGrant(c *call) (bool, error) {
	for name, values := range c.header {
		lower := strings.ToLower(name)
		if lower != "x-amz-acl" && !strings.HasPrefix(lower, "x-amz-grant-") {
			continue
		}
		if slices.ContainsFunc(values, wide) {
			return true, nil
		}
	}
	if c.action != "s3:PutBucketAcl" && c.action != "s3:PutObjectAcl" {
		return false, nil
	}
	text, err := xmlText(c.body)
	return wide(text), err
}

// wide reports whether a text of an access control list names everybody, or every customer of AWS.
func wide(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "public-") || strings.Contains(s, "authenticated-read") || strings.Contains(s, "groups/global/allusers") || strings.Contains(s, "groups/global/authenticatedusers") ||
		strings.Contains(s, "&#")
}
