package vault

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Settings are what a config file says of a Vault. One login is given.
type Settings struct {
	Address     string               `yaml:"address"`
	Namespace   string               `yaml:"namespace"`
	CA          string               `yaml:"ca"`
	Cert        string               `yaml:"cert"`
	Key         string               `yaml:"key"`
	Token       *TokenSettings       `yaml:"token"`
	AppRole     *AppRoleSettings     `yaml:"approle"`
	Kubernetes  *RoleSettings        `yaml:"kubernetes"`
	JWT         *RoleSettings        `yaml:"jwt"`
	Certificate *CertificateSettings `yaml:"certificate"`
}

// TokenSettings are those of a [Token].
type TokenSettings struct {
	From    string `yaml:"from"` // a reference
	Wrapped bool   `yaml:"wrapped"`
}

// AppRoleSettings are those of an [AppRole].
type AppRoleSettings struct {
	Mount    string `yaml:"mount"`
	RoleID   string `yaml:"role_id"`
	SecretID string `yaml:"secret_id"` // a reference
	Wrapped  bool   `yaml:"wrapped"`
}

// RoleSettings are those of a [Kubernetes] and a [JWT].
type RoleSettings struct {
	Mount string `yaml:"mount"`
	Role  string `yaml:"role"`
	Token string `yaml:"token"` // a reference; a pod has one of its own
}

// CertificateSettings are those of a [Certificate].
type CertificateSettings struct {
	Mount string `yaml:"mount"`
	Role  string `yaml:"role"`
}

// Kind is the kind of sources that are a Vault.
func Kind() secrets.Kind {
	return secrets.Kind{Name: "vault", Settings: func() any { return &Settings{} }, Open: openSettings}
}

// Validate says what is wrong.
func (s *Settings) Validate() error {
	var errs []error
	if _, err := httpapi.Base(s.Address); err != nil {
		errs = append(errs, fmt.Errorf("address: %w", err))
	}
	if (s.Cert == "") != (s.Key == "") {
		errs = append(errs, errors.New("cert: want cert and key, or neither"))
	}
	logins := 0
	if t := s.Token; t != nil {
		logins++
		errs = append(errs, secrets.CheckInput("token: from", t.From))
	}
	if a := s.AppRole; a != nil {
		logins++
		if a.RoleID == "" {
			errs = append(errs, errors.New("approle: role_id is missing"))
		}
		errs = append(errs, secrets.CheckInput("approle: secret_id", a.SecretID))
	}
	if k := s.Kubernetes; k != nil {
		logins++
		if k.Token != "" {
			errs = append(errs, secrets.CheckInput("kubernetes: token", k.Token))
		}
	}
	if j := s.JWT; j != nil {
		logins++
		errs = append(errs, secrets.CheckInput("jwt: token", j.Token))
	}
	if s.Certificate != nil {
		logins++
		if s.Cert == "" {
			errs = append(errs, errors.New("certificate: want cert and key, which the gateway logs in with"))
		}
	}
	if logins != 1 {
		errs = append(errs, fmt.Errorf("address: there are %d ways to log in: want one of token, approle, kubernetes, jwt and certificate", logins))
	}
	return errors.Join(errs...)
}

func openSettings(settings any, h secrets.Host) (secrets.Provider, error) {
	s := settings.(*Settings)
	c := Config{Address: s.Address, Namespace: s.Namespace}
	var err error
	if c.RootCAs, err = h.Roots(s.CA); err != nil {
		return nil, err
	}
	if c.Certificate, err = h.Pair(s.Cert, s.Key); err != nil {
		return nil, err
	}
	switch {
	case s.Token != nil:
		c.Login = &Token{From: h.Input(s.Token.From), Wrapped: s.Token.Wrapped}
	case s.AppRole != nil:
		c.Login = &AppRole{Mount: s.AppRole.Mount, RoleID: s.AppRole.RoleID, SecretID: h.Input(s.AppRole.SecretID), Wrapped: s.AppRole.Wrapped}
	case s.Kubernetes != nil:
		k := &Kubernetes{Mount: s.Kubernetes.Mount, Role: s.Kubernetes.Role}
		if s.Kubernetes.Token != "" {
			k.Token = h.Input(s.Kubernetes.Token)
		}
		c.Login = k
	case s.JWT != nil:
		c.Login = &JWT{Mount: s.JWT.Mount, Role: s.JWT.Role, Token: h.Input(s.JWT.Token)}
	case s.Certificate != nil:
		c.Login = &Certificate{Mount: s.Certificate.Mount, Role: s.Certificate.Role}
	}
	return New(c)
}
