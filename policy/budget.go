package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// Budget is how much one person may do in a time, in all of her sessions, and those of agents that act for her, to which a rule
// applies, at all gateways that share a [Ledger]. What counts is said at [Obligations].
type Budget struct {
	Statements, Rows uint64        // 0: without a bound
	Per              time.Duration // from MinPer to MaxPer
}

// Bounds of a budget's time.
const (
	MinPer = time.Minute
	MaxPer = 31 * 24 * time.Hour
)

func (b Budget) validate() error {
	switch {
	case b.Statements == 0 && b.Rows == 0:
		return errors.New("a budget per person bounds neither statements nor rows")
	case b.Statements > math.MaxInt64/4 || b.Rows > math.MaxInt64/4:
		return errors.New("a budget per person is larger than can be counted")
	case b.Per < MinPer || b.Per > MaxPer:
		return fmt.Errorf("a budget per person is that of %s, want %s to %s", hours.Length(b.Per), hours.Length(MinPer), hours.Length(MaxPer))
	}
	return nil
}

// String writes it as "500 statements, 1000 rows per 24h".
func (b Budget) String() string {
	var list []string
	if b.Statements > 0 {
		list = append(list, fmt.Sprintf("%d statements", b.Statements))
	}
	if b.Rows > 0 {
		list = append(list, fmt.Sprintf("%d rows", b.Rows))
	}
	return strings.Join(list, ", ") + " per " + hours.Length(b.Per)
}

// Account names what is counted together.
type Account struct {
	Policy        string // the name of the policy whose rule it is
	Rule, Subject string
	Unit          string        // "statements" or "rows"
	Per           time.Duration // periods begin at multiples of it since 1970
}

// Withdrawal asks a ledger for a slice of an account.
type Withdrawal struct {
	Limit uint64 // of the account, in one period
	// Used is what was used without having been taken. It is counted in any case.
	Used uint64
	// Need is what is used at once, and Want what is taken so that nobody needs to ask again
	// soon: of more than Need the ledger gives half of what is left at most, so that all
	// gateways find something. It gives less than Need where no more is left.
	Need, Want uint64
}

// Slice is a part of an account that one gateway may use. What it holds when it dies is lost
// until the period ends.
type Slice struct {
	Amount uint64
	Period int64         // names the period
	Left   time.Duration // of the period
}

// Ledger keeps what has been taken of accounts, for all gateways together. It is safe for
// concurrent use.
type Ledger interface {
	// Take takes a slice. After an error nothing may be used of what may have been taken.
	Take(ctx context.Context, a Account, w Withdrawal) (Slice, error)
	// Give gives back what was not used. It does nothing when the period is over.
	Give(ctx context.Context, a Account, period int64, amount uint64) error
}

// Budgets are one gateway's part of what people may use. Slices are taken before they are
// used, so that gateways together give no more than a budget has. It outlives policies; see
// [Policy.WithBudgets]. It is safe for concurrent use.
type Budgets struct {
	Ledger Ledger

	mu     sync.Mutex
	purses map[purseKey]*purse
	asking sync.WaitGroup // of the ledger, when nobody waits for the answer
}

const (
	sliceOf = 10              // a slice is this part of the budget
	askFor  = 5 * time.Second // for which somebody waits for the ledger
	dryFor  = time.Second     // after which a ledger that had nothing left is asked again
)

type purseKey struct {
	policy, rule, subject string
	Budget
}

// purse is what one person has of one rule's budget here.
type purse struct {
	key              purseKey
	statements, rows *pool // nil: without a bound
	users            int   // sessions
}

// join returns somebody's purse, which leave gives back.
func (b *Budgets) join(policy, rule, subject string, of Budget) *purse {
	key := purseKey{policy, rule, subject, of}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.purses[key]
	if p == nil {
		p = &purse{key: key, statements: b.pool(key, "statements", of.Statements), rows: b.pool(key, "rows", of.Rows)}
		if b.purses == nil {
			b.purses = make(map[purseKey]*purse)
		}
		b.purses[key] = p
	}
	p.users++
	return p
}

func (b *Budgets) leave(p *purse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	delete(b.purses, p.key)
	for _, pool := range []*pool{p.statements, p.rows} {
		if pool != nil {
			b.asking.Go(pool.giveBack)
		}
	}
}

// Wait returns when what was not used has been given back, once all sessions have ended.
func (b *Budgets) Wait() { b.asking.Wait() }

func (b *Budgets) pool(key purseKey, unit string, limit uint64) *pool {
	if limit == 0 {
		return nil
	}
	slice := max(1, limit/sliceOf)
	return &pool{
		of: b, account: Account{key.policy, key.rule, key.subject, unit, key.Per}, limit: limit, slice: slice, low: int64(slice / 2), filling: make(chan struct{}, 1),
	}
}

// pool is the slice that a gateway has of one account.
type pool struct {
	of      *Budgets
	account Account
	limit   uint64
	slice   uint64 // that is taken at a time
	low     int64  // below it the next one is asked for

	left  atomic.Int64 // of the slice; below 0 it was used without having been taken
	early atomic.Bool  // the next slice was asked for before this one is used up

	filling chan struct{} // held by who asks the ledger, or looks at what follows
	period  int64
	ends    time.Time // of the period
	timer   *time.Timer
	dry     time.Time // when the ledger had nothing left
	closed  bool      // nobody uses it any more
}

var (
	errSpent   = errors.New("the budget is used up")
	errUnasked = errors.New("the budget cannot be asked for")
)

// bound is one of rows, of what was granted.
type bound struct {
	rule, request string
	rows          uint64
	ends          time.Time // by the ledger's clock
}

// grantPolicy begins the Policy of an account that is one request's, which goes on with the request's identifier.
const grantPolicy = "request "

// uncounted are operations whose rows nobody counts: what is granted with a bound of rows does not allow them.
var uncounted = kinds(proxy.KindReplication)

// boundLasts is how much longer an account lasts than what was granted, so that no clock has it begin anew before.
const boundLasts = time.Hour

// purse returns the purse of a bound, which all sessions by the request share. Its account has one period, from 1970 to the end of what
// was granted.
func (b *Budgets) purse(of *bound, subject string) *purse {
	return b.join(grantPolicy+of.request, of.rule, subject, Budget{Rows: of.rows, Per: of.ends.Add(boundLasts).Sub(time.Unix(0, 0))})
}

// take uses n of the slice, and asks for another where it has no more.
func (p *pool) take(ctx context.Context, n int64) error {
	for {
		left := p.left.Load()
		if left < n {
			if err := p.fill(ctx, n); err != nil {
				return err
			}
			continue
		}
		if p.left.CompareAndSwap(left, left-n) {
			if left-n < p.low && p.early.CompareAndSwap(false, true) {
				p.of.asking.Go(p.fillEarly)
			}
			return nil
		}
	}
}

// room reports whether n can be used, as take does, and uses nothing.
func (p *pool) room(ctx context.Context, n int64) error {
	if p.left.Load() >= n {
		return nil
	}
	return p.fill(ctx, n)
}

// charge counts what has been used already.
func (p *pool) charge(n int64) { p.left.Add(-n) }

// fill takes a slice where less than n is left.
func (p *pool) fill(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	select {
	case p.filling <- struct{}{}:
		defer func() { <-p.filling }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errUnasked, context.Cause(ctx))
	}
	p.lapse()
	left := p.left.Load()
	if left >= n {
		return nil // somebody else has filled it
	}
	if p.closed || time.Since(p.dry) < dryFor {
		return errSpent
	}
	return p.withdraw(ctx, left, uint64(n-max(left, 0)), n)
}

// fillEarly takes the next slice while there is something left of this one.
func (p *pool) fillEarly() {
	p.filling <- struct{}{}
	defer func() { <-p.filling }()
	p.lapse()
	err := errSpent
	if left := p.left.Load(); !p.closed && time.Since(p.dry) >= dryFor {
		ctx, cancel := context.WithTimeout(context.Background(), askFor)
		defer cancel()
		err = p.withdraw(ctx, left, 0, p.low) // who needs more asks again, and is told
	}
	if err == nil {
		p.early.Store(false)
		return
	}
	time.AfterFunc(dryFor, func() { p.early.Store(false) })
}

// withdraw asks the ledger, and reports whether n is left then.
func (p *pool) withdraw(ctx context.Context, left int64, need uint64, n int64) error {
	used := uint64(max(-left, 0))
	s, err := p.of.Ledger.Take(ctx, p.account, Withdrawal{Limit: p.limit, Used: used, Need: need, Want: max(p.slice, need)})
	if err != nil {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	if s.Period != p.period {
		p.drop()
		p.period = s.Period
	}
	p.ends = time.Now().Add(s.Left)
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(s.Left, p.end)
	if s.Amount == 0 || s.Amount < need {
		p.dry = time.Now()
	}
	if p.left.Add(int64(used+s.Amount)) < n {
		return errSpent
	}
	return nil
}

// drop forgets what is left, which is of another period.
func (p *pool) drop() {
	for {
		left := p.left.Load()
		if left <= 0 || p.left.CompareAndSwap(left, 0) {
			return
		}
	}
}

// lapse forgets the slice once its period is over.
func (p *pool) lapse() {
	if !p.ends.IsZero() && !time.Now().Before(p.ends) {
		p.drop()
		p.ends, p.dry = time.Time{}, time.Time{}
	}
}

func (p *pool) end() {
	p.filling <- struct{}{}
	defer func() { <-p.filling }()
	p.lapse()
}

// giveBack gives back what nobody uses any more.
func (p *pool) giveBack() {
	p.filling <- struct{}{}
	defer func() { <-p.filling }()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.lapse()
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	// What cannot be given back is lost until the period ends.
	switch left := p.left.Swap(0); {
	case left > 0:
		_ = p.of.Ledger.Give(ctx, p.account, p.period, uint64(left))
	case left < 0:
		_, _ = p.of.Ledger.Take(ctx, p.account, Withdrawal{Limit: p.limit, Used: uint64(-left)})
	}
}

// refused is what a user is told when something of a pool could not be had.
func (p *pool) refused(err error) proxy.Verdict {
	if request, ok := strings.CutPrefix(p.account.Policy, grantPolicy); ok {
		what := fmt.Sprintf("request %s has granted you %d rows", request, p.limit)
		if !errors.Is(err, errSpent) {
			return proxy.Deny(proxy.CausePolicy, p.account.Rule, what+", and it cannot be looked at now how many are left", "The gateway's store does not answer: try again.")
		}
		return proxy.Deny(proxy.CausePolicy, p.account.Rule, what+", and they are used up", "All of your sessions share them, at all gateways: ask for access again.")
	}
	what := fmt.Sprintf("%d %s per %s", p.limit, p.account.Unit, hours.Length(p.account.Per))
	if !errors.Is(err, errSpent) {
		return proxy.Deny(proxy.CausePolicy, p.account.Rule, "your budget of "+what+" cannot be looked at now", "The gateway's store does not answer: try again.")
	}
	return proxy.Deny(proxy.CausePolicy, p.account.Rule, "you have used your budget of "+what, "All of your sessions share it, at all gateways.")
}

// WithBudgets returns the same rules, of which budgets per person are kept in b. A rule that
// has one needs it, and needs [CarriesBudgets].
func (p *Policy) WithBudgets(b *Budgets) *Policy {
	with := *p
	with.budgets = b
	return &with
}

var errBudgets = errors.New("policy: a rule has a budget per person, and nobody keeps it: see Policy.WithBudgets")

// account is what a session uses of a rule's budget.
type account struct {
	rule *compiled
	*purse
}

// join opens the session's purses.
func (j *judge) join(policy string, b *Budgets) error {
	for _, c := range j.own {
		for _, of := range c.Obligations.Budgets {
			if b == nil {
				return errBudgets
			}
			j.purses = append(j.purses, account{c, b.join(policy, c.Name, j.session.Identity.Person(), of)})
		}
	}
	j.budgets = b
	j.open(j.current.Load())
	return nil
}

// open gives a decision the purses of its rules.
func (j *judge) open(d *decision) {
	for _, a := range j.purses {
		for _, c := range d.rules {
			if c.whole == a.rule {
				d.purses = append(d.purses, a.purse)
			}
		}
	}
	if len(d.bounds) > 0 && j.usage != nil {
		j.openBounds(d)
	}
}

// openBounds gives a decision the purses of what was granted with a bound of rows.
func (j *judge) openBounds(d *decision) {
	j.bounding.Lock()
	defer j.bounding.Unlock()
	for i := range d.bounds {
		b := &d.bounds[i]
		p := j.bounded[b.request]
		if p == nil && !j.left && j.budgets != nil {
			if j.bounded == nil {
				j.bounded = make(map[string]*purse)
			}
			p = j.budgets.purse(b, j.session.Identity.Person())
			j.bounded[b.request] = p
		}
		if p != nil {
			d.purses = append(d.purses, p)
		}
	}
}

// leave gives the session's purses back.
func (j *judge) leave() {
	for _, a := range j.purses {
		j.budgets.leave(a.purse)
	}
	j.bounding.Lock()
	defer j.bounding.Unlock()
	j.left = true
	for _, p := range j.bounded {
		j.budgets.leave(p)
	}
}

// affords reports whether n statements may begin.
func (d *decision) affords(ctx context.Context, n int64) proxy.Verdict {
	for _, p := range d.purses {
		if p.statements != nil {
			if err := p.statements.room(ctx, n); err != nil {
				return p.statements.refused(err)
			}
		}
		if p.rows != nil {
			if err := p.rows.room(ctx, 1); err != nil {
				return p.rows.refused(err)
			}
		}
	}
	return proxy.Pass()
}

// pay uses n statements of all purses, or of none.
func (d *decision) pay(ctx context.Context, n int64) error {
	for i, p := range d.purses {
		if p.statements == nil {
			continue
		}
		if err := p.statements.take(ctx, n); err != nil {
			for _, paid := range d.purses[:i] {
				if paid.statements != nil {
					paid.statements.charge(-n)
				}
			}
			return &proxy.RefusedError{Verdict: p.statements.refused(err)}
		}
	}
	return nil
}

// payRow uses a row.
func (d *decision) payRow(ctx context.Context) error {
	for _, p := range d.purses {
		if p.rows != nil {
			if err := p.rows.take(ctx, 1); err != nil {
				return &proxy.RefusedError{Verdict: p.rows.refused(err)}
			}
		}
	}
	return nil
}

// chargeRows counts rows that have been changed.
func (d *decision) chargeRows(n int64) {
	for _, p := range d.purses {
		if p.rows != nil {
			p.rows.charge(n)
		}
	}
}

// countsRows reports whether a purse bounds rows.
func (d *decision) countsRows() bool {
	for _, p := range d.purses {
		if p.rows != nil {
			return true
		}
	}
	return false
}
