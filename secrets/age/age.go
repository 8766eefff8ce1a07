// Package age reads files that are encrypted with age, armored or not.
//
//	age:secrets/db.age            the whole text
//	age:secrets/db.age#password   a key of a JSON object, or of lines NAME=VALUE
package age

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

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
		return nil, errors.New("opening age: there is no identity: set Config.Identity")
	}
	return &Provider{c}, nil
}

// maxContent bounds what a file holds, in bytes.
const maxContent = 1 << 20

// Resolve decrypts a file.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("user"); err != nil {
		return nil, err
	}
	sealed, err := secrets.ReadFile(secrets.Host{Dir: p.config.Dir}.Path(ref.Path))
	if err != nil {
		return nil, err
	}
	text, err := p.config.Identity(ctx)
	if err != nil {
		return nil, fmt.Errorf("the identity of age: %w", err)
	}
	identities, err := age.ParseIdentities(strings.NewReader(text.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("the identity of age is not a file of age-keygen: %w", secrets.ErrType) // its error may quote the text
	}
	var from io.Reader = bytes.NewReader(sealed)
	if bytes.HasPrefix(bytes.TrimSpace(sealed), []byte(armor.Header)) {
		from = armor.NewReader(from)
	}
	var other *age.NoIdentityMatchError
	plain, err := age.Decrypt(from, identities...)
	if errors.As(err, &other) {
		return nil, fmt.Errorf("decrypting %s: it is for other keys than the gateway's: %w", ref.Path, secrets.ErrDenied)
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(plain, maxContent+1))
	}
	if err != nil {
		return nil, fmt.Errorf("decrypting %s: it is not a file of age, or was damaged: %w", ref.Path, secrets.ErrType)
	}
	if len(content) > maxContent {
		return nil, fmt.Errorf("decrypting %s: %w", ref.Path, secrets.ErrTooLarge)
	}
	v, err := ref.Pick(content)
	if err != nil {
		return nil, fmt.Errorf("decrypting %s: %w", ref.Path, err)
	}
	return v, nil
}

// Settings are what a config file says of age.
type Settings struct {
	Identity string `yaml:"identity"` // a reference
}

// Kind is the kind of sources that are files of age.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "age", Settings: func() any { return &Settings{} }, Open: func(settings any, h secrets.Host) (secrets.Provider, error) {
		return New(Config{Identity: h.Input(settings.(*Settings).Identity), Dir: h.Dir})
	}}
}

// Validate says what is wrong.
func (s *Settings) Validate() error { return secrets.CheckInput("identity", s.Identity) }
