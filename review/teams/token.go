package teams

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sallyport/sallyport/review/internal/service"
)

// What the Bot Connector's tokens say.
const (
	issuer      = "https://api.botframework.com"
	endorsement = "msteams"
	skew        = 5 * time.Minute
)

// Times of the Bot Connector's keys.
const (
	keysLife  = 24 * time.Hour
	keysAgain = time.Minute // within which they are not fetched again because a key is not among them
)

// keys are those of the Bot Connector by which it signs for Teams.
type keys struct {
	turn  chan struct{} // holds a value while somebody uses or fetches them
	all   map[string]*rsa.PublicKey
	at    time.Time // when they were fetched
	tried time.Time // when that was tried last
	err   error     // of that
}

// key returns a key by its identifier. Keys that were taken out are used for a day at most.
func (b *Bot) key(ctx context.Context, k *keys, id string) (*rsa.PublicKey, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if known := k.all[id]; known != nil && time.Since(k.at) < keysLife {
		return known, nil
	}
	if time.Since(k.tried) >= keysAgain {
		all, err := b.fetchKeys(ctx)
		if errors.Is(err, context.Canceled) {
			return nil, err // who asked has left, and the next one tries anew
		}
		if k.tried, k.err = time.Now(), err; err == nil {
			k.all, k.at = all, k.tried
		}
	}
	switch {
	case k.err != nil:
		return nil, k.err
	case k.all[id] == nil:
		return nil, errToken
	}
	return k.all[id], nil
}

// fetchKeys fetches the keys.
func (b *Bot) fetchKeys(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	at, err := b.open(b.config.Metadata)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := at.Do(ctx, service.Request{What: "read the Bot Connector's metadata", Method: http.MethodGet, Out: &metadata}); err != nil {
		return nil, err
	}
	if metadata.Issuer != issuer {
		return nil, errors.New("teams: read the Bot Connector's metadata: they are of another issuer")
	}
	if at, err = b.open(metadata.JWKS); err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := at.Do(ctx, service.Request{What: "read the Bot Connector's keys", Method: http.MethodGet, Out: &set}); err != nil {
		return nil, err
	}
	all := make(map[string]*rsa.PublicKey)
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		var says struct {
			Endorsements []string `json:"endorsements"`
		}
		if k.UnmarshalJSON(raw) != nil || json.Unmarshal(raw, &says) != nil {
			continue // of a kind that is not known
		}
		if public, ok := k.Key.(*rsa.PublicKey); ok && k.KeyID != "" && public.N.BitLen() >= 2048 && (k.Use == "" || k.Use == "sig") && slices.Contains(says.Endorsements, endorsement) {
			all[k.KeyID] = public
		}
	}
	if len(all) == 0 {
		return nil, errors.New("teams: read the Bot Connector's keys: there is none for Teams")
	}
	return all, nil
}

// errToken says that a request is not the Bot Connector's.
var errToken = errors.New("teams: a request was not signed by the Bot Connector")

// verify checks that a request with a token is the Bot Connector's, for this bot and about Teams, from the service that the activity names.
func (b *Bot) verify(ctx context.Context, k *keys, raw, serviceURL string) error {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(token.Headers) != 1 || token.Headers[0].KeyID == "" {
		return errToken
	}
	key, err := b.key(ctx, k, token.Headers[0].KeyID)
	if err != nil {
		return err
	}
	var claims jwt.Claims
	var more struct {
		ServiceURL string `json:"serviceurl"`
		Documented string `json:"serviceUrl"` // as the reference writes it
	}
	if token.Claims(key, &claims, &more) != nil {
		return errToken
	}
	at := more.ServiceURL
	if at == "" {
		at = more.Documented
	}
	if claims.Expiry == nil || claims.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{b.config.AppID}, Time: time.Now()}, skew) != nil ||
		len(claims.Audience) != 1 || at == "" || at != serviceURL {
		return errToken
	}
	return nil
}
