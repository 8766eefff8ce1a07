// Package sops reads YAML and JSON files that SOPS has encrypted to keys of age. Names are in clear there, and values
// are not.
//
//	sops:secrets.yaml#database.password   a value, by the names that lead to it
package sops

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/secrets"
)

// Config says by which key files are decrypted.
type Config struct {
	// Identity is a file as age-keygen writes it, with one or several private keys. It is read each time.
	Identity secrets.Input
	// Dir is the folder that relative paths begin in.
	Dir string
}

// Provider is a [secrets.Provider] of files. Make it with New.
type Provider struct{ config Config }

// New returns a provider, without reading anything.
func New(c Config) (*Provider, error) {
	if c.Identity == nil {
		return nil, errors.New("opening SOPS: there is no identity: set Config.Identity")
	}
	return &Provider{c}, nil
}

// Resolve decrypts a file, after it has verified it as a whole. A value that is in clear in the file is
// refused: who reads the file knows it.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	if ref.Key == "" {
		return nil, fmt.Errorf("%s holds several values: give the key, as in sops:%s#password: %w", ref.Path, ref.Path, secrets.ErrType)
	}
	text, err := secrets.ReadFile(secrets.Host{Dir: p.config.Dir}.Path(ref.Path))
	if err != nil {
		return nil, err
	}
	identity, err := p.config.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("the identity of age: %w", err)
	}
	identities, err := age.ParseIdentities(strings.NewReader(identity.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("the identity of age is not a file of age-keygen: %w", secrets.ErrType) // its error may quote the text
	}
	sealed, all, err := decrypt(text, identities)
	if err != nil {
		return nil, fmt.Errorf("decrypting %s: %w", ref.Path, err)
	}
	v, err := secrets.Pick(sealed, ref.Key)
	if errors.Is(err, secrets.ErrNotFound) {
		if _, clear := secrets.Pick(all, ref.Key); !errors.Is(clear, secrets.ErrNotFound) {
			err = fmt.Errorf("key %q is in clear in the file, or not one text: %w", ref.Key, secrets.ErrType)
		}
	}
	if user := ref.Options.Get("user"); err == nil && user != "" {
		var who *secrets.Value
		if who, err = secrets.Pick(all, user); err == nil {
			v.Username = who.Plain().Reveal()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	return v, nil
}

// metadata is what SOPS keeps in a file besides its values.
type metadata struct {
	Age []struct {
		Sealed string `yaml:"enc"`
	} `yaml:"age"`
	Groups   []any  `yaml:"key_groups"`
	Modified string `yaml:"lastmodified"`
	MAC      string `yaml:"mac"`
	Only     bool   `yaml:"mac_only_encrypted"`
}

// section is the name of the metadata in a file.
const section = "sops"

var (
	errForm    = fmt.Errorf("it is not a YAML or JSON file of SOPS: %w", secrets.ErrType)
	errChanged = fmt.Errorf("it is not as SOPS has written it: %w", secrets.ErrType)
)

// decrypt verifies a file. It returns its values as JSON: those that were encrypted, and all.
func decrypt(text []byte, identities []age.Identity) (sealed, all []byte, err error) {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if dec.Decode(&doc) != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode { // its error may quote the text
		return nil, nil, errForm
	}
	if !errors.Is(dec.Decode(new(yaml.Node)), io.EOF) {
		return nil, nil, fmt.Errorf("it holds several documents: %w", secrets.ErrType)
	}
	root := doc.Content[0]
	var m metadata
	found := false
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == section {
			if found || root.Content[i+1].Decode(&m) != nil {
				return nil, nil, errForm
			}
			found = true
		}
	}
	if !found {
		return nil, nil, fmt.Errorf("it is not encrypted: %w", errForm)
	}
	if len(m.Groups) > 0 || len(m.Age) == 0 {
		return nil, nil, fmt.Errorf("it is not encrypted to a key of age, or to several groups of keys: %w", secrets.ErrDenied)
	}
	key, err := m.key(identities)
	if err != nil {
		return nil, nil, err
	}
	w := &walk{key: key, mac: sha512.New(), only: m.Only}
	if m.Only {
		begin := sha256.Sum256([]byte(section))
		w.mac.Write(begin[:])
	}
	root.Content = without(root.Content, section)
	tree, hidden, err := w.node(root, nil)
	if err != nil {
		return nil, nil, err
	}
	at, err := time.Parse(time.RFC3339, m.Modified)
	if err != nil {
		return nil, nil, errForm
	}
	mac, _, err := open(m.MAC, key, at.Format(time.RFC3339))
	if err != nil {
		return nil, nil, errChanged
	}
	if subtle.ConstantTimeCompare([]byte(mac), []byte(strings.ToUpper(hex.EncodeToString(w.mac.Sum(nil))))) != 1 {
		return nil, nil, errChanged
	}
	if all, err = json.Marshal(tree); err == nil {
		sealed, err = json.Marshal(hidden)
	}
	if err != nil {
		return nil, nil, errForm
	}
	return sealed, all, nil
}

// without is a mapping's content without a name.
func without(content []*yaml.Node, name string) (rest []*yaml.Node) {
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value != name {
			rest = append(rest, content[i], content[i+1])
		}
	}
	return rest
}

// key unseals the key of the file's values.
func (m *metadata) key(identities []age.Identity) ([]byte, error) {
	for _, a := range m.Age {
		r, err := age.Decrypt(armor.NewReader(strings.NewReader(strings.TrimSpace(a.Sealed))), identities...)
		if err != nil {
			continue // it is for somebody else
		}
		key, err := io.ReadAll(io.LimitReader(r, 33))
		if err == nil && len(key) == 32 {
			return key, nil
		}
	}
	return nil, fmt.Errorf("it is for other keys than the gateway's: %w", secrets.ErrDenied)
}

// walk decrypts values in the order of the file, and sums them up.
type walk struct {
	key  []byte
	mac  hash.Hash
	only bool // values that were encrypted
}

const maxDepth = 64

// node returns what a node holds: all of it, and what of it was encrypted, which is nil when nothing
// was. path has the names that lead to it; entries of lists have none.
func (w *walk) node(n *yaml.Node, path []string) (all, sealed any, err error) {
	if len(path) > maxDepth || n.Kind == yaml.AliasNode {
		return nil, nil, errForm
	}
	switch n.Kind {
	case yaml.MappingNode:
		every, hidden := make(map[string]any), make(map[string]any)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if _, twice := every[name]; twice || n.Content[i].Kind != yaml.ScalarNode {
				return nil, nil, errForm
			}
			v, h, err := w.node(n.Content[i+1], append(path[:len(path):len(path)], name))
			if err != nil {
				return nil, nil, err
			}
			every[name] = v
			if h != nil {
				hidden[name] = h
			}
		}
		return every, hidden, nil
	case yaml.SequenceNode:
		var every []any
		for _, c := range n.Content {
			v, _, err := w.node(c, path)
			if err != nil {
				return nil, nil, err
			}
			every = append(every, v)
		}
		return every, nil, nil
	}
	return w.leaf(n, path)
}

func (w *walk) leaf(n *yaml.Node, path []string) (all, sealed any, err error) {
	if form.MatchString(n.Value) {
		text, kind, err := open(n.Value, w.key, strings.Join(path, ":")+":")
		if err != nil {
			return nil, nil, errChanged
		}
		if kind != "comment" {
			io.WriteString(w.mac, text)
		}
		return text, text, nil
	}
	var v any
	if n.Decode(&v) != nil {
		return nil, nil, errForm
	}
	text := ""
	switch v := v.(type) {
	case nil:
		return nil, nil, nil
	case string:
		text = v
	case int:
		text = strconv.Itoa(v)
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		text = map[bool]string{true: "True", false: "False"}[v]
	case time.Time:
		text = v.Format(time.RFC3339)
	default:
		return nil, nil, errForm
	}
	if !w.only {
		io.WriteString(w.mac, text)
	}
	return text, nil, nil
}

// form is how SOPS writes an encrypted value.
var form = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$`)

// open decrypts a value, which is bound to where it is. It returns the value's type too.
func open(text string, key []byte, where string) (plain, kind string, err error) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return "", "", errForm
	}
	var parts [3][]byte
	for i := range parts {
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return "", "", err
		}
	}
	data, nonce, tag := parts[0], parts[1], parts[2]
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", "", err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(nonce))
	if err != nil {
		return "", "", err
	}
	opened, err := gcm.Open(nil, nonce, append(data, tag...), []byte(where))
	return string(opened), m[4], err
}

// Settings are what a config file says of SOPS.
type Settings struct {
	Identity string `yaml:"identity"` // a reference
}

// Kind is the kind of sources that are files of SOPS.
func Kind() secrets.Kind {
	return secrets.Kind{Name: section, Settings: func() any { return &Settings{} }, Open: func(settings any, h secrets.Host) (secrets.Provider, error) {
		return New(Config{Identity: h.Input(settings.(*Settings).Identity), Dir: h.Dir})
	}}
}

// Validate says what is wrong.
func (s *Settings) Validate() error { return secrets.CheckInput("identity", s.Identity) }
