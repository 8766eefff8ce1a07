package detect_test

import (
	"fmt"

	"github.com/sallyport/sallyport/detect"
)

// The full set finds values in a text, and says what each of them is.
func ExampleDetector_Find() {
	text := []byte("ann.lee@example.com paid with 4111 1111 1111 1111, order 4111 1111 1111 1112")
	for _, f := range detect.Default().Find(nil, text) {
		fmt.Printf("%s %q\n", f.Type, text[f.Start:f.End])
	}
	// Output:
	// EMAIL_ADDRESS "ann.lee@example.com"
	// CREDIT_CARD "4111 1111 1111 1111"
}

// A Detector of one's own leaves types out and knows further ones.
func ExampleNew() {
	d, err := detect.New(detect.Config{
		Without:  []detect.Type{detect.Email},
		Patterns: []detect.Pattern{{Type: "EMPLOYEE", Regexp: `EMP-\d{6}`}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	text := []byte("EMP-004711 is ann.lee@example.com")
	for _, f := range d.Find(nil, text) {
		fmt.Printf("%s %q\n", f.Type, text[f.Start:f.End])
	}
	// Output: EMPLOYEE "EMP-004711"
}

func ExampleDetector_ExplainColumn() {
	var values [][]byte
	for _, v := range []string{"4111111111111111", "5555555555554444", "378282246310005", "6011111111111117"} {
		values = append(values, []byte(v))
	}
	fmt.Println(detect.Default().ExplainColumn("payment_ref", "bigint", values))
	// Output:
	// CREDIT_CARD, the whole column: 4 values
	// 4 of 4 that look like CREDIT_CARD pass its check, which 1 in 10 would by chance: +7.6
	// it holds numbers: -1
	// its name is that of a thing: -0.25
}

// Who keeps texts asks first whether one may set a secret.
func ExampleMaySetSecret() {
	for _, text := range []string{
		"SELECT * FROM tokens", "ALTER ROLE ann PASSWORD 'x'", "mysql -uroot -px shop", "INSERT INTO t VALUES ('AKIAIOSFODNN7EXAMPLE')",
	} {
		fmt.Println(detect.MaySetSecret([]byte(text)), text)
	}
	// Output:
	// false SELECT * FROM tokens
	// true ALTER ROLE ann PASSWORD 'x'
	// true mysql -uroot -px shop
	// true INSERT INTO t VALUES ('AKIAIOSFODNN7EXAMPLE')
}

func ExampleNamesSecret() {
	for _, name := range []string{"passenger", "Password_hash", "sshPrivateKey", "PGPASSWORD", "public_key"} {
		fmt.Println(detect.NamesSecret(name), name)
	}
	// Output:
	// false passenger
	// true Password_hash
	// true sshPrivateKey
	// true PGPASSWORD
	// false public_key
}
