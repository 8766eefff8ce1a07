package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/review"
)

// Undos lists the operations that can be undone, of one session or, when session is empty, of all that one may know of; the latest first.
func (c *Client) Undos(ctx context.Context, session string) ([]review.Undo, error) {
	var all control.Undos
	path := "/v1/undo"
	if session != "" {
		path += "?session=" + url.QueryEscape(session)
	}
	err := c.call(ctx, http.MethodGet, path, nil, &all)
	return all.Undos, err
}

// Undo undoes the operation that ran by a request, and hands over how that goes until it has ended; the last event is done, conflict or failed. It is given
// up when ctx ends.
func (c *Client) Undo(ctx context.Context, request string, told func(control.UndoEvent) error) error {
	body, err := c.open(ctx, http.MethodPost, "/v1/undo/"+url.PathEscape(request), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewReader(body)
	var line []byte
	for last := ""; ; {
		line, err = readLine(lines, line[:0])
		var e control.UndoEvent
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF) && (last == "done" || last == "conflict" || last == "failed"):
			return nil
		case err == nil:
			err = json.Unmarshal(line, &e)
		}
		if err != nil {
			return fmt.Errorf("undoing request %s: the gateway's answer has ended before it was known how that went: look at the list: %w", request, err)
		}
		last = e.Type
		if err := told(e); err != nil {
			return err
		}
	}
}
