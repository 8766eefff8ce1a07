package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Copy is one place where sealed records are copied.
type Copy struct {
	Position
	Name string  `yaml:"name"`
	S3   *Bucket `yaml:"s3"`
}

// Called is the copy's name.
func (c Copy) Called() string { return cmp.Or(c.Name, "copy") }

// Witness is one place that is told of the log's signed heads: one of file, url and
// s3.
type Witness struct {
	Position
	Name string   `yaml:"name"`
	File string   `yaml:"file"`
	URL  string   `yaml:"url"`
	Keys []string `yaml:"keys"`
	CA   string   `yaml:"ca"`
	S3   *Bucket  `yaml:"s3"`
}

// Called is the witness's name.
func (w Witness) Called() string { return cmp.Or(w.Name, "witness") }

// WitnessFile is where a file witness keeps heads.
func (f *File) WitnessFile(w Witness) string { return f.path(w.File) }

// Bucket is a bucket of something that speaks Amazon S3's protocol.
type Bucket struct {
	Position
	Endpoint     string      `yaml:"endpoint"`
	Bucket       string      `yaml:"bucket"`
	Prefix       string      `yaml:"prefix"`
	Region       string      `yaml:"region"`
	AccessKey    string      `yaml:"access_key"`
	SecretKey    string      `yaml:"secret_key"`
	SessionToken string      `yaml:"session_token"`
	Encryption   string      `yaml:"encryption"`
	Lock         *ObjectLock `yaml:"lock"`
	Plaintext    bool        `yaml:"plaintext"`
	CA           string      `yaml:"ca"`
}

// ObjectLock is how long objects can be neither deleted nor overwritten.
type ObjectLock struct {
	Position
	Mode string `yaml:"mode"`
	Days int    `yaml:"days"`
}

// For is that time.
func (l ObjectLock) For() time.Duration { return time.Duration(l.Days) * 24 * time.Hour }

func (f *File) validateCopies(d *decoder) {
	names := make(map[string]bool)
	for _, e := range f.Audit.Export {
		names[e.Called()] = true // of both there are events, which name them
	}
	for _, c := range f.Audit.Copies {
		f.checkName(d, c.Line, names, c.Called())
		if c.S3 == nil {
			d.problem(c.Line, "s3: {endpoint: …, bucket: …}", "copy %s has no destination", c.Called())
			continue
		}
		c.S3.check(d, f, "copy "+c.Called())
	}
	for _, w := range f.Audit.Witnesses {
		f.checkName(d, w.Line, names, w.Called())
		w.check(d, f)
	}
}

func (w Witness) check(d *decoder, f *File) {
	at := "witness " + w.Called()
	given := 0
	for _, is := range []bool{w.File != "", w.URL != "", w.S3 != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		d.problem(w.Line, "", "%s needs one of file, url and s3", at)
		return
	}
	if w.S3 != nil {
		w.S3.check(d, f, at)
	}
	if w.URL == "" {
		return
	}
	if len(w.Keys) == 0 {
		d.problem(w.Line, "keys: [\"NAME+HASH+KEY\"], as the witness prints it", "%s has no key to verify its cosignatures with", at)
	}
	for _, k := range w.Keys {
		if _, err := audit.ParseWitnessKey(k); err != nil {
			d.problem(w.Line, "", "%s: %v", at, err)
		}
	}
	if _, ok := parseURL(w.URL); !ok {
		d.problem(w.Line, "", "%s needs a url", at)
	}
}

func (f *File) checkName(d *decoder, line int, names map[string]bool, name string) {
	if names[name] {
		d.problem(line, "give them names", "%s exists twice among the exports, copies and witnesses", name)
	}
	names[name] = true
}

func (b *Bucket) check(d *decoder, f *File, at string) {
	u, ok := parseURL(b.Endpoint)
	if !ok || strings.Trim(u.Path, "/") != "" {
		d.problem(b.Line, "endpoint: https://s3.eu-central-1.amazonaws.com", "%s needs an endpoint: scheme, host and port", at)
	} else if u.Scheme == "http" && !b.Plaintext {
		d.problem(b.Line, "use https, or set plaintext: true", "%s would be sent unencrypted", at)
	}
	if b.Bucket == "" {
		d.problem(b.Line, "", "%s needs a bucket", at)
	}
	for _, ref := range []struct{ key, value string }{{"access_key", b.AccessKey}, {"secret_key", b.SecretKey}, {"session_token", b.SessionToken}} {
		if ref.value == "" && ref.key == "session_token" {
			continue
		}
		if err := f.checkReference(ref.value); err != nil {
			d.problem(b.Line, "", "%s: %s: %v", at, ref.key, err)
		}
	}
	if e := b.Encryption; e != "" && e != "AES256" && (!strings.HasPrefix(e, "aws:kms:") || e == "aws:kms:") {
		d.problem(b.Line, "", "%s: encryption is AES256 or aws:kms:KEY", at)
	}
	if l := b.Lock; l != nil {
		modes := []string{"governance", "compliance"}
		if !slices.Contains(modes, l.Mode) {
			d.problem(l.Line, suggest(l.Mode, modes), "%s: unknown lock mode %q", at, l.Mode)
		}
		if l.Days <= 0 {
			d.problem(l.Line, "days: 365", "%s: a lock needs days", at)
		}
	}
}
