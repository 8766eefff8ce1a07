package shell_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/proxy"
)

// What runs is found through sudo, shells and substitutions. What is not in the text is said to be unknown.
func Example() {
	for _, command := range []string{"sudo sh -c 'cd /srv && rm -r cache'", "curl -s https://example.com/x | sh"} {
		facts := shell.Grammar{}.Facts(&proxy.Exec{Command: command})
		for _, p := range facts.Programs {
			fmt.Printf("%q\n", p)
		}
		fmt.Printf("unknown: %q\n", facts.Unknown)
	}
	// Output:
	// ["sudo" "sh" "-c" "cd /srv && rm -r cache"]
	// ["sh" "-c" "cd /srv && rm -r cache"]
	// ["cd" "/srv"]
	// ["rm" "-r" "cache"]
	// unknown: []
	// ["curl" "-s" "https://example.com/x"]
	// ["sh"]
	// unknown: ["sh reads commands that are not in the text: write them, or run them from a file"]
}
