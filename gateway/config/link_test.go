package config

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/builtin"
	"github.com/sallyport/sallyport/secrets"
)

// TestLoginLink: a link is offered where the file says so, with people to log in, at a page that is there.
func TestLoginLink(t *testing.T) {
	const (
		api       = "api: {listen: 127.0.0.1:0, url: https://gw.example.com}\n"
		providers = "identity: {providers: [{name: dev, issuer: https://idp.example.com, client_id: web}], users: [{name: root, ssh_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1P6dDM0RlbO/lBGDBsBuiwyfXYW41hHp3dyPYWbz1K\"]}]}\n"
	)
	o := Options{Secrets: secrets.Default(), Protocols: append(builtin.All(), protocol.Protocol{
		Name: "plain", DefaultPort: 1, Open: func(protocol.Assembly) (*protocol.Service, error) { return nil, nil },
	})}
	for _, c := range []struct {
		name, head, typ, link string
		want                  *LoginLink // but for its line
		problem               string
	}{
		{"left out", api + providers, "postgres", "", nil, ""},
		{"on", api + providers, "postgres", "login_link: true", &LoginLink{SameAddress: true}, ""},
		{"on, for ssh", api + providers, "ssh", "login_link: true", &LoginLink{SameAddress: true}, ""},
		{"off", api + providers, "postgres", "login_link: false", nil, ""},
		{"off where nobody could log in", "", "postgres", "login_link: false", nil, ""},
		{"nothing", api + providers, "postgres", "login_link: ", nil, ""},
		{"no keys", api + providers, "postgres", "login_link: {}", &LoginLink{SameAddress: true}, ""},
		{"any address", api + providers, "postgres", "login_link: {same_address: false}", &LoginLink{}, ""},
		{"the same address", api + providers, "postgres", "login_link: {same_address: true}", &LoginLink{SameAddress: true}, ""},
		{"a word", api + providers, "postgres", "login_link: sometimes", nil, "login_link must be true or false"},
		{"a list", api + providers, "postgres", "login_link: [true]", nil, "login_link must be a single value"},
		{"an unknown key", api + providers, "postgres", "login_link: {same_adress: false}", nil, `did you mean "same_address"?`},
		{"no API", "identity: {users: [{name: root, hash: x}]}\n", "postgres", "login_link: true", nil, "login_link needs the API"},
		{"no provider", api, "postgres", "login_link: true", nil, "login_link needs an identity provider"},
		{"a protocol without", api + providers, "plain", "login_link: true", nil, "clients of type plain cannot be shown a login link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.head + "access: [{groups: [\"*\"], allow: [connect]}]\n" + fmt.Sprintf("resources:\n  - name: shop\n    type: %s\n    address: db:1\n    listen: 127.0.0.1:0\n    username: app\n    password: env:X\n    %s\n", c.typ, c.link)
			if c.typ == "ssh" {
				text += "    ssh: {trust_on_first_use: true}\n"
			}
			f, err := Parse("sallyport.yaml", []byte(text), o)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			got := f.LoginLink("alice", "shop", c.typ)
			if got != nil {
				l := *got
				l.Position = Position{}
				got = &l
			}
			require.Equal(t, c.want, got)
			require.Nil(t, f.LoginLink("alice", "other", c.typ))
			require.Nil(t, f.LoginLink("alice", "shop", "mysql"))
			if c.head != "" {
				require.Nil(t, f.LoginLink("root", "shop", c.typ), "a user of the file has something of her own")
			}
		})
	}
}
