package runbook_test

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/runbook"
)

// A value is bound, whatever it holds, and a file that would put one into a text is refused.
func Example() {
	b, err := runbook.Parse([]byte(`
apiVersion: sallyport/v1
kind: Runbook
metadata: {name: unlock-account}
targets: {db: {types: [postgres]}}
params: {name: {type: string, required: true}}
steps:
  - {id: unlock, sql: {text: "update accounts set locked = false where name = $name", affected_rows: 1}}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := b.Plan(runbook.Origin{}, runbook.Choice{Values: map[string]json.RawMessage{"name": []byte(`"x' OR '1'='1"`)}}, []runbook.Resource{
		{Name: "shop", Type: "postgres", Dialect: &runbook.Dialect{Numbered: true, Quote: '"'}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Steps[0].Text)
	fmt.Println(plan.Steps[0].Args)

	_, err = runbook.Parse([]byte("apiVersion: sallyport/v1\nkind: Runbook\nmetadata: {name: x}\ntargets: {db: {types: [postgres]}}\nparams: {name: {type: string}}\nsteps:\n  - {id: a, sql: {text: \"select '$name'\"}}\n"))
	fmt.Println(err)
	// Output:
	// update accounts set locked = false where name = $1
	// [x' OR '1'='1]
	// line 7: steps.a.sql.text: a literal holds a value: $name. Leave the quotes out: $name is bound as a value.
}
