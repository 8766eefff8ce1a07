// Package config reads the config file of a gateway: YAML, strict, with every
// problem reported at once, by its line. It knows protocols by the list that it is
// given, and no other: a protocol of one's own is listed, checked and built as
// those of this module are.
package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/secrets"
)

// Options are what a config file is read with.
type Options struct {
	// Protocols are those that listeners and resources may have. Nil: none.
	Protocols []protocol.Protocol
	// Secrets are sources of secrets that the file's references can name without more ado.
	Secrets secrets.Source
	// Kinds are those of the sources that the file can have besides. Nil: none.
	Kinds []secrets.Kind
	// Users and Groups report whether a rule may name a user or a group that the file
	// does not have, because an authenticator of the assembly's own knows it. Nil: none.
	Users, Groups func(name string) bool
	// Rego makes policies in Rego. Nil: the file can have none.
	Rego RegoEngine
}

// File is a config file. Its keys are documented in docs/config.md.
type File struct {
	Listen     Listen        `yaml:"listen"`
	DataDir    string        `yaml:"data_dir"`
	Secrets    SecretSources `yaml:"secrets"`
	TLS        *ClientTLS    `yaml:"tls"`
	Domain     string        `yaml:"domain"`
	Identity   Identity      `yaml:"identity"`
	Resources  []Resource    `yaml:"resources"`
	Access     []Access      `yaml:"access"`
	Policies   Policies      `yaml:"policy"`
	Guardrails []Guardrail   `yaml:"guardrails"`
	Masking    []Masking     `yaml:"masking"`
	MaskingKey MaskingKey    `yaml:"masking_key"`
	// Analyzer is asked in addition to what masking finds itself; nil asks nobody.
	Analyzer *Analyzer `yaml:"masking_analyzer"`
	// Tags are columns by tag, and Trusted functions of databases; see
	// masking.Config.
	Tags     map[string][]string `yaml:"tags"`
	Trusted  []string            `yaml:"trusted_functions"`
	Audit    Audit               `yaml:"audit"`
	Metrics  string              `yaml:"metrics"`
	Notify   []Notify            `yaml:"notify"`
	Alerts   []Alert             `yaml:"alerts"`
	OnCall   []OnCall            `yaml:"oncall"`
	Control  []Control           `yaml:"control"`
	Limits   Limits              `yaml:"limits"`
	Shutdown Shutdown            `yaml:"shutdown"`
	Runbooks []Runbooks          `yaml:"runbooks"`
	MCP      MCP                 `yaml:"mcp"`
	Tunnel   Tunnel              `yaml:"tunnel"`
	Store    Store               `yaml:"store"`
	API      API                 `yaml:"api"`
	// Offline are grants for when the store does not answer. Nil: there are none.
	Offline *OfflineGrants `yaml:"offline_grants"`
	// ObjectRules are about entries that come from the store.
	ObjectRules Objects `yaml:"objects"`

	name    string
	text    []byte
	objects objects
	digest  [sha256.Size]byte // of the file
	stamp   [sha256.Size]byte // of the file and what is read with it
	info    fs.FileInfo       // nil: it was not read from a file
	options Options
	places  map[string]int // lines of the keys of Listen
	before  *File          // from which it is made anew, while it is checked; nil when it is read first

	references map[string]bool // what its own rules refer to
	gone       Problems        // what of it is not there, and of what objects refer to
}

// Listen says where the gateway listens for all resources of a protocol, by the
// protocol's name.
type Listen map[string]string

// ClientTLS is the certificate that clients see.
type ClientTLS struct {
	Position
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// Optional takes clients without TLS too.
	Optional bool `yaml:"optional"`
}

// Resource is one thing that users reach through the gateway.
type Resource struct {
	Position
	Name     string            `yaml:"name"`
	Type     string            `yaml:"type"`
	Address  string            `yaml:"address"`
	Via      string            `yaml:"via"` // the agent that connects to it
	Listen   string            `yaml:"listen"`
	Labels   map[string]string `yaml:"labels"`
	TLS      *ResourceTLS      `yaml:"tls"`
	Database string            `yaml:"database"`
	Username string            `yaml:"username"`
	Password string            `yaml:"password"`
	Key      string            `yaml:"key"`
	Accounts []Account         `yaml:"accounts"`
	Own      *Account          `yaml:"own_account"` // of the gateway itself
	Session  time.Duration     `yaml:"max_session"`
	Link     *LoginLink        `yaml:"login_link"`
	MaxStale time.Duration     `yaml:"max_stale"` // for which it may be unknown whether users still may

	// Settings are those of the resource's protocol: the struct that its Settings
	// point to, with what the file says. They are written in the resource itself or under
	// a key of the protocol's name. Nil: the protocol has none.
	Settings any

	lines map[string]int // of the keys of Settings
}

// ResourceTLS is how the connection to a resource is protected.
type ResourceTLS struct {
	Position
	Mode       string `yaml:"mode"`
	CA         string `yaml:"ca"`
	ServerName string `yaml:"server_name"`
	Cert       string `yaml:"cert"`
	Key        string `yaml:"key"`
}

// Account is one of a resource's own roles.
type Account struct {
	Position
	Name     string `yaml:"name"`
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	Key      string `yaml:"key"`
}

// Selector chooses resources: a list of names and patterns, or labels that must
// all be there.
type Selector struct {
	Names  []string
	Labels map[string]string
}

// Masking is a rule about what is masked.
type Masking struct {
	Position
	Name      string     `yaml:"name"`
	Use       string     `yaml:"use"`
	Profile   string     `yaml:"profile,chooses"`
	Columns   []string   `yaml:"columns"`
	Tags      []string   `yaml:"tags"`
	DBTypes   []string   `yaml:"db_types"`
	Entities  []string   `yaml:"entities"`
	Groups    []string   `yaml:"groups,chooses"`
	With      string     `yaml:"with"`
	Mode      string     `yaml:"mode"`
	WriteBack string     `yaml:"write_back"`
	Requests  string     `yaml:"requests"`
	Resources Selector   `yaml:"resources"`
	Except    MaskExcept `yaml:"except"`
	// What some transforms need to be told; see masking.Options.
	KeepFirst int    `yaml:"keep_first"`
	KeepLast  int    `yaml:"keep_last"`
	Text      string `yaml:"text"`
	Days      int    `yaml:"days"`
	Unit      string `yaml:"unit"`
	Size      int    `yaml:"size"`
	Bits      int    `yaml:"bits"`

	Recognize *Recognizer `yaml:"recognize"`

	// Stored says that the entry is an object of the store, which adds to what the file masks.
	Stored bool `yaml:"-"`
}

// Recognizer is a kind of value that masking finds in addition to its own; see
// masking.Pattern.
type Recognizer struct {
	Position
	Entity    string   `yaml:"entity"`
	Pattern   string   `yaml:"pattern"`
	Words     []string `yaml:"words"`
	Validator string   `yaml:"validator"`
	Context   []string `yaml:"context"`
	Columns   []string `yaml:"columns"`
	Score     int      `yaml:"score"`
}

// MaskingKey is what hashes, pseudonyms, tokens and encryption are made with.
type MaskingKey struct {
	Position
	Secret     string   `yaml:"secret"`     // empty: a key of the data directory
	Detokenise []string `yaml:"detokenise"` // groups that may turn tokens back
}

// Analyzer is an analyzer of texts outside of the gateway; see external.Config.
type Analyzer struct {
	Position
	API       string        `yaml:"api"` // presidio or chat
	URL       string        `yaml:"url"`
	Key       string        `yaml:"key"` // a reference
	Model     string        `yaml:"model"`
	Language  string        `yaml:"language"`
	Columns   []string      `yaml:"columns"`
	Score     float64       `yaml:"least_score"`
	Timeout   time.Duration `yaml:"timeout"`
	Failures  int           `yaml:"failures"`
	Pause     time.Duration `yaml:"pause"`
	MaxText   int           `yaml:"max_text"`
	OnFailure string        `yaml:"on_failure"` // refuse or pass
}

// MaskExcept are those that a rule does not apply to; the default pack still does.
type MaskExcept struct {
	Groups []string `yaml:"groups"`
}

// Audit says how records are kept.
type Audit struct {
	Position
	Durability string       `yaml:"durability"`
	BestEffort bool         `yaml:"best_effort"`
	Recordings []Recordings `yaml:"recordings"`
	Export     []Export     `yaml:"export"`
	Copies     []Copy       `yaml:"copies"`
	Witnesses  []Witness    `yaml:"witnesses"`
	Key        string       `yaml:"key"`
	OldKeys    []string     `yaml:"old_keys"`
	Retention  []Retention  `yaml:"retention"`
}

// Recordings says what is recorded of the data of sessions at some resources.
type Recordings struct {
	Position
	Resources  Selector `yaml:"resources"`
	Terminal   string   `yaml:"terminal"`
	Input      bool     `yaml:"input"`
	Exec       string   `yaml:"exec"`
	Rows       string   `yaml:"rows"`
	Copy       string   `yaml:"copy"`
	SampleRows int      `yaml:"sample_rows"`
	LimitMB    int      `yaml:"limit_mb"`
	OriginalTo string   `yaml:"original_to"`
}

// Control says what users of the gateway's machine may do to the running
// gateway, over its socket, and members of groups by the API.
type Control struct {
	Position
	Users  []string `yaml:"users,chooses"`  // of the operating system, at the socket
	Groups []string `yaml:"groups,chooses"` // of those who log in at the API
	Allow  []string `yaml:"allow"`
}

// Limits bound what clients may use.
type Limits struct {
	Position
	MaxSession         time.Duration `yaml:"max_session"`
	MaxSessions        int           `yaml:"max_sessions"`
	MaxPerUser         int           `yaml:"max_sessions_per_user"`
	MaxPerAddress      int           `yaml:"max_connections_per_address"`
	MaxUnauthenticated int           `yaml:"max_unauthenticated"`
}

// maxFile bounds a config file's size, in bytes.
const maxFile = 4 << 20

// Load reads a config file. Relative paths in it are relative to its folder.
// The error is of type Problems when the file could be read and the options are
// right.
func Load(path string, o Options) (*File, error) { return load(path, o, nil) }

func load(path string, o Options, before *File) (*File, error) {
	b, info, err := read(path)
	if err != nil {
		return nil, err
	}
	var from objects
	if before != nil {
		from.list = before.objects.list
	}
	var own Problems
	if len(from.list) > 0 { // a gateway that starts reads the file before it has objects
		alone, err := parse(path, b, o, before, objects{})
		if err != nil {
			return nil, err
		}
		own = alone.gone
	}
	f, err := parse(path, b, o, before, from)
	if err != nil {
		return nil, err
	}
	f.info, f.stamp = info, f.stampOf(f.digest)
	for _, p := range own {
		if !f.takesObjects() && !slices.Contains(f.gone, p) { // it is there now, and will not be at the start
			f.gone = append(f.gone, p)
		}
	}
	return f, nil
}

// read reads a config file, and a byte more than one may have.
func read(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return b, info, err
}

// Reload reads the file again, as it was read. Rules may name what was taken out of it; see
// [File.Gone].
func (f *File) Reload() (*File, error) { return load(f.name, f.options, f) }

// Changed reports whether the file that f was read from says something else now, or the
// policy in Rego that it refers to. stamp names what they say: when it is the same, they are.
func (f *File) Changed() (changed bool, stamp [sha256.Size]byte, err error) {
	b, _, err := read(f.name)
	if err != nil {
		return false, stamp, err
	}
	stamp = f.stampOf(sha256.Sum256(b))
	return stamp != f.stamp, stamp, nil
}

// Safe returns why the file is not to be used by a gateway: others than root and the
// user of this process could have written it, or the policy in Rego or a program that it refers
// to. It is nil for what was not read from a file.
func (f *File) Safe() error {
	if f.info == nil {
		return nil
	}
	return errors.Join(trusted(f.name, f.info), f.safeRego(), f.safePrograms())
}

// Name is where the file was read from.
func (f *File) Name() string { return f.name }

// Parse reads a config file's text; name is for messages and for relative
// paths.
func Parse(name string, text []byte, o Options) (*File, error) {
	return parse(name, text, o, nil, objects{})
}

func parse(name string, text []byte, o Options, before *File, from objects) (*File, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := &decoder{file: name, objects: &from, protocols: o.Protocols, kinds: o.Kinds, places: make(map[string]int), broken: make(map[string]bool)}
	out := &File{name: name, text: text, digest: sha256.Sum256(text), options: o, places: d.places, before: before, references: make(map[string]bool)}
	if len(text) > maxFile {
		d.problem(1, "", "the file is larger than %d bytes", maxFile)
		return nil, d.problems
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.problem(1, "", "the file is empty")
	case err != nil:
		d.problem(brokenLine(text, yamlLine(err)), "is it indented as the lines around it, and is every quote and bracket closed?", "not YAML: %s", yamlText(err))
		return nil, d.problems
	default:
		if len(from.list) > 0 {
			from.hidden = d.join(doc.Content[0], takes(doc.Content[0]))
		}
		out.objects = from
		d.decode(doc.Content[0], reflect.ValueOf(out).Elem(), "", 0)
		for i := range out.Masking {
			out.Masking[i].Stored = from.of(out.Masking[i].Line) != nil
		}
		if dec.Decode(new(yaml.Node)) == nil {
			d.problem(doc.Line, "", "the file holds more than one document")
		}
	}
	if doc.Kind != 0 && doc.Content[0].Kind == yaml.MappingNode {
		d.checking = true
		out.validate(d)
	}
	out.before = nil
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line) })
		return nil, d.problems
	}
	return out, nil
}

// path makes p relative to the config file's folder.
func (f *File) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(f.name), p)
}

// Data is the folder of the gateway's own files.
func (f *File) Data() string { return f.path(cmp.Or(f.DataDir, "data")) }

func yamlLine(err error) int {
	line := 1
	fmt.Sscanf(err.Error(), "yaml: line %d:", &line)
	return line
}

// brokenLine returns the line at which text stops being YAML, near the one that the
// parser names: the first after which no more text makes it whole. The parser may name
// the beginning of what the line is part of.
func brokenLine(text []byte, named int) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	whole := func(n int) bool {
		return yaml.Unmarshal(bytes.Join(lines[:n], nil), new(yaml.Node)) == nil
	}
	n := min(len(lines), named+20)
	for ; n > max(1, named-2); n-- {
		if whole(n - 1) {
			break
		}
	}
	return n
}

func yamlText(err error) string {
	s := err.Error()
	var line int
	if n, _ := fmt.Sscanf(s, "yaml: line %d:", &line); n == 1 {
		s = s[len(fmt.Sprintf("yaml: line %d: ", line)):]
	}
	return s
}
