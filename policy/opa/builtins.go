package opa

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// harmless are the built-in functions that modules may call: they depend on their arguments
// alone, and reach nothing outside of the evaluation. It is a list of what is allowed, so that
// a function of a later OPA is not there until somebody has looked at it. What goes by the
// clock without saying so, such as the verification of certificates, is not on it.
const harmless = `abs all and any array.concat array.flatten array.reverse array.slice assign base64.decode base64.encode
base64.is_valid base64url.decode base64url.encode base64url.encode_no_pad bits.and bits.lsh bits.negate bits.or bits.rsh
bits.xor ceil concat contains count crypto.hmac.equal crypto.hmac.sha256 crypto.hmac.sha512 crypto.sha256 div endswith eq
equal floor format_int glob.match glob.quote_meta graph.reachable graph.reachable_paths gt gte hex.decode hex.encode indexof
indexof_n internal.member_2 internal.member_3 internal.print internal.template_string internal.test_case intersection
is_array is_boolean is_null is_number is_object is_set is_string json.filter json.is_valid json.marshal json.patch
json.remove json.unmarshal lower lt lte max min minus mul neq net.cidr_contains net.cidr_contains_matches
net.cidr_intersects net.cidr_is_valid net.cidr_merge numbers.range numbers.range_step object.filter object.get object.keys
object.remove object.subset object.union object.union_n or plus print product regex.find_n regex.is_valid regex.match
regex.replace regex.split rego.metadata.chain rego.metadata.rule rem replace round semver.compare semver.is_valid set_diff
sort split sprintf startswith strings.any_prefix_match strings.any_suffix_match strings.count strings.replace_n
strings.reverse substring sum time.add_date time.clock time.date time.diff time.format time.parse_duration_ns
time.parse_ns time.parse_rfc3339_ns time.weekday to_number trim trim_left trim_prefix trim_right trim_space trim_suffix
type_name union units.parse units.parse_bytes upper uri.is_valid uri.parse urlquery.decode urlquery.encode uuid.parse walk`

// volatile are the functions that [Config.Volatile] may add. What a policy that calls one
// decides is never remembered.
var volatile = []string{"time.now_ns", "rand.intn", "uuid.rfc4122"}

// capabilities are what modules may use: the harmless functions and those that are added.
func capabilities(add []string) (*ast.Capabilities, error) {
	for _, name := range add {
		if !slices.Contains(volatile, name) {
			return nil, fmt.Errorf("function %q cannot be allowed: want one of %s", name, strings.Join(volatile, ", "))
		}
	}
	allowed := append(strings.Fields(harmless), add...)
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return !slices.Contains(allowed, b.Name) })
	c.AllowNet = []string{} // nothing; nil would be everything
	return c, nil
}
