// Command maildev is Mailpit 1.33.1 for tests: a server of mail that keeps what it takes and shows it by an API. Its
// flags are Mailpit's.
package main

import "github.com/axllent/mailpit/cmd"

func main() { cmd.Execute() }
