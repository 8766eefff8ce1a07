package relay

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"net/textproto"
)

// maxHints is how many informational answers (1xx) may come before the answer.
const maxHints = 16

var errHints = fmt.Errorf("the upstream sends more than %d informational answers", maxHints)

// Hints returns a context for one request, which fails when too many informational answers come before its answer.
func Hints(ctx context.Context) context.Context {
	hints := 0
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		if hints++; hints > maxHints {
			return errHints
		}
		return nil
	}})
}
