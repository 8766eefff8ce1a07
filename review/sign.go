package review

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/digest"
	"github.com/sallyport/sallyport/proxy"
)

// Signer signs what requests are, and opens what it or another gateway on the store has signed. It is safe for concurrent use.
type Signer interface {
	SignGrant(g *proxy.Grant) (signed string, err error)
	// OpenGrant returns what was signed by a gateway on the store. An error that wraps proxy.ErrUnavailable says that it is not known
	// whether it was; any other that it was not.
	OpenGrant(ctx context.Context, signed string) (*proxy.Grant, error)
}

// sign signs what a request is from now on, which is kept with it: a gateway goes by nothing else. What is over is of no use to
// anybody, and stays with what was signed last.
func (d *Desk) sign(r *Request) error {
	if d.Signer == nil || r.over() {
		return nil
	}
	g := r.grant()
	g.Signed = d.now()
	if d.Revision != nil {
		g.Revision = d.Revision()
	}
	var err error
	if g.Document, err = r.documentDigest(); err != nil {
		return err
	}
	r.Signed, err = d.Signer.SignGrant(g)
	return err
}

// grant is what is signed of a request: a grant when it is approved.
func (r *Request) grant() *proxy.Grant {
	g := &proxy.Grant{
		Version: proxy.GrantVersion, State: string(r.State), Request: r.ID, Requester: r.Requester, For: r.For, Resource: r.Resource, Account: r.Account,
		Database: r.Database, Kind: r.Kind, Rules: r.Rules, NotAfter: r.Deadline.UTC(), Hash: r.Hash,
	}
	if r.sums != nil {
		g.Text, g.Arguments = r.sums.Text, r.sums.Arguments
	}
	if i := r.Impact; i != nil && i.Holds != proxy.HoldsNothing {
		g.Bounds = &proxy.GrantBounds{Rows: i.Rows}
		if i.Digest != "" {
			g.Bounds.Digest = digest.Of("sallyport rows 1", string(r.sums.Salt), i.Digest) // nobody can guess by it what rows hold
		}
	}
	approved := r.State == Approved
	switch a := r.Access; {
	case a == nil && approved:
		g.NotAfter, g.Uses, g.Under = r.UseBy.UTC(), 1, r.Under
		if r.Standing != nil {
			g.Uses, g.Standing = 0, r.Standing.Runs
		}
		g.Votes = []proxy.GrantVote{{By: r.DecidedBy, At: latest(r.DecidedAt).UTC(), Channel: r.Channel}}
	case a != nil:
		g.Actions, g.Rows = a.Actions, a.Rows
		for _, v := range a.Votes {
			if !v.Lost {
				g.Votes = append(g.Votes, proxy.GrantVote{By: v.By, At: v.At.UTC(), Channel: v.Channel})
			}
		}
		if approved {
			g.Actions, g.From, g.NotAfter = a.Grant.Actions, a.Grant.From.UTC(), a.Grant.Until.UTC()
		}
	}
	return g
}

// documentDigest is that of everything that is kept of a request, but for what is signed of it. Who does not know the salt of an
// operation cannot find out by it what the operation is.
func (r *Request) documentDigest() (string, error) {
	plain := *r
	plain.Signed = ""
	body, err := json.Marshal(document{Request: &plain, Sums: r.sums, Said: r.said, Marks: r.marks, Scope: r.scope()})
	if err != nil {
		return "", err
	}
	// As it is read back, where that differs: bytes that are not UTF-8 do not stay what they are.
	again := document{Request: &Request{}}
	if err := json.Unmarshal(body, &again); err != nil {
		return "", err
	}
	if body, err = json.Marshal(again); err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}

var errUnsigned = errors.New("it is not what a gateway on this store has signed")

// genuine holds that a request is what a gateway has signed, when anything could come of it. An error that wraps
// proxy.ErrUnavailable says that this is not known.
func (d *Desk) genuine(ctx context.Context, r *Request) error {
	if d.Signer == nil || r.over() {
		return nil
	}
	g, err := d.Signer.OpenGrant(ctx, r.Signed)
	if errors.Is(err, proxy.ErrUnavailable) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsigned, err)
	}
	sum, err := r.documentDigest()
	if err != nil {
		return err
	}
	if g.Request != r.ID || g.State != string(r.State) || g.Document != sum {
		return errUnsigned
	}
	return nil
}

// Approval is what the record has of an operation or a session that a request lets run; nil: it is not approved, or not known here.
func (d *Desk) Approval(request string) *proxy.Approval {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[request]
	if k == nil {
		return nil
	}
	a := &proxy.Approval{Request: request, Signed: k.request.Signed, At: now}
	switch r := &k.request; {
	case r.Access != nil && r.Access.Grant != nil: // it may have ended at this moment
	case r.Use != nil:
		a.At = r.Use.At
	case r.Standing != nil && r.State == Approved:
	default:
		return nil
	}
	if s := k.request.sums; s != nil {
		a.Salt = s.Salt
	}
	return a
}

// sums are the digests of an operation, as its grant has them.
type sums struct {
	Salt      []byte `json:"salt"`
	Text      string `json:"text"`
	Arguments string `json:"arguments"`
}

func newSums(op proxy.Op) *sums {
	s := &sums{Salt: make([]byte, 16)}
	rand.Read(s.Salt)
	s.Text, s.Arguments, _ = proxy.Digests(op, s.Salt)
	return s
}
