package masking

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// bodyOf passes a body through a masker in pieces of several sizes, which must
// make no difference, and returns what came out.
func bodyOf(t *testing.T, c Config, media, in string) string {
	t.Helper()
	h, _ := hooksFor(t, c)
	first := ""
	for i, size := range []int{1, 3, 64, 1 << 20} {
		f, err := h.Flow(context.Background(), &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}}, &proxy.Shape{Kind: proxy.ShapeBody, Media: media})
		require.NoError(t, err)
		out := pass(t, f, in, size, false)
		if i == 0 {
			first = out
		}
		require.Equal(t, first, out, "pieces of %d bytes", size)
	}
	return first
}

func TestLeakH1JSON(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"escapes", `{"x":"\u0031\u0032\u0033-\u0034\u0035-\u0036\u0037\u0038\u0039"}`, `{"x":"********"}`},
		{"by key", `{"ssn":"\u0031","n":1}`, `{"ssn":"********","n":1}`},
		{"number by key", `{"a":[{"ssn":123456789,"ok":true}]}`, `{"a":[{"ssn":null,"ok":true}]}`},
		{"card as a number", `{"n":4111111111111111,"m":2}`, `{"n":null,"m":2}`},
		{"key holds it", `{"123-45-6789":{"a":1}}`, `{"***-**-****":{"a":1}}`},
		{"array of a key", `{"ssn":["x1",["y2"],{"z":"w3"}],"b":["x1"]}`, `{"ssn":["**",["**"],{"z":"**"}],"b":["x1"]}`},
		{"JSON in a string", `{"payload":"{\"ssn\":\"123456789\"}","k":"v"}`, `{"payload":"********","k":"v"}`},
		{"harmless escapes", `{"a":"line\nline","b":"{\"n\":\"x\"}","c":"\ud83d\ude00"}`, `{"a":"line\nline","b":"{\"n\":\"x\"}","c":"\ud83d\ude00"}`},
		{"texts around", `{"a":"mail ann@example.com now","b":null}`, `{"a":"mail a**@*******.com now","b":null}`},
		{"a list", `["ann@example.com", 1]`, `["a**@*******.com", 1]`},
		{"several", "{\"ssn\":\"1\"}\n{\"ssn\":2}\n", "{\"ssn\":\"*\"}\n{\"ssn\":null}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := bodyOf(t, Config{}, "application/json; charset=utf-8", c.in)
			require.Equal(t, c.want, got)
			for d := json.NewDecoder(strings.NewReader(got)); ; {
				var v any
				if err := d.Decode(&v); err == io.EOF {
					break
				} else {
					require.NoError(t, err)
				}
			}
			require.Equal(t, got, bodyOf(t, Config{}, "application/vnd.x+json", c.in))
			require.Equal(t, got, bodyOf(t, Config{}, "application/x-ndjson", c.in))
		})
	}
	// A rule's column is a key, also where the default set is off.
	off := Config{Rules: []Rule{{Off: true}, {Columns: []string{"badge"}, With: Redact}}}
	require.Equal(t, `{"badge":"[COLUMN]","ssn":"123-45-6789"}`, bodyOf(t, off, "application/json", `{"badge":"x","ssn":"123-45-6789"}`))
}

func TestLeakH4MediaTypes(t *testing.T) {
	var quoted strings.Builder
	w := quotedprintable.NewWriter(&quoted)
	fmt.Fprintf(w, "Grüße, %s 123-45-6789 %s", strings.Repeat("=x ", 20), strings.Repeat("long line ", 10))
	require.NoError(t, w.Close())
	for _, c := range []struct{ name, media, in, want string }{
		{"NDJSON", "application/x-ndjson", "{\"ssn\":1}\n{\"a\":\"\\u0061nn@example.com\"}\n", "{\"ssn\":null}\n{\"a\":\"********\"}\n"},
		{"events", "text/event-stream", "event: x\ndata: {\"ssn\":\"123456789\",\"n\":1}\n\ndata: mail ann@example.com\n\n", "event: x\ndata: {\"ssn\":\"*********\",\"n\":1}\n\ndata: mail a**@*******.com\n\n"},
		{"CSV", "text/csv", "id,ssn,note\n1,123456789,\"mail ann@example.com, \"\"now\"\"\"\n2,\"12\n34\",x\n", "id,ssn,note\n1,*********,\"mail a**@*******.com, \"\"now\"\"\"\n2,\"**\n**\",x\n"},
		{"CSV with semicolons", "text/csv", "id;ssn\r\n1;123456789\r\n", "id;ssn\r\n1;*********\r\n"},
		{"CSV without names", "text/csv", "1,ann@example.com\n", "1,a**@*******.com\n"},
		{"TSV", "text/tab-separated-values", "id\tssn\n1\t123456789\n", "id\tssn\n1\t*********\n"},
		{"XML", "application/xml", "<p><ssn>123456789</ssn><n a='1'>&#49;23-45-67&#x38;9</n></p>", "<p><ssn>*********</ssn><n a='1'>***-**-****</n></p>"},
		{"attributes", "text/xml", `<p ssn="123456789" id="7">x</p>`, `<p ssn="*********" id="7">x</p>`},
		{"HTML", "text/html; charset=utf-8", `<input name="ssn" value="123456789"><b>&#49;&#50;3-45-6789 &amp; more</b><i>ann&commat;example.com</i>`, `<input name="ssn" value="*********"><b>***-**-**** &amp; more</b><i>a**@*******.com</i>`},
		{"HTML that is left alone", "text/html", "<!doctype html>\n<a href='/x?y=1&amp;z=2'>a &lt; b</a>", "<!doctype html>\n<a href='/x?y=1&amp;z=2'>a &lt; b</a>"},
		{"quoted-printable", "text/plain; encoding=quoted-printable", "=31=32=33-45-=\r\n6789 a=3Db\r\n", "***-**-**** a=3Db\r\n"},
		{"text", "text/plain", "ssn 123-45-6789 ok", "ssn ***-**-**** ok"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, bodyOf(t, Config{}, c.media, c.in)) })
	}
	got := bodyOf(t, Config{}, "text/plain; encoding=quoted-printable", quoted.String())
	plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(got)))
	require.NoError(t, err)
	require.Contains(t, string(plain), "Grüße, =x =x")
	require.Contains(t, string(plain), " ***-**-**** long line")
	redacted := bodyOf(t, Config{Rules: []Rule{{With: Redact}}}, "application/xml", `<a><ssn>1</ssn><b c="ann@example.com">x &lt; 4111111111111111</b></a>`)
	require.Equal(t, `<a><ssn>[US_SSN]</ssn><b c="[EMAIL_ADDRESS]">x &lt; [CREDIT_CARD]</b></a>`, redacted)
	require.NoError(t, xml.Unmarshal([]byte(redacted), new(struct{})))
}

// TestEventsComeAtOnce: an event is not held for the next one.
func TestEventsComeAtOnce(t *testing.T) {
	h, _ := hooksFor(t, Config{})
	f, err := h.Flow(context.Background(), &proxy.Request{}, &proxy.Shape{Kind: proxy.ShapeBody, Media: "text/event-stream"})
	require.NoError(t, err)
	for _, event := range []string{"data: x\n\n", "data: {\"ssn\":\"1\"}\n\n"} {
		var out []byte
		for i := range len(event) {
			out, err = f.Bytes(out, []byte{event[i]})
			require.NoError(t, err)
		}
		require.Len(t, out, len(event))
	}
}

// TestLeakH10LargeBodies has bodies of any size in bounded memory, and a value
// without an end.
func TestLeakH10LargeBodies(t *testing.T) {
	h, _ := hooksFor(t, Config{})
	flow := func(media string) proxy.Filter {
		f, err := h.Flow(context.Background(), &proxy.Request{}, &proxy.Shape{Kind: proxy.ShapeBody, Media: media})
		require.NoError(t, err)
		return f
	}
	unit := []byte(strings.Repeat(`{"id":17,"mail":"ann@example.com","note":"nothing"},`, 100))
	f := flow("application/json")
	var out []byte
	var err error
	for range 2000 {
		out, err = f.Bytes(out[:0], unit)
		require.NoError(t, err)
		require.Less(t, len(out), 2*len(unit))
		require.NotContains(t, string(out[:200]), "ann@")
	}
	for _, media := range []string{"application/json", "text/csv", "text/html", "text/event-stream"} {
		f := flow(media)
		endless := []byte(strings.Repeat("x", 1<<16))
		out, err = f.Bytes(nil, []byte(`"<"`))
		for n := 0; err == nil && n < 3*maxUnit; n += len(endless) {
			var more []byte
			more, err = f.Bytes(nil, endless)
			out = append(out, more...)
		}
		require.ErrorIs(t, err, errUnit, media)
	}
}

// TestLeakX10HostileBodies takes linear time for what is nested or repeated.
func TestLeakX10HostileBodies(t *testing.T) {
	h, _ := hooksFor(t, Config{})
	for _, c := range []struct{ media, unit string }{
		{"application/json", "["},
		{"application/json", `{"ssn":`},
		{"application/json", `{"a":"\\u0031`},
		{"application/json", `\"`},
		{"text/csv", `"`},
		{"text/csv", ","},
		{"text/html", "<"},
		{"text/html", "<a b='"},
		{"text/html", "&#"},
		{"text/plain; encoding=quoted-printable", "=\r\n"},
		{"text/event-stream", "\n"},
		{"text/event-stream", "data:"},
	} {
		f, err := h.Flow(context.Background(), &proxy.Request{}, &proxy.Shape{Kind: proxy.ShapeBody, Media: c.media})
		require.NoError(t, err)
		in := []byte(strings.Repeat(c.unit, 1000000/len(c.unit)))
		for len(in) > 0 && err == nil {
			n := min(4096, len(in))
			_, err = f.Bytes(nil, in[:n])
			in = in[n:]
		}
		if err == nil {
			_, err = f.End(nil)
		}
		require.NoError(t, err, "%q", c.unit)
	}
}
