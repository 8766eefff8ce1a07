package aws_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/aws"
)

// What a rule decides about, for a text that a person writes.
func ExampleOperation() {
	for _, text := range []string{"s3:GetObject /reports/2026.csv", "dynamodb:DeleteTable /orders", "s3"} {
		op, err := aws.Operation(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(op.Method, op.Path, op.Action)
	}
	// Output:
	// GET /reports/2026.csv s3:GetObject
	// POST /DeleteTable/orders dynamodb:DeleteTable
	// explaining a request: got "s3", want one such as "s3:GetObject /bucket/key"
}
