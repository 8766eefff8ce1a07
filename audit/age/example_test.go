package age_test

import (
	"bytes"
	"fmt"
	"io"
	"log"

	"filippo.io/age"

	auditage "github.com/sallyport/sallyport/audit/age"
)

// The gateway has the public key alone, so that only its holder reads what was sealed.
func Example() {
	holder, err := age.GenerateX25519Identity() // on the holder's machine, as age-keygen does
	if err != nil {
		log.Fatal(err)
	}
	recipient, err := auditage.ParseRecipient(holder.Recipient().String()) // for audit.Recording's Original
	if err != nil {
		log.Fatal(err)
	}
	var sealed bytes.Buffer
	w, err := recipient.Seal(&sealed)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(w, "ada@example.com"); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes.Contains(sealed.Bytes(), []byte("ada")))

	r, err := age.Decrypt(&sealed, holder)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(r)
	fmt.Println(string(text), err)
	// Output:
	// false
	// ada@example.com <nil>
}
