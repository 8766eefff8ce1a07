package detect

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recall has texts in which the part between « and » is a value of the type.
var recall = []struct {
	typ  Type
	text string
}{
	{Card, "paid with «4111111111111111» today"},
	{Card, "«5555 5555 5555 4444»"},
	{Card, "«5555-5555-5555-4444»"},
	{Card, `{"pan": "«2223003122003222»"}`},
	{Card, "«378282246310005»"},
	{Card, "«3782 822463 10005»"},
	{Card, "«6011111111111117»"},
	{Card, "«3530111333300000»"},
	{Card, "«6200000000000005»"},
	{Card, "diners card «30569309025904»"},
	{Card, "«４１１１１１１１１１１１１１１１»"},
	{Card, "«4111\u200b1111\u200b1111\u200b1111»"},
	{USSSN, "his number is «123-45-6789»."},
	{USSSN, "SSN: «123456789»"},
	{USSSN, `"ssn":"«078051120»"`},
	{USITIN, "«912-78-1234»"},
	{IBAN, "«DE89370400440532013000»"},
	{IBAN, "IBAN «GB82 WEST 1234 5698 7654 32», thanks"},
	{IBAN, "«FR1420041010050500013M02606»"},
	{IBAN, "«no9386011117947»"},
	{UKNHS, "«943 476 5919»"},
	{UKNHS, "NHS number «9434765919»"},
	{UKNINO, "«AB123456C»"},
	{UKNINO, "nino «AB 12 34 56 C» ok"},
	{DETaxID, "Steuer-ID «86095742719»"},
	{DETaxID, "«86 095 742 719»"},
	{FRNIR, "«255081416802538»"},
	{ESNIF, "DNI «12345678Z»"},
	{ESNIF, "«12345678-Z»"},
	{ESNIE, "«X1234567L»"},
	{ITFiscal, "«RSSMRA85T10A562S»"},
	{NLBSN, "BSN «111222333»"},
	{PLPESEL, "PESEL: «44051401359»"},
	{BRCPF, "«529.982.247-25»"},
	{BRCPF, "cpf=«52998224725»"},
	{BRCNPJ, "«11.222.333/0001-81»"},
	{INPAN, "«ABCPE1234F»"},
	{INGSTIN, "«27AAPFU0939F1ZV»"},
	{CASIN, "«130 692 544»"},
	{AUTFN, "TFN «123 456 782»"},
	{AUABN, "«51 824 753 556»"},
	{AUMedicare, "«2123 45670 1»"},
	{KRRRN, "«900101-1234568»"},
	{CNID, "«11010519491231002X»"},
	{SEPersonnr, "«811218-9876»"},
	{FIHetu, "«131052-308T»"},
	{CHAHV, "«756.9217.0769.85»"},
	{CHAHV, "«7569217076985»"},
	{BENRN, "«85.07.30-033.28»"},
	{ZAID, "identity «8001015009087»"},
	{TRTCKN, "kimlik «10000000146»"},
	{ARCUIT, "«20-05536168-2»"},
	{CLRUT, "«12.345.678-5»"},
	{SGNRIC, "«S1234567D»"},
	{HKID, "«A123456(3)»"},
	{TWID, "«A123456789»"},
	{ROCNP, "CNP «1800101221144»"},
	{HROIB, "OIB «69435151530»"},
	{IEPPS, "«1234567T»"},
	{MXCURP, "«HEGG560427MVZRRL04»"},
	{Passport, "passport no «C01X00T47»"},
	{Passport, "Passport: «123456789»"},
	{BankAccount, "account number «000123456789»"},
	{BirthDate, "born «1980-02-29»"},
	{BirthDate, "date of birth: «12/31/1979»"},
	{BirthDate, `"dob":"«31.12.1979»"`},
	{Phone, "call «+1 (415) 555-2671» now"},
	{Phone, "«+442079460958»"},
	{Phone, "«+49 30 901820»"},
	{Phone, "«415-555-2671»"},
	{Phone, "«(415) 555-2671»"},
	{Phone, "«06 12 34 56 78»"},
	{Phone, "«020 7946 0958»"},
	{Phone, "«0049 30 901820 12»"},
	{Phone, "«090-1234-5678»"},
	{Phone, "phone: «4155552671»"},
	{Phone, "TEL-«0301234567»"},
	{Phone, "«(11) 91234-5678»"},
	{Email, "«alice@example.com»"},
	{Email, "<«bob.o'neil+tag@mail.example.co.uk»>."},
	{Email, "mailto:«a_b@x-y.org»?subject=1"},
	{Email, "user=«alice%40example.com»&x=1"},
	{Email, "«jörg@müller.de»"},
	{Email, "to=«a@b.io»,"},
	{Email, "j\xf6«rg@example.de» in Latin 1"},
	{IP, "from «8.8.4.4» port"},
	{LocalIP, "«10.1.2.3»:443"},
	{IP, "«2a00:1450:4001:82a::200e»"},
	{LocalIP, "addr «fe80::1ff:fe23:4567:890a», up"},
	{MAC, "«00:1a:2b:3c:4d:5e»"},
	{MAC, "«AA-BB-CC-DD-EE-0F»"},
	{Crypto, "«1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa»"},
	{Crypto, "«0x52908400098527886E0F7030069857D2E4169EE7»"},
	{Crypto, "«bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»"},
	{Password, "postgres://app:«s3cr3t!»@db:5432/x"},
	{Password, "password=«hunter2» host=db"},
	{Password, `{"password": "«correct horse»", "a": 1}`},
	{Password, "DB_PASSWORD='«p@ss w»'"},
	{Password, "ALTER ROLE a PASSWORD '«x1y»'"},
	{Secret, "client_secret: «Zk39fjw02kdLs9wqpz»"},
	{Secret, "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1»"},
	{Secret, "Authorization: «Bearer mF_9.B5f-4.1JqM8sdf92kd»"},
	{Secret, "Authorization: «Basic YWxpY2U6d29uZGVybGFuZA==»"},
	{Secret, "AccountKey=«Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A=»;Endpoint"},
	{CloudKey, "«AKIAIOSFODNN7EXAMPLE»"},
	{CloudKey, "key=«AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe»"},
	{APIToken, "«ghp_16C7e42F292c6912E7710c838347Ae178B4a»"},
	{APIToken, "«glpat-ABCdefGHIjklMNOpqrST»"},
	{APIToken, "«xoxb-123456789012-123456789012-AbCdEfGhIjKl»"},
	{APIToken, "«sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc»"},
	{APIToken, "«sk-proj-abcDEF123456789012345678901234567890»"},
	{APIToken, "«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»"},
	{JWT, "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»"},
	{PrivateKey, "x\n«-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\n-----END RSA PRIVATE KEY-----»\ny"},
	{PrivateKey, "«-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU»"},
}

func TestScanFindsEveryType(t *testing.T) {
	for _, c := range recall {
		t.Run(c.text, func(t *testing.T) {
			start := strings.Index(c.text, "«")
			end := strings.Index(c.text, "»") - len("«")
			text := strings.NewReplacer("«", "", "»", "").Replace(c.text)
			got := Default().Find(nil, []byte(text))
			for _, f := range got {
				if f.Type == c.typ && f.Start == start && f.End == end {
					require.Len(t, got, 1)
					return
				}
			}
			require.Failf(t, "not found", "%v in %q, want %s at %d to %d", got, text, c.typ, start, end)
		})
	}
}

// untouched are look-alikes.
var untouched = []string{
	"2024-05-06", "2024-05-06 12:34:56.789012+00", "06/05/2024", "12:34:56", "20240506123456", "1714998896", "1714998896123",
	"550e8400-e29b-41d4-a716-446655440000", "12345678-1234-4321-8765-123456789012",
	"d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"order 1234567890", "invoice no. 4155552671", "order_id=123456789", `{"id": 123456789, "total": 1999.95}`,
	"1.2.3", "v10.0.3.1", "PostgreSQL 15.6", "127.0.0.1:5432", "0.0.0.0", "192.0.2.1", "::1", "std::vector<int>", "12::34",
	"1234567", "123456789", "1234567890", "12345678901", "9007199254740993", "3.14159265358979", "-122.419416, 37.774929", "1,234,567,890",
	"user@localhost", "logo@2x.png", "npm i left-pad@1.3.0", "git@github.com:sallyport/sallyport.git", "@alice", "a @ b",
	"password", "password: required for all users", "password = ?", `"password": null`, "password=${DB_PASSWORD}", "token count: 12", "SELECT password FROM users",
	"http://example.com/a:b@c", "https://example.com:8443/x?y=z", "5f3a:2b", "00:00:00:00:00:00",
	"4111111111111112", "123-45-67890", "000-12-3456", "666-12-3456", "DE89370400440532013001", "eyJhbGciOiJIUzI1NiJ9",
	"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIB",
	"SKU-4155552671", "part 12-3456789", "ISBN 978-3-16-148410-0", "isbn 9783161484100", "chapter 1.2.3.4", "0xdeadbeef", "AKIAIOSFODNN7EXAMPL",
	"00000000-0000-0000-0000-000000000000", "1111 1111 1111 1111", "The year 1999 and 2001, 42 times", "sk-learn and risk-averse thinking about many things today",
	"ABCDE1234F5", "192.168.1.300", "Thu Feb 04 21:00:57 +1130 2010", "m=+123.456789000", "cacae4329f", "c152449012", "1.2.3.4.5", "256.1.1.1", "2001:db8::1", "00.00.00", "A-1234", "int4(11)", "x'1F'", "#123456", "$1,299.00", "50%",
}

func TestScanLeavesLookAlikes(t *testing.T) {
	for _, text := range untouched {
		for _, around := range []string{"%s", "x %s y", "%s, %s"} {
			b := []byte(strings.ReplaceAll(around, "%s", text))
			require.Empty(t, Default().Find(nil, b), "%q", b)
		}
	}
}

// TestScanFalseHits counts findings in a megabyte of generated look-alikes.
func TestScanFalseHits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]func() string{
		"uuid": func() string {
			return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(65536), r.IntN(4096), r.IntN(4096), r.Int64N(1<<48))
		},
		"md5":  func() string { return fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()) },
		"sha1": func() string { return fmt.Sprintf("%016x%016x%08x", r.Uint64(), r.Uint64(), r.Uint32()) },
		"timestamp": func() string {
			return fmt.Sprintf("20%02d-%02d-%02d %02d:%02d:%02d.%06d", r.IntN(30), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
		},
		"epoch":     func() string { return fmt.Sprint(1500000000 + r.IntN(300000000)) },
		"epoch ms":  func() string { return fmt.Sprint(1500000000000 + r.Int64N(300000000000)) },
		"serial":    func() string { return fmt.Sprint(r.Int64N(1e10)) },
		"eleven":    func() string { return fmt.Sprintf("%011d", r.Int64N(1e11)) },
		"snowflake": func() string { return fmt.Sprint(1<<60 + r.Int64N(1<<60)) },
		"price":     func() string { return fmt.Sprintf("%d.%02d", r.IntN(100000), r.IntN(100)) },
		"version":   func() string { return fmt.Sprintf("v%d.%d.%d", r.IntN(20), r.IntN(50), r.IntN(1000)) },
		"sku":       func() string { return fmt.Sprintf("%c%c-%06d", 'A'+r.IntN(26), 'A'+r.IntN(26), r.IntN(1e6)) },
		"binary": func() string {
			var b [64]byte
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return string(b[:])
		},
		"base64": func() string { return fmt.Sprintf("%c%x", 'g'+r.IntN(10), r.Uint64()) },
	}
	for name, make := range kinds {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			for b.Len() < 1<<20 {
				b.WriteString(make())
				b.WriteString(",\n")
			}
			found := Default().Find(nil, b.Bytes())
			counts := map[Type]int{}
			for _, f := range found {
				counts[f.Type]++
			}
			limit := 300
			if name == "binary" {
				limit = 1 // archives and the like pass through terminals' streams
			}
			require.LessOrEqual(t, len(found), limit, "%v, as %q", counts, sample(b.Bytes(), found))
		})
	}
}

func sample(b []byte, found []Finding) (texts []string) {
	for _, f := range found[:min(5, len(found))] {
		texts = append(texts, string(b[f.Start:f.End]))
	}
	return texts
}

func TestScanOfCleanTextDoesNotAllocate(t *testing.T) {
	text := []byte(strings.Repeat("order 1234567890 of 2024-05-06 for 19.99, ref A1234567B, status: shipped; see http://example.com/x\n", 20))
	p := Default()
	var dst []Finding
	require.Empty(t, p.Find(dst, text))
	require.Zero(t, testing.AllocsPerRun(100, func() { dst = p.Find(dst[:0], text) }))
}

func TestScanIsLinear(t *testing.T) {
	for _, unit := range []string{
		"1", "1 ", "@", "a@", "a.", ":", "::", "a:", "=", "password=", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJ.", "sk-", "://a:", "1.2.3.4.", "+1", "ab12", "\xe0\xa5\xa6", "(", "\"", "x1_", "Basic ",
	} {
		t.Run(unit, func(t *testing.T) {
			text := []byte(strings.Repeat(unit, 1000000/len(unit)))
			began := time.Now()
			Default().Find(nil, text)
			require.Less(t, time.Since(began), 15*time.Second, "a megabyte; quadratic takes minutes")
		})
	}
}

func TestWithout(t *testing.T) {
	p, err := New(Config{Without: []Type{Email, APIToken, USSSN}})
	require.NoError(t, err)
	require.Empty(t, p.Find(nil, []byte("a@example.com 123-45-6789 ghp_16C7e42F292c6912E7710c838347Ae178B4a")))
}

func TestMalformedRecognizers(t *testing.T) {
	for name, r := range map[string]Recognizer{
		"no type":      {Score: 50, Shapes: []string{"3"}},
		"no score":     {Type: "X", Shapes: []string{"3"}},
		"shape":        {Type: "X", Score: 50, Shapes: []string{"3-"}},
		"long group":   {Type: "X", Score: 50, Shapes: []string{"99"}},
		"short word":   {Type: "X", Score: 50, Words: []string{"A9"}},
		"short prefix": {Type: "X", Score: 50, Prefixes: []Prefix{{Literal: "x"}}},
		"class":        {Type: "X", Score: 50, Prefixes: []Prefix{{Literal: "xyz", Body: "z-a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{Recognizers: []Recognizer{r}})
			require.ErrorIs(t, err, errMalformed)
		})
	}
	p, err := New(Config{Recognizers: []Recognizer{{Type: "BADGE", Score: 90, Words: []string{"BG-9999"}, Shapes: []string{"2/2/2"}}}})
	require.NoError(t, err)
	got := p.Find(nil, []byte("BG-1234 and 12/34/56x, 12/34/56"))
	require.Len(t, got, 2, "%v: a value does not end before a letter", got)
}

func FuzzScan(f *testing.F) {
	for _, c := range recall {
		f.Add([]byte(c.text))
	}
	for _, s := range untouched {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p := Default()
		at := 0
		for _, x := range p.Find(nil, text) {
			require.GreaterOrEqual(t, x.Start, at)
			require.Greater(t, x.End, x.Start)
			require.LessOrEqual(t, x.End, len(text))
			at = x.End
		}
		p.FindNamed(nil, text, ^Topics(0))
	})
}

// Dumps of od and xxd, and the times of a file, hold no telephone numbers and no dates of birth. What looks
// like a line of one and is a row of values is found as before.
func TestScanLeavesDumps(t *testing.T) {
	for _, text := range []string{
		"0000140 001330 000000 000000 000000 001330 000000 000000 000000\n0000160 000010 000000 000000 000000 000003 000000 000004 000000\n0000200 001430 000000 000000 000000 001430 000000 000000 000000\n",
		"000000e0: 0010 0000 0000 0000 0100 0000 0500 0000  ................\n000000f0: 0040 0000 0000 0000 0040 0000 0000 0000  .@.......@......\n",
		"0001660 247 241   H 004 022 001 257   6     330 021   R     020  \\0 220\n0001700 004 022 001 257  \\n   x   y 004 022 001 257 033 044 055 066 077\n",
		"0000000 0040 0000 0000 0040 0000 0000 0040 0000\n",
		" Birth: 1970-01-01 00:00:00.000000000 +0000\n", " Birth: 2024-05-03 10:11:12.123456789 +0200\n", " Birth: 2024-05-03 00:00:00.123456789 -0530\n",
	} {
		for _, text := range []string{text, strings.ReplaceAll(text, "\n", "\r\n")} {
			found := Default().Find(nil, []byte(text))
			require.Empty(t, found, "%q in %q", sample([]byte(text), found), text)
		}
	}
	for _, text := range []string{
		"1234567 0040 7212 34567\n", "10000001 Ann Lee (202) 555-0123 Bob\n", "10000001 +40 721 234 567\n", "phone 0040 0000 0123\n", "born 1980-02-29 00:00:00\n", "born 1980-02-29 00:00:00.000000\n",
		"10000001 4111 1111 1111 1111\n", "0000140 4111 1111 1111 1111 4111 1111 1111 1111 4111 1111 1111 1111\n",
	} {
		require.NotEmpty(t, Default().Find(nil, []byte(text)), text)
	}
}
