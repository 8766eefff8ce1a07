package external_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/masking/external"
)

// An analyzer finds what rules do not. Places count in bytes, whatever the analyzer counts in.
func ExampleAnalyzer() {
	presidio := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"entity_type":"PERSON","start":4,"end":15,"score":0.85}]`) // in characters
	}))
	defer presidio.Close()

	a, err := external.New(external.Config{URL: presidio.URL + "/analyze", Language: "de"})
	if err != nil {
		fmt.Println(err)
		return
	}
	text := []byte("Für Jürgen Groß: Tor 3")
	found, err := a.Find(context.Background(), nil, text)
	if err != nil {
		fmt.Println(err) // what is masked is refused then
		return
	}
	for _, f := range found {
		fmt.Printf("%s %q\n", f.Type, text[f.Start:f.End])
	}
	// Output:
	// PERSON "Jürgen Groß"
}
