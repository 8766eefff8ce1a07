package smtp_test

import (
	"fmt"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review/smtp"
)

// A notifier sends mails by a server that it does not connect to yet. A password goes to no server
// without TLS.
func ExampleNew() {
	c := smtp.Config{
		Address: "mail.example.com:587", Username: "gateway", Password: proxy.NewSecret("hunter2"),
		From: "Sallyport <gateway@example.com>", To: []string{"oncall@example.com"},
		Link: func(request string) string { return "https://gw.example.com/requests/" + request },
	}
	n, err := smtp.New(c)
	fmt.Println(n != nil, err)
	c.Security = smtp.Plaintext
	_, err = smtp.New(c)
	fmt.Println(err)
	// Output:
	// true <nil>
	// smtp: a password is not sent without TLS
}
