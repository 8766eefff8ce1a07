package oidc

import (
	"bytes"
	"html/template"
	"net/http"
)

const confirmPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in</title>
<body>
<h1>A command line wants to log in</h1>
<p>It will act as <b>{{.Who}}</b>. Your terminal shows this code:</p>
<p><code>{{.Code}}</code></p>
<p>If it shows another one, or you have not begun this, refuse.</p>
<form method="post" action="../confirm">
<button name="answer" value="no">Refuse</button>
<button name="answer" value="yes">Log in</button>
</form>
</body></html>
`

// show writes a page that runs nothing and sends its form to this host only. The answer
// to the form leads to the program that waits on the browser's machine.
func show(w http.ResponseWriter, page string, data any) {
	var b bytes.Buffer
	if err := template.Must(template.New("page").Parse(page)).Execute(&b, data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self' http://127.0.0.1:*; frame-ancestors 'none'; base-uri 'none'")
	// The browser is gone when this fails.
	_, _ = w.Write(b.Bytes())
}
