package sigv4

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The keys of AWS's public examples.
const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	emptyDigest   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// request is one as a server gets it.
func request(method, host, uri, body string, headers ...string) (*http.Request, *Target) {
	r := httptest.NewRequest(method, "http://"+host+uri, strings.NewReader(body))
	r.Header = http.Header{}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	t, err := ParseTarget(uri)
	if err != nil {
		panic(err)
	}
	return r, t
}

func auth(scope, names, signature string) string {
	return Algorithm + " Credential=" + exampleID + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + signature
}

// TestVectors: the examples of AWS's documentation have the signatures that it gives them.
func TestVectors(t *testing.T) {
	const scope = "20130524/us-east-1/s3/aws4_request"
	date := []string{"X-Amz-Date", "20130524T000000Z"}
	for _, c := range []struct {
		name, method, host, uri, secret, payload string
		headers                                  []string
		twice                                    bool
	}{
		{
			"get an object", "GET", "examplebucket.s3.amazonaws.com", "/test.txt", exampleSecret, emptyDigest,
			append([]string{
				"Range", "bytes=0-9", "X-Amz-Content-Sha256", emptyDigest,
				"Authorization", auth(scope, "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
			}, date...), false,
		},
		{
			"put an object", "PUT", "examplebucket.s3.amazonaws.com", "/test%24file.text", exampleSecret, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			append([]string{
				"Date", "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
				"X-Amz-Content-Sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
				"Authorization", auth(scope, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
			}, date...), false,
		},
		{
			"a subresource", "GET", "examplebucket.s3.amazonaws.com", "/?lifecycle", exampleSecret, emptyDigest,
			append([]string{"X-Amz-Content-Sha256", emptyDigest, "Authorization", auth(scope, "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")}, date...), false,
		},
		{
			"list objects", "GET", "examplebucket.s3.amazonaws.com", "/?prefix=J&max-keys=2", exampleSecret, emptyDigest,
			append([]string{"X-Amz-Content-Sha256", emptyDigest, "Authorization", auth(scope, "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")}, date...), false,
		},
		{
			"a presigned address", "GET", "examplebucket.s3.amazonaws.com",
			"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" +
				"&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
			exampleSecret, Unsigned, nil, false,
		},
		{
			"the query protocol", "GET", "iam.amazonaws.com", "/?Action=ListUsers&Version=2010-05-08", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", emptyDigest,
			[]string{
				"Content-Type", "application/x-www-form-urlencoded; charset=utf-8", "X-Amz-Date", "20150830T123600Z",
				"Authorization", auth("20150830/us-east-1/iam/aws4_request", "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
			},
			true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, target := request(c.method, c.host, c.uri, "", c.headers...)
			s, err := Parse(r, target)
			require.NoError(t, err)
			require.NoError(t, s.Covered(r))
			require.Equal(t, exampleID, s.KeyID)
			require.Equal(t, c.name == "a presigned address", s.Presigned)
			_, err = s.Verify(r, target, c.secret, !c.twice, c.payload)
			require.NoError(t, err)
			_, err = s.Verify(r, target, c.secret+"x", !c.twice, c.payload)
			require.ErrorIs(t, err, ErrValue)
			r.Method = "DELETE"
			_, err = s.Verify(r, target, c.secret, !c.twice, c.payload)
			require.ErrorIs(t, err, ErrValue)
		})
	}
}

// chunked is the example of AWS's documentation: 65 KiB of "a" in two chunks.
func chunked() string {
	return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

func exampleChunks(t *testing.T, body string, size int64) *Chunks {
	r, target := request("PUT", "s3.amazonaws.com", "/examplebucket/chunkObject.txt", body,
		"X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY", "X-Amz-Content-Sha256", StreamSigned, "Content-Encoding", "aws-chunked",
		"X-Amz-Decoded-Content-Length", "66560", "Content-Length", "66824",
		"Authorization", auth("20130524/us-east-1/s3/aws4_request", "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"))
	s, err := Parse(r, target)
	require.NoError(t, err)
	key, err := s.Verify(r, target, exampleSecret, true, StreamSigned)
	require.NoError(t, err)
	return NewChunks(strings.NewReader(body), size, nil, s.Scope, key, s.Value())
}

// TestChunks: the documented body in signed chunks is read, and nothing of a chunk is returned that was altered, cut, extended or
// moved.
func TestChunks(t *testing.T) {
	got, err := io.ReadAll(exampleChunks(t, chunked(), 66560))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("a", 66560), string(got))
	list := strings.SplitAfter(chunked(), "\r\n")
	for name, c := range map[string]struct {
		body string
		size int64
		good int // bytes of whole chunks before
	}{
		"an altered byte":        {strings.Replace(chunked(), "aaaa", "aaba", 1), 66560, 0},
		"an altered later chunk": {strings.Replace(chunked(), "0055627c\n", "", 1)[:66000] + "b" + chunked()[66001:], 66560, 65536},
		"another order":          {list[2] + list[3] + list[0] + list[1] + list[4] + list[5], 66560, 0},
		"a missing chunk":        {list[0] + list[1] + list[4] + list[5], 66560, 65536},
		"no end":                 {list[0] + list[1] + list[2] + list[3], 66560, 66560},
		"cut in a chunk":         {chunked()[:70], 66560, 0},
		"another extension":      {strings.Replace(chunked(), ";chunk-signature=ad", ";x=1;chunk-signature=ad", 1), 66560, 0},
		"no signature":           {strings.Replace(chunked(), ";chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "", 1), 66560, 0},
		"a negative size":        {"-" + chunked(), 66560, 0},
		"a signed size":          {"+" + chunked(), 66560, 0},
		"a bare line feed":       {strings.Replace(chunked(), "\r\n", "\n", 1), 66560, 0},
		"something after it":     {chunked() + "GET / HTTP/1.1\r\n\r\n", 66560, 66560},
		"a trailer":              {strings.TrimSuffix(chunked(), "\r\n") + "x-amz-checksum-crc32:AAAAAA==\r\n\r\n", 66560, 66560},
		"a longer length":        {chunked(), 66561, 66560},
		"a shorter length":       {chunked(), 66559, 65536},
		"a chunk of 4 GiB":       {"100000000;chunk-signature=" + strings.Repeat("a", 64) + "\r\n", 1 << 40, 0},
		"a size of 2^64":         {"10000000000000000;chunk-signature=" + strings.Repeat("a", 64) + "\r\n", 1 << 40, 0},
		"a line without an end":  {strings.Repeat("0", 1<<20), 1, 0},
	} {
		got, err := io.ReadAll(exampleChunks(t, c.body, c.size))
		require.Error(t, err, name)
		require.Len(t, got, c.good, name)
	}
}

// TestUnsignedChunks: a body that ends with a checksum is read as it is, with that trailer alone.
func TestUnsignedChunks(t *testing.T) {
	read := func(body string, size int64, names ...string) (*Chunks, string, error) {
		c := NewChunks(strings.NewReader(body), size, names, Scope{}, nil, "")
		b, err := io.ReadAll(c)
		return c, string(b), err
	}
	c, got, err := read("5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n", 11, "x-amz-checksum-crc32")
	require.NoError(t, err)
	require.Equal(t, "hello world", got)
	require.Equal(t, "DUoRhQ==", c.Trailer.Get("X-Amz-Checksum-Crc32"))
	c, _, err = read("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\n\r\n\r\n", 5, "x-amz-checksum-crc32") // as minio-go writes it
	require.NoError(t, err)
	require.Equal(t, "NhCmhg==", c.Trailer.Get("X-Amz-Checksum-Crc32"))
	for name, body := range map[string]string{
		"no trailer":         "5\r\nhello\r\n0\r\n\r\n",
		"another trailer":    "5\r\nhello\r\n0\r\nx-amz-acl:public-read\r\n\r\n",
		"one more":           "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-acl:public-read\r\n\r\n",
		"the same twice":     "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
		"signed trailer":     "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-trailer-signature:00\r\n\r\n",
		"an extension":       "5;x=1\r\nhello\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
		"a longer chunk":     "5\r\nhello!\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
		"a second body":      "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n0\r\n\r\n",
		"more than its size": "6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
		"less than its size": "4\r\nhell\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
	} {
		_, _, err := read(body, 5, "x-amz-checksum-crc32")
		require.Error(t, err, name)
	}
}

// TestSign: what Sign signs, Verify accepts, with paths and queries of every kind.
func TestSign(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, uri := range []string{"/", "/a%20b/c", "/a/b%2Fc", "/%C3%A9/~x", "/a?b=c%2Bd&a=%26&a=", "/a//b/", "/x?policy"} {
		for _, once := range []bool{true, false} {
			r, target := request("POST", "example.com", uri, "body", "Content-Type", "text/plain", "X-Amz-Meta-A", "  a   b ")
			Sign(r, target, Keys{exampleID, exampleSecret, "token"}, Scope{"eu-west-1", "s3", at}, once, Digest([]byte("body")))
			r.RequestURI = target.Encoded()
			sent, err := ParseTarget(target.Encoded() + "?" + EncodedQuery(target.Query))
			require.NoError(t, err)
			s, err := Parse(r, sent)
			require.NoError(t, err)
			require.NoError(t, s.Covered(r))
			require.Equal(t, "token", s.Token)
			_, err = s.Verify(r, sent, exampleSecret, once, Digest([]byte("body")))
			require.NoError(t, err, "%s %v", uri, once)
		}
	}
}

// TestFresh: a signature counts for 15 minutes before and after its time, a presigned address until it expires.
func TestFresh(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &Signed{Scope: Scope{At: at}}
	require.NoError(t, s.Fresh(at.Add(Skew)))
	require.NoError(t, s.Fresh(at.Add(-Skew)))
	require.ErrorIs(t, s.Fresh(at.Add(Skew+time.Second)), ErrSkew)
	require.ErrorIs(t, s.Fresh(at.Add(-Skew-time.Second)), ErrSkew)
	s.Presigned, s.Expires = true, time.Hour
	require.NoError(t, s.Fresh(at.Add(time.Hour)))
	require.ErrorIs(t, s.Fresh(at.Add(time.Hour+time.Second)), ErrExpired)
	require.ErrorIs(t, s.Fresh(at.Add(-Skew-time.Second)), ErrSkew)
}

// TestForms: signatures that could be read in two ways are refused.
func TestForms(t *testing.T) {
	const names, scope = "host;x-amz-date", "20130524/us-east-1/s3/aws4_request"
	value := strings.Repeat("0", 64)
	good := auth(scope, names, value)
	presigned := func(expires string) string {
		return "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + Escape(exampleID+"/"+scope) + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=" + expires + "&X-Amz-SignedHeaders=host&X-Amz-Signature=" + value
	}
	for name, c := range map[string]struct {
		uri  string
		auth []string
		want error
	}{
		"good":                     {"/", []string{good}, nil},
		"nothing":                  {"/", nil, ErrUnsigned},
		"two headers":              {"/", []string{good, good}, ErrTwice},
		"header and address":       {presigned("60"), []string{good}, ErrTwice},
		"version 2 header":         {"/", []string{"AWS AKIA:x"}, ErrOld},
		"version 2 address":        {"/a?AWSAccessKeyId=x&Signature=y&Expires=1", nil, ErrOld},
		"presigned":                {presigned("60"), nil, nil},
		"no time":                  {presigned("0"), nil, ErrForm},
		"a negative time":          {presigned("-1"), nil, ErrForm},
		"more than 7 days":         {presigned("604801"), nil, ErrForm},
		"a parameter twice":        {presigned("60&X-Amz-Expires=604800"), nil, ErrForm},
		"a header in the query":    {"/?X-Amz-Acl=public-read", []string{good}, ErrForm},
		"another algorithm":        {"/", []string{strings.Replace(good, Algorithm, "AWS4-ECDSA-P256-SHA256", 1)}, ErrForm},
		"a field twice":            {"/", []string{good + ", Signature=" + value}, ErrForm},
		"no host":                  {"/", []string{auth(scope, "x-amz-date", value)}, ErrForm},
		"names out of order":       {"/", []string{auth(scope, "x-amz-date;host", value)}, ErrForm},
		"a name twice":             {"/", []string{auth(scope, "host;host;x-amz-date", value)}, ErrForm},
		"a name in capitals":       {"/", []string{auth(scope, "Host;host", value)}, ErrForm},
		"another day":              {"/", []string{auth("20130525/us-east-1/s3/aws4_request", names, value)}, ErrForm},
		"a region that is a host":  {"/", []string{auth("20130524/evil.example.com/s3/aws4_request", names, value)}, ErrForm},
		"a service that is a host": {"/", []string{auth("20130524/us-east-1/a.b/aws4_request", names, value)}, ErrForm},
		"a service with a slash":   {"/", []string{auth("20130524/us-east-1/s3/x/aws4_request", names, value)}, ErrForm},
		"a short signature":        {"/", []string{auth(scope, names, "00")}, ErrForm},
	} {
		r, target := request("GET", "example.com", c.uri, "", "X-Amz-Date", "20130524T000000Z")
		if c.auth != nil {
			r.Header["Authorization"] = c.auth
		}
		_, err := Parse(r, target)
		if c.want == nil {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, c.want, name)
	}
	for _, uri := range []string{"", "x", "/%", "/%zz", "/a%00", "/a\x7f", "/a b", "/a?b=+", "/a?=b", "/é", "/a#b", "/" + strings.Repeat("a", 40<<10)} {
		_, err := ParseTarget(uri)
		require.Error(t, err, "%.20q", uri)
	}
}

// TestCovered: headers that services read as parts of what is asked are signed, and there once.
func TestCovered(t *testing.T) {
	s := &Signed{Names: []string{"content-type", "host", "x-amz-date"}}
	for name, c := range map[string]struct {
		headers []string
		ok      bool
	}{
		"good":                    {[]string{"X-Amz-Date", "1", "Content-Type", "a"}, true},
		"others are no part":      {[]string{"X-Amz-Date", "1", "Content-Type", "a", "Accept", "b"}, true},
		"an unsigned one":         {[]string{"X-Amz-Date", "1", "Content-Type", "a", "X-Amz-Acl", "public-read"}, false},
		"a signed one twice":      {[]string{"X-Amz-Date", "1", "Content-Type", "a", "Content-Type", "b"}, false},
		"a signed one is missing": {[]string{"X-Amz-Date", "1"}, false},
	} {
		r, _ := request("GET", "example.com", "/", "", c.headers...)
		if err := s.Covered(r); c.ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, ErrForm, name)
		}
	}
}

// FuzzChunks: whatever is sent, no more than the announced length comes out, and nothing panics.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte(chunked()))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, key := range [][]byte{nil, []byte("key")} {
			got, _ := io.ReadAll(NewChunks(bytes.NewReader(body), 16, []string{"x"}, Scope{}, key, ""))
			if len(got) > 16 || key != nil && len(got) > 0 {
				t.Fatalf("%d bytes came out", len(got))
			}
		}
	})
}
