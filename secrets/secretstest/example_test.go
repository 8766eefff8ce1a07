package secretstest_test

import (
	"fmt"

	"github.com/sallyport/sallyport/secrets/secretstest"
)

// A log holds a password in an encoding that a search for the password does not find.
func ExampleLeaks() {
	const password = "correct-horse"
	fmt.Println(secretstest.Leaks("dial orders-db:5432: connection refused", password))
	fmt.Println(secretstest.Leaks("Authorization: Basic YXBwOmNvcnJlY3QtaG9yc2U=", password))
	// Output:
	// []
	// [base64]
}
