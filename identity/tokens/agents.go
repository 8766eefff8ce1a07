package tokens

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/proxy"
)

// MaxAgentLife is how long the token of an agent may be valid.
const MaxAgentLife = 30 * 24 * time.Hour

var agentName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// checkAgent returns why a token, which is valid for life, proves no agent.
func (t *Token) checkAgent(life time.Duration) error {
	switch {
	case t.Agent == "" && t.Audience == "":
		return nil
	case !agentName.MatchString(t.Agent):
		return fmt.Errorf("the agent's name is %q: want 1 to 32 lower-case letters, digits and dashes", t.Agent)
	case t.Audience == "":
		return errors.New("an agent's token needs an audience: the place that takes it")
	case life > MaxAgentLife:
		return fmt.Errorf("an agent's token expires within %d days", int(MaxAgentLife.Hours()/24))
	}
	return nil
}

// newSecret returns the secret of a new token, and the verifier by which it logs in at listeners. An
// agent's does not.
func (t *Token) newSecret() (secret, verifier string, err error) {
	if t.Agent != "" {
		return newSecret(AgentPrefix), "", nil
	}
	secret = newSecret(Prefix)
	v, err := scram.NewVerifier(secret)
	if err != nil {
		return "", "", err
	}
	return secret, v.String(), nil
}

// subject is that of who the token proves.
func (t *Token) subject() string {
	if t.Agent == "" {
		return t.Subject
	}
	return t.Subject + Separator + t.Agent
}

// delegate makes the agent of the human who owns the token: it has her groups, and its scopes narrow
// what it may do.
func (k *kept) delegate(id *proxy.Identity) {
	id.Kind, id.Delegated, id.OnBehalfOf = proxy.Agent, true, id.Subject
	id.Subject, id.Name = k.subject(), k.Agent
}

// FindAgent returns the agent that a secret proves at an audience. No other secret proves one, and no
// other place takes an agent's.
func (t *Tokens) FindAgent(ctx context.Context, audience string, secret proxy.Secret) (*proxy.Identity, error) {
	text := secret.Reveal()
	if !IsSecret(AgentPrefix, text) {
		return nil, proxy.ErrUnauthenticated
	}
	d, k, err := t.get(ctx, identify(text))
	if errors.Is(err, identity.ErrNoDocument) {
		return nil, proxy.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(k.Hash), []byte(hash(text))) != 1 || k.Agent == "" || audience == "" || k.Audience != audience || !t.now().Before(k.Expires) {
		return nil, proxy.ErrUnauthenticated
	}
	owner, err := t.owner(ctx, k.Subject)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	if owner.Kind != proxy.Human {
		return nil, proxy.ErrUnauthenticated
	}
	t.used(ctx, d, k)
	now := *owner
	now.Method = proxy.MethodPassword
	return k.identity(&now), nil
}
