package commandline_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/ssh/commandline"
)

// A command runs when its text says all that it does.
func Example() {
	g := &commandline.Grammar{}
	for _, command := range []string{"systemctl status nginx", "tar -czf - /srv", "python3 -", "find /srv -delete"} {
		fmt.Println(command, "->", g.Check(command))
	}
	// Output:
	// systemctl status nginx -> <nil>
	// tar -czf - /srv -> <nil>
	// python3 - -> python3 runs code of its own language from its input
	// find /srv -delete -> <nil>
}
