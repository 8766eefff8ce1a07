package masking_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// The default set finds values; a rule names a column that is masked whole.
func ExampleNew() {
	m, err := masking.New(masking.Config{Rules: []masking.Rule{
		{Name: "salaries", Columns: []string{"staff.salary"}, With: masking.Null},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := proxytest.Open(&proxy.Gateway{}, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	op := proxytest.Statement("SELECT id, note, salary FROM staff", proxy.EffectRead)
	s.Ask(context.Background(), op)
	flow, err := s.Flow(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{
		{Name: "id", Relation: "staff", Column: "id"}, {Name: "note", Relation: "staff", Column: "note"}, {Name: "salary", Relation: "staff", Column: "salary"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	row := proxy.NewRow([][]byte{[]byte("7"), []byte("paid with 4111 1111 1111 1111"), []byte("50000")})
	if err := flow.Row(row); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %s, NULL: %t\n", row.Value(0), row.Value(1), row.Value(2) == nil)
	s.Done(op, &proxy.Outcome{})
	// Output: 7, paid with **** **** **** 1111, NULL: true
}
