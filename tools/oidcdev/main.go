// Command oidcdev is an OpenID provider for tests: the one of github.com/zitadel/oidc,
// with its example's storage, a login form, and a way to change users while it runs.
//
//	oidcdev -redirect URL      # prints its issuer, and ends with its standard input
//
// Users are alice and bob, with the password "password". Clients are web (secret
// "secret"), native (without a secret) and device (secret "secret").
//
//	POST /dev/groups?user=alice&group=dba&group=ops
//	POST /dev/gone?user=alice                # her refresh tokens are worth nothing
//	POST /dev/approve?user=alice&code=CODE   # a device's code; deny=1 refuses it
//	POST /dev/rotate                         # the signing key
//	GET  /dev/logout-token?user=alice&client=web
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	redirect := flag.String("redirect", "", "where browsers are sent back to")
	flag.Parse()
	if err := run(*redirect); err != nil {
		log.Fatal(err)
	}
}

func run(redirect string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + ln.Addr().String()
	storage.RegisterClients(
		storage.WebClient("web", "secret", redirect), storage.NativeClient("native", redirect), storage.DeviceClient("device", "secret"),
	)
	d := &dev{Storage: storage.NewStorage(users{}), groups: make(map[string][]string), gone: make(map[string]bool)}
	d.rotate()
	provider, err := op.NewProvider(&op.Config{
		CodeMethodS256: true, GrantTypeRefreshToken: true, AuthMethodPost: true, CryptoKey: [32]byte{1}, CryptoKeyId: "1",
		BackChannelLogoutSupported: true, BackChannelLogoutSessionSupported: true,
		DeviceAuthorization: op.DeviceAuthorizationConfig{Lifetime: 5 * time.Minute, PollInterval: time.Second, UserFormPath: "/device", UserCode: op.UserCodeBase20},
	}, d, op.StaticIssuer(issuer), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("GET /login/username", form)
	mux.Handle("POST /login/username", op.NewIssuerInterceptor(provider.IssuerFromRequest).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), r.FormValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, op.AuthCallbackURL(provider)(r.Context(), r.FormValue("id")), http.StatusFound)
	}))
	d.routes(mux, issuer)
	fmt.Println(issuer)
	go func() {
		// The test that started it is gone when its standard input ends.
		_, _ = io.Copy(io.Discard, os.Stdin)
		ln.Close()
	}()
	if err := http.Serve(ln, mux); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

var page = template.Must(template.New("").Parse(`<form method="post"><input type="hidden" name="id" value="{{.}}">
<input name="username"><input name="password" type="password"><button>Log in</button></form>`))

func form(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, r.FormValue("authRequestID"))
}

// users are those that there are.
type users struct{}

func (users) ExampleClientID() string { return "service" }

func (users) GetUserByID(id string) *storage.User {
	if id != "alice" && id != "bob" {
		return nil
	}
	return &storage.User{ID: id, Username: id, Password: "password", FirstName: id, LastName: "Example", Email: id + "@example.com", EmailVerified: true}
}

func (u users) GetUserByUsername(name string) *storage.User { return u.GetUserByID(name) }

// dev is the example's storage, with groups, keys that change, and users that go.
type dev struct {
	*storage.Storage

	mu     sync.Mutex
	groups map[string][]string
	gone   map[string]bool
	keys   []*key // the newest last
}

type key struct {
	id     string
	secret *rsa.PrivateKey
}

func (k *key) ID() string                                  { return k.id }
func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *key) Key() any                                    { return k.secret }

type public struct{ *key }

func (p public) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (p public) Use() string                        { return "sig" }
func (p public) Key() any                           { return &p.secret.PublicKey }

func (d *dev) rotate() {
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys = []*key{{rand.Text(), secret}}
}

func (d *dev) newest() *key {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[len(d.keys)-1]
}

// SigningKey implements op.Storage.
func (d *dev) SigningKey(context.Context) (op.SigningKey, error) { return d.newest(), nil }

// KeySet implements op.Storage.
func (d *dev) KeySet(context.Context) ([]op.Key, error) { return []op.Key{public{d.newest()}}, nil }

func (d *dev) of(user string) (groups []string, gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.groups[user]), d.gone[user]
}

// SetUserinfoFromRequest adds the groups to ID tokens.
func (d *dev) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	groups, _ := d.of(r.GetSubject())
	info.AppendClaims("groups", groups)
	return d.Storage.SetUserinfoFromRequest(ctx, info, r, scopes)
}

// SetUserinfoFromToken adds the groups to user info.
func (d *dev) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	groups, _ := d.of(subject)
	info.AppendClaims("groups", groups)
	return d.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// TokenRequestByRefreshToken refuses users that are gone.
func (d *dev) TokenRequestByRefreshToken(ctx context.Context, token string) (op.RefreshTokenRequest, error) {
	r, err := d.Storage.TokenRequestByRefreshToken(ctx, token)
	if err != nil {
		return nil, err
	}
	if _, gone := d.of(r.GetSubject()); gone {
		return nil, errors.New("the user is gone")
	}
	return r, nil
}

func (d *dev) routes(mux *http.ServeMux, issuer string) {
	mux.HandleFunc("POST /dev/groups", func(_ http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.groups[q.Get("user")] = q["group"]
	})
	mux.HandleFunc("POST /dev/gone", func(_ http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.gone[r.URL.Query().Get("user")] = true
	})
	mux.HandleFunc("POST /dev/rotate", func(http.ResponseWriter, *http.Request) { d.rotate() })
	mux.HandleFunc("POST /dev/approve", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if _, err := d.GetDeviceAuthorizationByUserCode(r.Context(), q.Get("code")); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		var err error
		if q.Has("deny") {
			err = d.DenyDeviceAuthorization(r.Context(), q.Get("code"))
		} else {
			err = d.CompleteDeviceAuthorization(r.Context(), q.Get("code"), q.Get("user"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /dev/logout-token", func(w http.ResponseWriter, r *http.Request) {
		k := d.newest()
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.secret, KeyID: k.id}}, (&jose.SignerOptions{}).WithType("logout+jwt"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		now := time.Now()
		claims, err := json.Marshal(map[string]any{
			"iss": issuer, "sub": r.URL.Query().Get("user"), "aud": r.URL.Query().Get("client"), "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
			"jti": rand.Text(), "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, text)
	})
}
