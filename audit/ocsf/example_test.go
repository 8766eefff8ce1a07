package ocsf_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/ocsf"
)

// Append is the Format of a sink whose collector reads OCSF.
func Example() {
	b := ocsf.Append(nil, audit.Outgoing{Session: "s1", Index: 1, Type: "session.start", JSON: []byte(
		`{"i":1,"t":"2026-03-04T05:06:07.000000Z","type":"session.start","user":"alice","resource":"orders","protocol":"postgres"}`,
	)})
	var event struct {
		Class int    `json:"class_uid"` // 4001 is network activity
		Time  int64  `json:"time"`
		Name  string `json:"message"`
	}
	if err := json.Unmarshal(b, &event); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", event)
	// Output:
	// {Class:4001 Time:1772600767000 Name:session.start}
}
