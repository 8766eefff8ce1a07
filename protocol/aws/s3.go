package aws

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// Names in queries of S3 that make no other action of a request.
var s3Modifiers = []string{
	"x-id", "versionId", "prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token", "fetch-owner", "start-after", "key-marker",
	"version-id-marker", "upload-id-marker", "max-uploads", "part-number-marker", "max-parts", "partNumber", "max-buckets", "bucket-region",
	"response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
}

var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)

// aliases end names that AWS reserves: another name of a bucket, such as the alias of an access point, or a bucket of another kind.
var aliases = []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}

func isBucket(name string) bool {
	return bucketName.MatchString(name) && !slices.ContainsFunc(aliases, func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) })
}

// reserved begin paths by which other servers of S3 are administered, and which they have no bucket of: MinIO's and Ceph's. What is asked for
// there is not what S3 reads it as.
var reserved = []string{"minio", "admin"}

var (
	errBucket = errors.New("the first part of the path is not a bucket's name")
	errBody   = errors.New("the body of the request cannot be read as what its action takes")
	errSource = errors.New("the source is not /BUCKET/KEY: write other characters than letters, digits, -, ., _, ~ and / as %XX")
)

// maxS3Body bounds bodies that say what is asked for.
const maxS3Body = 2 << 20

// readsBody reports whether the body of a request to S3 says what is asked for.
func readsS3Body(c *call) bool {
	for _, p := range c.target.Query {
		switch p.Name {
		case "delete", "policy", "acl":
			return c.method != "GET" && c.method != "HEAD"
		}
	}
	return false
}

// readS3 finds out what is asked for. empty takes empty segments.
func (c *call) readS3(empty bool) error {
	path := c.target.Path
	if len(path) > 1 && path[0] == "" { // servers read "//bucket" as "/bucket", or as a bucket without a name
		return errBucket
	}
	if readsS3Body(c) && withoutCoding(c.header.Get("Content-Encoding")) != "" {
		return errBody
	}
	if err := checkKey(strings.Join(path[min(1, len(path)):], "/"), empty); err != nil {
		return err
	}
	if slices.ContainsFunc(path, func(s string) bool { return strings.Contains(s, "/") }) {
		return errPath
	}
	query, err := once(c.target.Query)
	if err != nil {
		return err
	}
	if len(path) == 2 && path[1] == "" { // a slash after the bucket is not a key
		path = path[:1]
	}
	if path[0] != "" && !isBucket(path[0]) {
		return errBucket
	}
	c.path = "/" + strings.Join(path, "/")
	administers := len(path) > 1 && slices.ContainsFunc(reserved, func(name string) bool { return strings.EqualFold(name, path[0]) })
	if action := s3Action(c.method, path, query); action != "" && !administers {
		c.action = "s3:" + action
	}
	if administers {
		c.also = append(c.also, "s3:administration")
	}
	delete(query, "x-id")
	list := make([]sigv4.Param, 0, len(query))
	for name, value := range query {
		list = append(list, sigv4.Param{Name: name, Value: value})
	}
	c.query = sigv4.EncodedQuery(list)
	if err := c.copies(); err != nil {
		return err
	}
	c.asides(len(path) > 1)
	switch c.action {
	case "s3:DeleteObjects":
		if err := c.deletes(path[0], empty); err != nil {
			return err
		}
	case "s3:PutBucketPolicy":
		public, err := publicPolicy(c.body)
		if err != nil {
			return err
		}
		if public {
			c.also = append(c.also, "s3:public")
		}
	}
	public, err := publicGrant(c)
	if public {
		c.also = append(c.also, "s3:public")
	}
	return err
}

// s3Action is the action of a request; empty where it is not known.
func s3Action(method string, path []string, query map[string]string) string {
	t := theTable()
	var flags []string
	for name, value := range query {
		switch {
		case t.flags[name] && name != "partNumber" && name != "id" && (name != "uploadId" || value != ""):
			flags = append(flags, name)
		case !slices.Contains(s3Modifiers, name) && name != "id", name == "uploadId" && value == "":
			return ""
		}
	}
	if path[0] == "" {
		path = path[:1]
	}
	for _, r := range t.routes["s3"] {
		if _, ok := r.match(path); !ok || r.method != method || !r.asks(query) {
			continue
		}
		if n := slices.DeleteFunc(slices.Clone(r.query), func(q string) bool { return q == "partNumber" || q == "id" }); len(n) != len(flags) {
			continue // of another subresource, or of one less
		}
		if _, has := query["id"]; has && !slices.Contains(r.query, "id") || method == "PUT" && query["partNumber"] != "" && !slices.Contains(r.query, "partNumber") {
			continue
		}
		return r.action
	}
	return ""
}

// checkKey refuses keys that servers bring to another form.
func checkKey(key string, empty bool) error {
	list := strings.Split(key, "/")
	for i, s := range list {
		if s == "." || s == ".." || s == "" && i < len(list)-1 && !empty || strings.ContainsFunc(s, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
			return errPath
		}
	}
	return nil
}

// copies adds what is read by a request that copies, and what is gone after one that renames.
func (c *call) copies() error {
	if source := c.header.Get("X-Amz-Rename-Source"); source != "" {
		if c.action != "s3:RenameObject" {
			c.action = "s3:unknown"
			return nil
		}
		path, err := sourcePath(source)
		if err != nil {
			return err
		}
		c.further = append(c.further, part{"GET", "s3:GetObject", path}, part{"DELETE", "s3:DeleteObject", path})
	}
	source := c.header.Get("X-Amz-Copy-Source")
	if source == "" {
		return nil
	}
	switch c.action {
	case "s3:PutObject":
		c.action = "s3:CopyObject"
	case "s3:UploadPart":
		c.action = "s3:UploadPartCopy"
	default:
		c.action = "s3:unknown"
		return nil
	}
	path, err := sourcePath(source)
	if err == nil {
		c.further = append(c.further, part{"GET", "s3:GetObject", path})
	}
	return err
}

// sourcePath is the path of the object that another is made from. Servers read "+" as itself or as a space, and what follows "#" as a part of
// the key or not.
func sourcePath(source string) (string, error) {
	source, version, _ := strings.Cut(source, "?")
	name, err := url.PathUnescape(source)
	bucket, key, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if err != nil || !ok || strings.ContainsAny(source, "+#") || !isBucket(bucket) || key == "" || version != "" && !strings.HasPrefix(version, "versionId=") || strings.Contains(version, "&") {
		return "", errSource
	}
	return "/" + bucket + "/" + key, checkKey(key, false)
}

// asides adds what headers ask for besides, which AWS wants a right of its own for.
func (c *call) asides(object bool) {
	add := func(action string) {
		if action = "s3:" + action; action != c.action {
			c.further = append(c.further, part{"PUT", action, c.path})
		}
	}
	acl := "PutBucketAcl"
	if object {
		acl = "PutObjectAcl"
	}
	asked := map[string]bool{}
	for name, values := range c.header {
		lower, value := strings.ToLower(name), strings.ToLower(strings.Join(values, ","))
		switch {
		case lower == "x-amz-acl" && value != "private" && !strings.HasPrefix(value, "bucket-owner-"), strings.HasPrefix(lower, "x-amz-grant-"):
			asked[acl] = true
		case lower == "x-amz-object-lock-mode", lower == "x-amz-object-lock-retain-until-date":
			asked["PutObjectRetention"] = true
		case lower == "x-amz-object-lock-legal-hold":
			asked["PutObjectLegalHold"] = true
		case lower == "x-amz-bypass-governance-retention" && value != "false":
			asked["BypassGovernanceRetention"] = true
		case lower == "x-amz-object-ownership":
			asked["PutBucketOwnershipControls"] = true
		case lower == "x-amz-bucket-object-lock-enabled" && value != "false":
			asked["PutObjectLockConfiguration"] = true
		case lower == "x-amz-tagging" && object:
			asked["PutObjectTagging"] = true
		}
	}
	for _, action := range slices.Sorted(maps.Keys(asked)) {
		add(action)
	}
}

// deletes adds each object that a request deletes.
func (c *call) deletes(bucket string, empty bool) error {
	type other struct{ XMLName xml.Name }
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Objects []struct {
			Keys []struct {
				Text   string  `xml:",chardata"`
				Others []other `xml:",any"`
			} `xml:"Key"`
		} `xml:"Object"`
	}
	if err := decodeXML(c.body, &in); err != nil {
		return err
	}
	if len(in.Objects) > maxParts {
		return errMany
	}
	for _, o := range in.Objects {
		if len(o.Keys) != 1 || len(o.Keys[0].Others) > 0 {
			return errBody
		}
		key := o.Keys[0].Text
		if err := checkKey(key, empty); err != nil {
			return err
		}
		c.further = append(c.further, part{"DELETE", "s3:DeleteObject", "/" + bucket + "/" + key})
	}
	return nil
}

// decodeXML reads one document, which declares nothing.
func decodeXML(b []byte, to any) error {
	if _, err := xmlText(b); err != nil {
		return err
	}
	if xml.Unmarshal(b, to) != nil { // its error may quote the text
		return errBody
	}
	return nil
}

// xmlText is all text of a document, which declares nothing: that between tags, comments or not, and that of attributes.
func xmlText(b []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = true
	var text strings.Builder
	depth, roots := 0, 0
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return text.String(), nil
		}
		if err != nil {
			return "", errBody
		}
		switch t := token.(type) {
		case xml.Directive:
			return "", errBody
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			if depth++; roots > 1 { // servers read the first, or the last
				return "", errBody
			}
			for _, a := range t.Attr {
				text.WriteString(" " + a.Value + " ")
			}
		}
	}
}
