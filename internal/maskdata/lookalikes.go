package maskdata

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Corpus is text without any sensitive value.
type Corpus struct {
	Name string
	Text string
}

// LookAlikes returns corpora of about size bytes each that hold nothing
// sensitive, of things that are often taken for it.
func (m *Maker) LookAlikes(size int) (list []Corpus) {
	words := strings.Fields("update handle request buffer index cache error value parse stream config server client retry timeout queue worker session context reader writer")
	word := func() string { return pick(m, words) }
	stamp := func() string {
		return fmt.Sprintf("20%02d-%02d-%02dT%02d:%02d:%02d.%03dZ", 10+m.r.IntN(20), 1+m.r.IntN(12), 1+m.r.IntN(28), m.r.IntN(24), m.r.IntN(60), m.r.IntN(60), m.r.IntN(1000))
	}
	kinds := []struct {
		name string
		line func() string
	}{
		{"uuids", func() string { return m.uuid() }},
		{"hashes", func() string { return m.of(lowerHex, []int{32, 40, 64, 128, 7, 8, 12}[m.r.IntN(7)]) }},
		{"order numbers", func() string {
			return m.one("ORD-"+m.digits(8), "order "+m.digits(10), "PO#"+m.digits(9), "INV-2024-"+m.digits(6), "Order No. "+m.digits(3)+"-"+m.digits(7)+"-"+m.digits(7), "invoice: "+m.digits(10), `{"order_id": `+m.digits(9)+`}`, "ref "+m.digits(3)+"-"+m.digits(3)+"-"+m.digits(4), "tracking 1Z"+m.of(upperAlnum, 16), "SKU "+m.digits(12), "ticket #"+m.digits(7), "case "+m.digits(8))
		}},
		{"versions", func() string {
			return m.one("v", "", "version ", "driver version 31.", "release 10.") + fmt.Sprintf("%d.%d.%d", m.r.IntN(30), m.r.IntN(100), m.r.IntN(1000)) + m.one("", "-rc1", "+build."+m.digits(3), "-SNAPSHOT")
		}},
		{"times", func() string {
			return m.one(stamp(), fmt.Sprint(1500000000+m.r.IntN(3e8)), fmt.Sprint(1500000000000+m.r.Int64N(3e11)), fmt.Sprintf("%02d/%02d/20%02d %02d:%02d", 1+m.r.IntN(12), 1+m.r.IntN(28), 10+m.r.IntN(20), m.r.IntN(24), m.r.IntN(60)), "2024"+m.one("0102", "1112", "0730")+m.one("101500", "235959"), fmt.Sprintf("%02d:%02d:%02d,%03d", m.r.IntN(24), m.r.IntN(60), m.r.IntN(60), m.r.IntN(1000)), fmt.Sprintf("Mon, %02d Jan 2024 10:%02d:00 GMT", 1+m.r.IntN(28), m.r.IntN(60)))
		}},
		{"documentation addresses", func() string {
			return m.one("192.0.2.", "198.51.100.", "203.0.113.") + fmt.Sprint(m.r.IntN(256)) + m.one("", ":443", "/24")
		}},
		{"prices", func() string {
			return m.one("$", "€", "", "USD ") + fmt.Sprintf("%d,%03d.%02d", m.r.IntN(900), m.r.IntN(1000), m.r.IntN(100)) + m.one("", " per unit", "%") + m.one("", " x "+m.digits(2))
		}},
		{"coordinates", func() string {
			return fmt.Sprintf("%d.%06d, -%d.%06d", m.r.IntN(90), m.r.IntN(1e6), m.r.IntN(180), m.r.IntN(1e6))
		}},
		{"base64", func() string { return base64.StdEncoding.EncodeToString([]byte(m.of(alnum+" .,-:{}\"", 57))) }},
		{"json", func() string {
			return fmt.Sprintf(`{"id": %d, "sku": "AB-%s", "qty": %d, "price": %d.%02d, "created_at": %q, "status": %q, "etag": "%s", "parent": null, "weight": %d.%s}`, m.r.IntN(1e9), m.digits(6), m.r.IntN(50), m.r.IntN(1000), m.r.IntN(100), stamp(), word(), m.of(lowerHex, 32), m.r.IntN(9), m.digits(6))
		}},
		{"lock file", func() string {
			return fmt.Sprintf("    \"node_modules/%s-%s\": {\n      \"version\": \"%d.%d.%d\",\n      \"resolved\": \"https://registry.example.com/%s-%s/-/%s-%d.%d.%d.tgz\",\n      \"integrity\": \"sha512-%s==\",\n      \"engines\": {\"node\": \">=%d\"}\n    },", word(), word(), m.r.IntN(20), m.r.IntN(40), m.r.IntN(20), word(), word(), word(), m.r.IntN(20), m.r.IntN(40), m.r.IntN(20), m.of(base64Set, 86), 6+m.r.IntN(16))
		}},
		{"go.sum", func() string {
			return "example.com/" + word() + "/" + word() + fmt.Sprintf(" v%d.%d.%d", m.r.IntN(3), m.r.IntN(40), m.r.IntN(20)) + m.one("", "/go.mod") + " h1:" + m.of(base64Set, 43) + "="
		}},
		{"git log", func() string {
			return "commit " + m.of(lowerHex, 40) + "\nDate:   Mon Jan " + fmt.Sprint(1+m.r.IntN(28)) + " 10:" + fmt.Sprintf("%02d", m.r.IntN(60)) + ":12 2024 +0100\n\n    " + word() + ": " + word() + " the " + word() + " (#" + m.digits(4) + ")\n\n index " + m.of(lowerHex, 7) + ".." + m.of(lowerHex, 7) + " 100644\n"
		}},
		{"access log", func() string {
			return fmt.Sprintf(`192.0.2.%d - - [%02d/Jan/2024:10:%02d:%02d +0000] "GET /api/%s/%d?page=%d HTTP/1.1" %d %d "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36" rt=0.%s`, m.r.IntN(256), 1+m.r.IntN(28), m.r.IntN(60), m.r.IntN(60), word(), m.r.IntN(1e6), m.r.IntN(90), 200+m.r.IntN(300), m.r.IntN(1e6), 90+m.r.IntN(40), m.digits(3))
		}},
		{"syslog", func() string {
			return fmt.Sprintf("Jan %2d 10:%02d:%02d web-%d %s[%d]: %s %s finished pid=%d uid=%d bytes=%d dur=%dms seq=%d", 1+m.r.IntN(28), m.r.IntN(60), m.r.IntN(60), m.r.IntN(20), word(), m.r.IntN(65536), word(), word(), m.r.IntN(65536), m.r.IntN(1000), m.r.IntN(1e9), m.r.IntN(1e5), m.r.IntN(1e9))
		}},
		{"app log", func() string {
			return fmt.Sprintf(`%s INFO [%s] trace_id=%s span_id=%s request_id=%s msg="%s %s" count=%d took=%d.%03dms key=%s:%d offset=%d`, stamp(), word(), m.of(lowerHex, 32), m.of(lowerHex, 16), m.uuid(), word(), word(), m.r.IntN(1e6), m.r.IntN(900), m.r.IntN(1000), word(), m.r.IntN(1e5), m.r.Int64N(1e12))
		}},
		{"go code", func() string {
			return m.one(
				fmt.Sprintf("func (%s *%s) %s(ctx context.Context, key string, n int) error {\n\tif len(key) == 0 || n > %d {\n\t\treturn fmt.Errorf(\"%s: %%q is not %s: %%w\", key, err%s)\n\t}", word()[:1], word(), word(), m.r.IntN(1e6), word(), word(), word()),
				fmt.Sprintf("\tpassword := os.Getenv(\"DB_PASSWORD\")\n\ttoken, err := %s.Token(ctx)\n\tsecret: cfg.Secret,\n\tapiKey = config.APIKey", word()),
				fmt.Sprintf("const %s%s = 0x%s // RFC %d, section %d.%d", word(), word(), m.of(lowerHex, 8), 1000+m.r.IntN(8000), 1+m.r.IntN(9), 1+m.r.IntN(9)),
				fmt.Sprintf("\tcase %d, %d, %d: return []byte{0x%s, 0x%s, 0x%s}", m.r.IntN(999), m.r.IntN(999), m.r.IntN(999), m.of(lowerHex, 2), m.of(lowerHex, 2), m.of(lowerHex, 2)),
				fmt.Sprintf("type %s struct {\n\tPassword string `json:\"password\"`\n\tToken    string `json:\"token,omitempty\"`\n\tKey      []byte\n}", word()))
		}},
		{"js code", func() string {
			return m.one(
				fmt.Sprintf("export const %s = async ({%s, token, key}) => { const password = await get%s(token); return {...%s, key: `${%s}:${key}`} };", word(), word(), word(), word(), word()),
				fmt.Sprintf("if (user.password !== null && this.token === token) { throw new Error('%s: invalid password for user') }", word()),
				fmt.Sprintf("module.exports = {entry: './%s.js', secret: process.env.SECRET, apiKey: config.get('apiKey'), timeout: %d, hash: '[contenthash:8]'};", word(), m.r.IntN(1e5)),
				fmt.Sprintf("document.getElementById('%s').addEventListener('click', e => fetch(`/api/%s/${id}`, {headers: {Authorization: `Bearer ${token}`}}));", word(), word()))
		}},
		{"sql", func() string {
			return fmt.Sprintf("INSERT INTO %s (id, %s, created_at) VALUES (%d, '%s', '%s'), (%d, '%s', now());", word(), word(), m.r.IntN(1e9), word(), stamp(), m.r.IntN(1e9), word())
		}},
		{"yaml", func() string {
			return fmt.Sprintf("- name: %s\n  image: registry.example.com/%s:%d.%d.%d@sha256:%s\n  env:\n  - name: DB_PASSWORD\n    valueFrom: {secretKeyRef: {name: %s, key: password}}\n  ports: [{containerPort: %d}]", word(), word(), m.r.IntN(20), m.r.IntN(40), m.r.IntN(20), m.of(lowerHex, 64), word(), 1000+m.r.IntN(60000))
		}},
		{"hex dump", func() string {
			b := []byte(m.of(alnum+" \x00\x01\xff", 16))
			return fmt.Sprintf("%08x  % x  |%s|", m.r.IntN(1<<30), b, strings.ToValidUTF8(string(b), "."))
		}},
		{"numbers", func() string { return m.digits(1 + m.r.IntN(20)) }},
		{"table", func() string {
			return fmt.Sprintf("| %d | %s | %d.%02d | %d | %s-%s |", m.r.IntN(1e6), word(), m.r.IntN(1e4), m.r.IntN(100), m.r.IntN(1e9), strings.ToUpper(word()[:3]), m.digits(4))
		}},
		{"books", func() string {
			return m.one("ISBN 978-"+m.digits(1)+"-"+m.digits(2)+"-"+m.digits(6)+"-"+m.digits(1), "doi:10."+m.digits(4)+"/"+word()+"."+m.digits(6), "arXiv:"+m.digits(4)+"."+m.digits(5), "pp. "+m.digits(3)+"-"+m.digits(3)+", vol. "+m.digits(2), "EAN "+m.digits(13), "Chapter "+m.digits(1)+"."+m.digits(1)+"."+m.digits(1))
		}},
		{"terraform", func() string {
			return fmt.Sprintf("resource \"aws_instance\" \"%s\" {\n  ami = \"ami-%s\"\n  subnet_id = \"subnet-%s\"\n  key_name = var.key_name\n  arn = \"arn:aws:iam::%s:role/%s\"\n}", word(), m.of(lowerHex, 17), m.of(lowerHex, 17), m.digits(12), word())
		}},
		{"public keys", func() string {
			return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + m.of(base64Set, 43) + " host-" + hex.EncodeToString([]byte(word()[:2]))
		}},
		{"css", func() string {
			return fmt.Sprintf(".%s-%s{color:#%s;margin:%dpx %d.%drem;background:url(data:image/png;base64,%s)}", word(), word(), m.of(lowerHex, 6), m.r.IntN(99), m.r.IntN(9), m.r.IntN(99), m.of(base64Set, 80))
		}},
	}
	for _, k := range kinds {
		var b strings.Builder
		for b.Len() < size {
			b.WriteString(k.line())
			b.WriteByte('\n')
		}
		list = append(list, Corpus{k.name, b.String()})
	}
	return list
}
