package audit

import (
	"encoding/hex"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// approvedList are the approvals by which an operation runs.
type approvedList []Approved

// approved are those of an operation that is about to run, in the place of which the record has redacted.
func (l *Log) approved(op proxy.Op, redacted *proxy.Redacted) (list approvedList) {
	if l.approvals == nil {
		return nil
	}
	for _, id := range op.Info().Grants() {
		a := l.approvals(id)
		switch {
		case a == nil:
			list = append(list, Approved{Request: id})
			continue
		case a.Signed == "":
			continue
		}
		x := Approved{Request: id, Grant: a.Signed, At: a.At.UTC().Format(time.RFC3339Nano)}
		if len(a.Salt) > 0 {
			x.Text, x.Arguments, _ = proxy.Digests(op, a.Salt)
			if redacted == nil && saysAll(op) {
				x.Salt = hex.EncodeToString(a.Salt)
			}
		}
		list = append(list, x)
	}
	return list
}

// saysAll reports whether the record has an operation as it is. Of one that is withheld in part, who has the salt could guess the rest.
func saysAll(op proxy.Op) bool {
	var said []string
	switch o := op.(type) {
	case *proxy.Statement:
		for _, a := range o.Args {
			if detect.MaySetSecret(a.Value) {
				return false
			}
		}
		said = []string{string(o.Text)}
	case *proxy.Exec:
		said = []string{o.Command, o.Target}
	case *proxy.Request:
		said = []string{o.Host, o.Path, o.Query}
	case *proxy.File:
		said = []string{o.Path, o.Target}
	case *proxy.Forward:
		said = []string{o.Host}
	}
	return !slices.ContainsFunc(said, func(s string) bool { return !utf8.ValidString(s) || detect.MaySetSecret([]byte(s)) })
}

func (list approvedList) append(b []byte) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(name(b, "approved"), '[')
	for i, a := range list {
		b = quote(append(comma(b, i), `{"request":`...), a.Request)
		b = str(b, "grant", a.Grant)
		b = str(b, "at", a.At)
		b = str(b, "text", a.Text)
		b = str(b, "arguments", a.Arguments)
		b = append(str(b, "salt", a.Salt), '}')
	}
	return append(b, ']')
}
