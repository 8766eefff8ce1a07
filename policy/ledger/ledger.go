// Package ledger keeps what people have used of their budgets in a [store.Store], so that
// gateways on one store give no more than a budget has.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/store"
)

// Kind is the kind of the documents of accounts.
const Kind = "budget"

// New returns a ledger in a store. Periods are those of the store's clock.
func New(s store.Store) policy.Ledger { return ledger{s} }

type ledger struct{ store store.Store }

// body is a document: what was taken of an account in one period.
type body struct {
	Policy  string `json:"policy"`
	Rule    string `json:"rule"`
	Subject string `json:"subject"`
	Unit    string `json:"unit"`
	Per     string `json:"per"`
	Taken   uint64 `json:"taken"`
}

// lasts is how much longer than its period a document is kept.
const lasts = time.Minute

// nameOf is the document of an account's period.
func nameOf(a policy.Account, period int64) string {
	sum := sha256.New()
	for _, s := range []string{a.Policy, a.Rule, a.Subject, a.Unit, a.Per.String()} {
		fmt.Fprintf(sum, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "/" + strconv.FormatInt(period, 10)
}

// Take implements [policy.Ledger].
func (l ledger) Take(ctx context.Context, a policy.Account, w policy.Withdrawal) (policy.Slice, error) {
	_, now, err := l.store.Head(ctx)
	if err != nil {
		return policy.Slice{}, err
	}
	s := policy.Slice{Period: now.UnixNano() / int64(a.Per)}
	end := time.Unix(0, (s.Period+1)*int64(a.Per))
	s.Left = end.Sub(now)
	err = l.update(ctx, a, s.Period, func(b *body) bool {
		b.Taken += w.Used
		s.Amount = 0
		if b.Taken < w.Limit {
			left := w.Limit - b.Taken
			s.Amount = min(left, w.Want, max(w.Need, left-left/2))
		}
		b.Taken += s.Amount
		return w.Used > 0 || s.Amount > 0
	}, end.Add(lasts))
	if err != nil {
		return policy.Slice{}, err
	}
	return s, nil
}

// Give implements [policy.Ledger].
func (l ledger) Give(ctx context.Context, a policy.Account, period int64, amount uint64) error {
	return l.update(ctx, a, period, func(b *body) bool {
		given := min(amount, b.Taken)
		b.Taken -= given
		return given > 0
	}, time.Time{})
}

// update changes the document of a period; one that is new expires at a time, and is not made
// without one.
func (l ledger) update(ctx context.Context, a policy.Account, period int64, change func(*body) bool, expires time.Time) error {
	return store.Update(ctx, l.store, Kind, nameOf(a, period), func(d store.Document) ([]store.Write, error) {
		b := body{Policy: a.Policy, Rule: a.Rule, Subject: a.Subject, Unit: a.Unit, Per: a.Per.String()}
		if d.Version > 0 {
			if err := json.Unmarshal(d.Body, &b); err != nil {
				return nil, fmt.Errorf("budget %q of %q cannot be read: it is damaged", a.Rule, a.Subject)
			}
		} else if expires.IsZero() {
			return nil, nil
		}
		if !change(&b) {
			return nil, nil
		}
		var err error
		if d.Body, err = json.Marshal(b); err != nil {
			return nil, err
		}
		if d.Version == 0 {
			d.Expires = expires
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
}
