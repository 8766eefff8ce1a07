package smtp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"

	"github.com/sallyport/sallyport/review"
)

// body is what the two parts of a mail say.
type body struct {
	Headline string
	Facts    []review.Fact
	Command  string
	Link     string
	Pending  bool
}

// advice is for those who decide.
const advice = "This mail decides nothing. Look at the request before you decide about it."

// page is the part in HTML. Everything that others wrote is text there.
var page = template.Must(template.New("mail").Parse(`<!DOCTYPE html>
<html><body style="font-family: sans-serif">
<p><strong>{{.Headline}}</strong></p>
<table cellpadding="3">
{{range .Facts}}<tr><td valign="top" style="color: #666">{{.Name}}</td><td>{{if .Written}}<em>&ldquo;{{.Value}}&rdquo;</em>{{else}}{{.Value}}{{end}}</td></tr>
{{end}}</table>
{{if .Pending}}<p>` + advice + `</p>
{{end}}{{if .Command}}<p><code>{{.Command}}</code></p>
{{end}}{{if .Link}}<p><a href="{{.Link}}">{{.Link}}</a></p>
{{end}}</body></html>
`))

// plainText is the part in plain text.
func (b *body) plainText() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n\n", b.Headline)
	for _, f := range b.Facts {
		value := f.Value
		if f.Written {
			value = `"` + value + `"`
		}
		fmt.Fprintf(&w, "%-12s %s\n", f.Name, value)
	}
	if b.Pending {
		fmt.Fprintf(&w, "\n%s\n", advice)
	}
	for _, way := range []string{b.Command, b.Link} {
		if way != "" {
			fmt.Fprintf(&w, "\n    %s\n", way)
		}
	}
	return w.String()
}

// maxSubject is how many bytes of a headline are the subject.
const maxSubject = 200

// message is a mail, without who it goes to besides those that it names.
func (n *Notifier) message(of *review.Notice, now time.Time) ([]byte, error) {
	b := &body{Headline: of.Headline(), Facts: of.Facts(n.config.Details), Pending: of.Request.State == review.Pending}
	if n.config.Link != nil {
		b.Link = n.config.Link(of.Subject())
	}
	if n.config.Command != nil {
		b.Command = n.config.Command(of.Subject())
	}
	var out bytes.Buffer
	parts := multipart.NewWriter(&out)
	if err := parts.SetBoundary("=_" + token("boundary", of.ID)); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	to := "undisclosed-recipients:;"
	if len(n.to) > 0 {
		var names []string
		for _, a := range n.to {
			names = append(names, a.String())
		}
		to = strings.Join(names, ",\r\n\t")
	}
	subject := strings.ReplaceAll(b.Headline, "=?", "= ?") // which would begin an encoded word
	if len(subject) > maxSubject {
		subject = strings.ToValidUTF8(subject[:maxSubject], "") + "…"
	}
	for _, h := range [][2]string{
		{"From", n.from.String()},
		{"To", to},
		{"Subject", mime.QEncoding.Encode("utf-8", subject)}, // which also folds
		{"Date", now.Format(time.RFC1123Z)},
		// One that comes again has the same identifier, and all of a request are one thread.
		{"Message-ID", n.id("notice", of.ID)},
		{"References", n.id(of.Sort(), of.Subject())},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", fmt.Sprintf("multipart/alternative;\r\n\tboundary=%q", parts.Boundary())},
	} {
		fmt.Fprintf(&out, "%s: %s\r\n", h[0], h[1])
	}
	out.WriteString("\r\n")
	var html strings.Builder
	if err := page.Execute(&html, b); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	for _, part := range [][2]string{{"text/plain", b.plainText()}, {"text/html", html.String()}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part[0] + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, fmt.Errorf("smtp: %w", err)
		}
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write([]byte(part[1])); err != nil {
			return nil, fmt.Errorf("smtp: %w", err)
		}
		if err := q.Close(); err != nil {
			return nil, fmt.Errorf("smtp: %w", err)
		}
	}
	if err := parts.Close(); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return out.Bytes(), nil
}

// id is an identifier of mails.
func (n *Notifier) id(what, name string) string {
	return "<" + token(what, name) + "@" + n.domain() + ">"
}

func token(what, name string) string {
	sum := sha256.Sum256([]byte("sallyport mail " + what + " " + name))
	return hex.EncodeToString(sum[:16])
}
