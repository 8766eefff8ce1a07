package azure

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Settings are what a config file says of a Key Vault. Without client it is read as the machine's managed identity.
type Settings struct {
	Vault    string          `yaml:"vault"`
	Identity string          `yaml:"identity"` // the client ID of one of several managed identities
	Client   *ClientSettings `yaml:"client"`
}

// ClientSettings are those of a [Client], with a secret, or of a [Workload], with a token.
type ClientSettings struct {
	Tenant string `yaml:"tenant"`
	ID     string `yaml:"id"`
	Secret string `yaml:"secret"` // a reference
	Token  string `yaml:"token"`  // a reference
}

// Kind is the kind of sources that are a Key Vault.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "azure", Settings: func() any { return &Settings{} }, Open: open}
}

// Validate says what is wrong.
func (s *Settings) Validate() error {
	var errs []error
	if _, err := httpapi.Base(s.Vault); err != nil {
		errs = append(errs, fmt.Errorf("vault: %w", err))
	}
	c := s.Client
	switch {
	case c == nil:
	case s.Identity != "":
		errs = append(errs, errors.New("identity: it is of a managed identity, and client of an application: want one of them"))
	case c.Tenant == "" || c.ID == "":
		errs = append(errs, errors.New("client: want tenant and id"))
	case (c.Secret == "") == (c.Token == ""):
		errs = append(errs, errors.New("client: want secret or token, as a reference"))
	case c.Secret != "":
		errs = append(errs, secrets.CheckInput("client: secret", c.Secret))
	default:
		errs = append(errs, secrets.CheckInput("client: token", c.Token))
	}
	return errors.Join(errs...)
}

func open(settings any, h secrets.Host) (secrets.Provider, error) {
	s := settings.(*Settings)
	c := Config{Vault: s.Vault}
	switch {
	case s.Client == nil:
		c.Login = &ManagedIdentity{ClientID: s.Identity}
	case s.Client.Secret != "":
		c.Login = &Client{Tenant: s.Client.Tenant, ID: s.Client.ID, Secret: h.Input(s.Client.Secret)}
	default:
		c.Login = &Workload{Tenant: s.Client.Tenant, ID: s.Client.ID, Token: h.Input(s.Client.Token)}
	}
	return New(c)
}
