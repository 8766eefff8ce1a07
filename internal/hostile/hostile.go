// Package hostile has values that have broken programs which put values into texts: shells,
// SQL, options, formats, headers, paths. Tests send each through a step, and hold that what
// it reaches sees exactly the value, or nothing.
package hostile

import "strings"

// Values returns the corpus; it has more than 200 values, each once.
func Values() []string {
	list := append([]string(nil), plain...)
	// Every byte that a shell or a scanner of SQL minds, alone, within words, doubled, first and last.
	for _, c := range strings.Split("' \" ` \\ $ ; & | < > ( ) { } [ ] * ? ~ ! # % ^ = - + , : @ /", " ") {
		list = append(list, c, "a"+c+"b", c+c, c+"x", "x"+c)
	}
	return append(list, strings.Repeat("'", 500), strings.Repeat(`\`, 333), strings.Repeat("$(x)", 200))
}

var plain = []string{
	"", " ", "  two  spaces  ", "\t", "a\tb", "\n", "a\nb", "a\r\nb", "trailing\n", "\x00", "a\x00b", "\x1b[31mred", "\x7f", "\u0085", "\u2028",
	"' OR '1'='1", "'; DROP TABLE orders; --", `\'; DROP TABLE orders; --`, "1; DROP TABLE orders", "1 OR 1=1", "') OR ('1'='1", "/* x */", "/*!50000 DROP TABLE orders*/", "--", "-- x",
	"$1", "$2", "?", ":name", "$$x$$", "$tag$x$tag$", "{{ident:x}}", "{{.}}", "${x}", "%(x)s", "NULL", "null", "DEFAULT", "0x41", "1e400", "E'\\x27'", "U&'\\0027'", "N'x'",
	"$(touch owned)", "`touch owned`", "; touch owned", "| touch owned", "&& touch owned", "|| touch owned", "& touch owned", "\ntouch owned\n", "$(touch owned", "'$(touch owned)'", `"$(touch owned)"`,
	"'\"$(touch owned)\"'", `\$(touch owned)`, "<(touch owned)", "> owned", ">> owned", "< /etc/passwd", "2>&1", "<<EOF", "$HOME", "${HOME}", "${HOME:-x}", "$((1+1))", "$IFS", "${IFS}touch${IFS}owned",
	"~", "~root", "*", "*.go", "?", "[a-z]*", "{a,b}", "!!", "!x", "a!b", "#x", "a #b", "a=b", "PATH=/tmp", "-", "-x", "--help", "--", "-rf /", "-o ProxyCommand=touch owned", "-c", "-e", "+x", "@file",
	"\\", "\\n", "\\\\", `a\`, `\x41`, "%s", "%n%n%n", "%00", "%0d%0a", "%2e%2e%2f", "../../etc/passwd", "..", "/", "//host/path", "C:\\x", "file:///etc/passwd", "http://169.254.169.254/",
	"x\r\nSet-Cookie: a=b", "x\r\n\r\nGET / HTTP/1.1", "a b", "a\u00a0b", "\u202etxt.exe", "a\u200bb", "\ufeffx", "ｆｕｌｌ", "а", "ʼ", "’", "＇", "″", "；", "｜", "é", "e\u0301", "ß", "İ", "\U0001f600", "日本語", "\xff", "\xc0\xa7", "a\xffb", "\xed\xa0\x80", "\uffff",
	"true", "false", "yes", "no", "on", "off", "1", "0", "-1", "00", "1_000", "1,5", "+1", "9223372036854775808", "NaN", "Infinity", "-0", "0x10", "1e3", "2026-02-30", "12:61",
	"<script>alert(1)</script>", `{"a":1}`, `","b":"`, "]]>", "<!--", "&amp;", "a&b=c", "?a=b", "#frag", "a;b", "a:b", "root@host", `"`, `""`, "'", "''", "'''", `'"'"'`, "`", "``",
}
