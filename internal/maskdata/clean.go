package maskdata

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// Clean is a megabyte of prose, rows and logs without a sensitive value.
func Clean() []byte {
	r := rand.New(rand.NewPCG(3, 4))
	words := []string{"the", "shipment", "was", "delivered", "yesterday", "and", "customer", "returned", "part", "of", "invoice", "status", "pending", "after", "review"}
	var b bytes.Buffer
	for b.Len() < 1<<20 {
		switch r.IntN(3) {
		case 0:
			for range 12 {
				b.WriteString(words[r.IntN(len(words))])
				b.WriteByte(' ')
			}
		case 1:
			fmt.Fprintf(&b, `{"id": %d, "status": "shipped", "total": %d.%02d, "sku": "AB-%d"}`, r.IntN(100000), r.IntN(1000), r.IntN(100), r.IntN(10000))
		case 2:
			fmt.Fprintf(&b, "2024-05-%02d 12:%02d:%02d INFO request %d took %dms path=/api/v1/orders", 1+r.IntN(28), r.IntN(60), r.IntN(60), r.IntN(100000), r.IntN(1000))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
