package masking

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Sampler reads a few values of a relation's columns, outside of the session. It is
// safe for concurrent use.
type Sampler interface {
	// Sample calls each with values of the columns of a relation in the session's
	// database, as text, cut off or not. They are valid until it returns.
	Sample(ctx context.Context, s *proxy.Session, schema, relation string, each func(column string, value []byte)) error
}

const (
	sampleTime  = 3 * time.Second // how long a statement waits for one
	sampleAge   = time.Hour       // after which a relation is looked at again
	sampleRetry = time.Minute     // the same, where it could not be
	maxSampled  = 4096            // relations that are remembered
)

// sampleKey names a relation as one account sees it.
type sampleKey struct{ resource, database, account, schema, relation string }

func keyOf(t *proxy.Target, o *proxy.Origin) sampleKey {
	return sampleKey{t.Resource.Name, t.Database, t.Account.Name, o.Schema, o.Relation}
}

var errNotSampled = errors.New("the sampler did not return")

// samples remember what columns hold whose names do not say it. A value that a
// statement returns changed, as in substr(a, 1, 8), is not found by what it looks
// like any more, so its column must be known before.
type samples struct {
	sampler Sampler
	plan    *Scanner

	mu        sync.Mutex
	relations map[sampleKey]*sampled
}

// sampled is one relation. Its fields may be read once done is closed.
type sampled struct {
	done    chan struct{}
	until   time.Time // when it is to be looked at again; guarded by samples.mu
	columns map[string]Type
	err     error
}

// computed looks at the columns of which the results of f are computed, and
// calls each with those that hold something, by their values.
func (p *samples) computed(ctx context.Context, s *proxy.Session, f *proxy.Facts, each func(column string, t Type)) {
	if p.sampler == nil || f == nil {
		return
	}
	for _, c := range outputs(f) {
		for k := range c.Origins {
			o := &c.Origins[k]
			if o.How == proxy.DerivedPlain {
				continue
			}
			e := p.sample(ctx, s, o.Schema, o.Relation)
			if e == nil {
				continue // typeOf tells that it is not known
			}
			for name, t := range e.columns {
				if o.Column == name || o.Column == "*" {
					each(name, t)
				}
			}
		}
	}
}

// outputs are the columns that a statement returns or copies, as far as they are
// known.
func outputs(f *proxy.Facts) []proxy.Column {
	if f.Copy != nil && f.Copy.Out {
		return f.Copy.Columns
	}
	return f.Columns
}

// maxRead bounds how many relations are looked at for one statement.
const maxRead = 64

// read looks at the relations that f reads, and calls each with the columns that
// hold something, by their values. known is false when it could not be found out.
func (p *samples) read(ctx context.Context, s *proxy.Session, f *proxy.Facts, each func(column string, t Type)) (known bool) {
	if p.sampler == nil || f == nil {
		return true
	}
	known = len(f.Relations) <= maxRead
	for i := range f.Relations[:min(len(f.Relations), maxRead)] {
		r := &f.Relations[i]
		if !r.Effects.Has(proxy.EffectRead) || r.Schema == "" || r.Schema == "pg_catalog" || r.Schema == "information_schema" {
			continue
		}
		e := p.sample(ctx, s, r.Schema, r.Name)
		if e == nil || e.err != nil {
			known = false
			continue
		}
		for name, t := range e.columns {
			each(name, t)
		}
	}
	return known
}

// sample looks at a relation, unless that was done lately, and returns what is
// known of it, nil when ctx ended first. Of several sessions that need it, one
// asks.
func (p *samples) sample(ctx context.Context, s *proxy.Session, schema, relation string) *sampled {
	key := keyOf(&s.Target, &proxy.Origin{Schema: schema, Relation: relation})
	p.mu.Lock()
	e := p.relations[key]
	mine := e == nil || time.Now().After(e.until)
	if mine {
		e = &sampled{done: make(chan struct{}), until: time.Now().Add(sampleRetry), err: errNotSampled}
		if p.relations == nil || len(p.relations) >= maxSampled {
			p.relations = make(map[sampleKey]*sampled) // who waits for one of the others has it
		}
		p.relations[key] = e
	}
	p.mu.Unlock()
	if !mine {
		select {
		case <-e.done:
			return e
		case <-ctx.Done():
			return nil
		}
	}
	defer close(e.done) // also when the sampler panics
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	values := make(map[string][][]byte)
	err := p.sampler.Sample(ctx, s, schema, relation, func(column string, value []byte) {
		values[column] = append(values[column], append([]byte(nil), value...))
	})
	if e.err = err; err != nil {
		return e
	}
	e.columns = make(map[string]Type)
	for name, list := range values {
		if t, ok := p.plan.holds(name, list); ok {
			e.columns[name] = t
		}
	}
	p.mu.Lock()
	e.until = time.Now().Add(sampleAge)
	p.mu.Unlock()
	return e
}

// typeOf returns what o's column holds by its values; "" is nothing in
// particular. known is false when that could not be found out.
func (p *samples) typeOf(t *proxy.Target, o *proxy.Origin) (typ Type, known bool) {
	if p.sampler == nil {
		return "", true // then names alone decide
	}
	p.mu.Lock()
	e := p.relations[keyOf(t, o)]
	p.mu.Unlock()
	if e == nil {
		return "", false
	}
	select {
	case <-e.done:
		return e.columns[o.Column], e.err == nil
	default:
		return "", false
	}
}

// holds is what a column holds by some of its values: the type of which one in
// five of them is at least, by what its name speaks of or in spite of it.
func (p *Scanner) holds(name string, values [][]byte) (Type, bool) {
	for _, topics := range []Topics{p.Topics(name), 0} {
		hits, seen := p.whole(topics, values)
		for t, n := range hits {
			if n*5 >= seen {
				return t, true
			}
		}
	}
	return "", false
}
