package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"slices"
)

// Export is one place where events are sent.
type Export struct {
	Position
	Type      string   `yaml:"type"`
	Name      string   `yaml:"name"`
	Format    string   `yaml:"format"`
	Only      []string `yaml:"only"`
	FromStart bool     `yaml:"from_start"`

	Path      string   `yaml:"path"`      // file
	Address   string   `yaml:"address"`   // syslog
	Facility  int      `yaml:"facility"`  // syslog
	URL       string   `yaml:"url"`       // webhook, otlp
	Keys      []string `yaml:"keys"`      // webhook
	Private   bool     `yaml:"private"`   // webhook
	Plaintext bool     `yaml:"plaintext"` // syslog, webhook, otlp
	Text      bool     `yaml:"text"`      // otlp
	CA        string   `yaml:"ca"`
	Cert      string   `yaml:"cert"`
	Key       string   `yaml:"key"`
}

// Called is the name of the sink.
func (e Export) Called() string { return cmp.Or(e.Name, e.Type) }

// ExportPath is where a file sink writes.
func (f *File) ExportPath(e Export) string { return f.path(e.Path) }

var exportTypes = []string{"file", "stdout", "syslog", "webhook", "otlp"}

func (f *File) validateExport(d *decoder) {
	names := make(map[string]bool)
	for _, e := range f.Audit.Export {
		at := "export " + e.Called()
		if names[e.Called()] {
			d.problem(e.Line, "give them names", "%s exists twice", at)
		}
		names[e.Called()] = true
		if !slices.Contains(exportTypes, e.Type) {
			d.problem(e.Line, suggest(e.Type, exportTypes), "unknown type of export %q", e.Type)
			continue
		}
		if !slices.Contains([]string{"", "json", "ocsf"}, e.Format) {
			d.problem(e.Line, suggest(e.Format, []string{"json", "ocsf"}), "%s: unknown format %q", at, e.Format)
		}
		for _, p := range e.Only {
			if _, err := path.Match(p, ""); err != nil {
				d.problem(e.Line, "", "%s: %q is not a pattern", at, p)
			}
		}
		if (e.Cert == "") != (e.Key == "") {
			d.problem(e.Line, "", "%s needs cert and key, or neither", at)
		}
		switch e.Type {
		case "file":
			if e.Path == "" {
				d.problem(e.Line, "", "%s needs a path", at)
			}
		case "syslog":
			if _, _, err := net.SplitHostPort(e.Address); err != nil {
				d.problem(e.Line, "write HOST:PORT; syslog over TLS has port 6514", "%s: %q is not an address", at, e.Address)
			}
			if e.Facility < 0 || e.Facility > 23 {
				d.problem(e.Line, "", "%s: facilities are 0 to 23", at)
			}
		case "webhook", "otlp":
			u, ok := parseURL(e.URL)
			if !ok {
				d.problem(e.Line, "", "%s needs a url", at)
			} else if u.Scheme == "http" && !e.Plaintext {
				d.problem(e.Line, "use https, or set plaintext: true", "%s would send events unencrypted", at)
			}
			if e.Type == "webhook" && len(e.Keys) == 0 {
				d.problem(e.Line, "keys: [env:NAME]", "%s has no keys to sign with", at)
			}
		}
		for _, k := range e.Keys {
			if err := f.checkReference(k); err != nil {
				d.problem(e.Line, "", "%s: %v", at, err)
			}
		}
	}
}

// parseURL reads a URL of the web, which has a host.
func parseURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// ExportTLS is how a sink verifies where it sends to; nil when the file says
// nothing.
func (f *File) ExportTLS(ctx context.Context, from *Secrets, e Export) (*tls.Config, error) {
	if e.CA == "" && e.Cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CA != "" {
		var err error
		if c, err = f.Roots(e.CA); err != nil {
			return nil, err
		}
	}
	if e.Cert != "" {
		pair, err := f.keyPair(ctx, from, e.Cert, e.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Roots is TLS that trusts the certificates in a file alone; nil when ca is empty,
// for the system's.
func (f *File) Roots(ca string) (*tls.Config, error) {
	if ca == "" {
		return nil, nil
	}
	return Roots(f.path(ca))
}

// Roots is TLS that trusts the certificates in a file alone.
func Roots(ca string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return c, nil
}

// validateMetrics holds that numbers about who does what stay on the machine
// unless the file says otherwise.
func (f *File) validateMetrics(d *decoder) {
	if f.Metrics == "" {
		return
	}
	if _, _, err := net.SplitHostPort(f.Metrics); err != nil {
		d.problem(1, "write HOST:PORT, such as 127.0.0.1:9464", "metrics: %q is not an address", f.Metrics)
	}
}
