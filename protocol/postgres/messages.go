package postgres

import (
	"errors"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// channel says what of a server message can carry data to the client, and so
// what masking does with it. Every type that a server may send is in
// channels; a type that does not is refused.
type channel uint8

const (
	channelNone    channel = iota // numbers and names of the protocol's own
	channelRows                   // Flow sees its values
	channelCopy                   // Flow sees its rows
	channelText                   // Tell sees its fields
	channelNames                  // Tell sees the names in it that may be data; see tellNames
	channelOpaque                 // cannot be seen through: its operation is asked for, with this in mind
	channelHandled                // the gateway answers in its own words
)

var channels = map[byte]channel{
	wire.Authentication:       channelHandled,
	wire.BackendKeyData:       channelHandled,
	wire.NegotiateVersion:     channelHandled,
	wire.BindComplete:         channelNone,
	wire.CloseComplete:        channelNone,
	wire.ParseComplete:        channelNone,
	wire.CommandComplete:      channelNone,
	wire.EmptyQueryResponse:   channelNone,
	wire.NoData:               channelNone,
	wire.ParameterDescription: channelNone,
	wire.PortalSuspended:      channelNone,
	wire.ReadyForQuery:        channelNone,
	wire.RowDescription:       channelNames,
	wire.CopyInResponse:       channelNone,
	wire.CopyOutResponse:      channelNone,
	wire.CopyDone:             channelNone,
	wire.DataRow:              channelRows,
	wire.CopyData:             channelCopy,
	wire.ErrorResponse:        channelText,
	wire.NoticeResponse:       channelText,
	wire.NotificationResponse: channelText,
	wire.ParameterStatus:      channelText,
	wire.FunctionCallResponse: channelOpaque,
	wire.CopyBothResponse:     channelOpaque,
}

// tellNames shows the interceptors the names of a result's columns that may be
// data, as dynamic SQL of a cursor can make them. Others, which are almost
// all, cost nothing.
func (d *down) tellNames(e *entry, shape *proxy.Shape) error {
	if !d.wantsTexts() {
		return nil
	}
	var m *proxy.Message
	for i := range shape.Columns {
		name := shape.Columns[i].Name
		if !likeData(name) {
			continue
		}
		if m == nil {
			m = &proxy.Message{Kind: proxy.MessageNames}
		}
		m.Fields = append(m.Fields, proxy.MessageField{Name: "column", Value: []byte(name)})
	}
	if m == nil {
		return nil
	}
	if err := d.session.session.Tell(d.operation(e), m); err != nil {
		return err
	}
	if m.Changed() {
		return errNames
	}
	return nil
}

var errNames = errors.New("a name of a column holds what must not be shown")

// likeData reports whether a name has four digits or an @.
func likeData(name string) bool {
	digits := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= '0' && c <= '9':
			if digits++; digits == 4 {
				return true
			}
		case c == '@':
			return true
		}
	}
	return false
}
