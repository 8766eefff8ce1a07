package masking

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Sampler reads a few values of a relation's columns, outside of the session. It is
// safe for concurrent use.
type Sampler interface {
	// Sample calls each with the columns of a relation in the session's database, first
	// once with nil, then with values, as text, cut off or not. Both are valid until it
	// returns. What was found in a column of an ID is known again by it.
	Sample(ctx context.Context, s *proxy.Session, schema, relation string, each func(c *proxy.SampledColumn, value []byte)) error
}

const (
	sampleTime  = 3 * time.Second // how long a statement waits for one
	sampleAge   = time.Hour       // after which a relation is looked at again
	sampleRetry = time.Minute     // the same, where it could not be
	sampleFresh = 5 * time.Second // for which a column may be missing in a sample
	maxSampled  = 4096            // relations that are remembered
	fewSampled  = 20              // values, of a relation of which there will be more
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
	sampler  Sampler
	detector *detect.Detector
	memory   *Memory
	now      func() time.Time

	mu        sync.Mutex
	relations map[sampleKey]*sampled
	looked    map[sampleKey]struct{} // relations that were looked at once; see before
	taken     atomic.Uint64          // how many were, for those who remember what they say
}

// sampled is one relation. Its fields may be read once done is closed.
type sampled struct {
	done    chan struct{}
	until   time.Time // when it is to be looked at again; guarded by samples.mu
	few     bool      // there were few values, and there will be more
	read    time.Time
	columns map[string]sampledColumn
	err     error
}

// sampledColumn is what one sample and those before it found in a column.
type sampledColumn struct {
	finding *finding
	ids     []string // of all columns whose values it returns, its own first
}

// computed looks at the columns that the results of f are, or are computed of, and
// calls each with those of the latter that hold something, by their values.
func (p *samples) computed(ctx context.Context, s *proxy.Session, f *proxy.Facts, each func(column string, t detect.Type)) {
	if p.sampler == nil || f == nil {
		return
	}
	for _, part := range f.Parts {
		p.computed(ctx, s, part, each)
	}
	for _, c := range outputs(f) {
		for k := range c.Origins {
			o := &c.Origins[k]
			if o.Own || o.How == proxy.DerivedPlain && ofServer(o.Schema) {
				continue
			}
			e := p.sample(ctx, s, o.Schema, o.Relation)
			if e != nil && e.lacks(o.Column) {
				p.forget(keyOf(&s.Target, o))
				e = p.sample(ctx, s, o.Schema, o.Relation)
			}
			if e == nil || o.How == proxy.DerivedPlain {
				continue // typeOf and heldIn tell what is known of it
			}
			p.held(s, e, func(name string, t detect.Type) {
				if o.Column == name || o.Column == "*" {
					each(name, t)
				}
			})
		}
	}
}

// held calls each with the columns of e of which at least one in five values is
// something.
func (p *samples) held(s *proxy.Session, e *sampled, each func(column string, t detect.Type)) {
	found := &p.memory.at(&s.Target).findings
	for name, c := range e.columns {
		for _, t := range found.get(c.finding, c.ids).some {
			each(name, t)
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
func (p *samples) read(ctx context.Context, s *proxy.Session, f *proxy.Facts, each func(column string, t detect.Type)) (known bool) {
	if p.sampler == nil || f == nil {
		return true
	}
	known = len(f.Relations) <= maxRead
	for i := range f.Relations[:min(len(f.Relations), maxRead)] {
		r := &f.Relations[i]
		if !r.Effects.Has(proxy.EffectRead) || r.Schema == "" || r.Schema == "pg_temp" || ofServer(r.Schema) {
			continue
		}
		e := p.sample(ctx, s, r.Schema, r.Name)
		if e == nil || e.err != nil {
			known = false
			continue
		}
		p.held(s, e, each)
	}
	return known
}

// before looks at the relations that f writes to, changes or locks, and that were not
// looked at yet: what is in them then is not hidden by what f puts next to it, and they
// can be read.
func (p *samples) before(ctx context.Context, s *proxy.Session, f *proxy.Facts) {
	const touches = proxy.EffectsWrite | proxy.EffectAlter | proxy.EffectLock
	if p.sampler == nil || f == nil || !f.Effects.Has(touches) {
		return
	}
	for i := range f.Relations[:min(len(f.Relations), maxRead)] {
		r := &f.Relations[i]
		if !r.Effects.Has(touches) || r.Schema == "" || r.Schema == "pg_temp" || ofServer(r.Schema) {
			continue
		}
		p.mu.Lock()
		_, looked := p.looked[keyOf(&s.Target, &proxy.Origin{Schema: r.Schema, Relation: r.Name})]
		p.mu.Unlock()
		if !looked {
			p.sample(ctx, s, r.Schema, r.Name)
		}
	}
}

// ofServer reports whether the relations of a schema came with the server.
func ofServer(schema string) bool { return schema == "pg_catalog" || schema == "information_schema" }

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
		if p.looked == nil || len(p.looked) >= maxSampled {
			p.looked = make(map[sampleKey]struct{})
		}
		p.looked[key] = struct{}{}
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
	defer p.taken.Add(1)
	defer close(e.done) // also when the sampler panics
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	type column struct {
		about  proxy.SampledColumn
		values [][]byte
	}
	read := make(map[string]*column)
	err := p.sampler.Sample(ctx, s, schema, relation, func(c *proxy.SampledColumn, value []byte) {
		if read[c.Name] == nil {
			read[c.Name] = &column{}
		}
		of := read[c.Name]
		of.about = *c
		if value != nil {
			of.values = append(of.values, bytes.Clone(value))
		}
	})
	if e.err = err; err != nil {
		return e
	}
	e.columns = make(map[string]sampledColumn, len(read))
	most := 0
	found := &p.memory.at(&s.Target).findings
	for name, c := range read {
		about := detect.Column{Name: name, Type: c.about.Type, Sequence: c.about.Sequence, Key: c.about.Key, Reference: c.about.Reference}
		n := columnName{schema, relation, name}
		ids := idsOf(s.Target.Resource, n, &c.about)
		if e.err = p.memory.recall(ctx, &s.Target, ids[0]); e.err != nil {
			return e
		}
		before := found.remembered(ids[0])
		e.columns[name] = found.add(n, ids, p.detector.Contents(about, c.values), len(c.values), p.now())
		most = max(most, len(c.values))
		if e.err = p.memory.keep(ctx, &s.Target, ids[0], before, found.remembered(ids[0])); e.err != nil {
			return e
		}
	}
	e.few, e.read = most < fewSampled, time.Now()
	p.mu.Lock()
	if e.until = e.read.Add(sampleAge); e.few {
		e.until = e.read.Add(sampleRetry)
	}
	p.mu.Unlock()
	return e
}

// lacks reports whether a column was not there when its relation was read, some time
// ago: the relation may be another one.
func (e *sampled) lacks(column string) bool {
	_, has := e.columns[column]
	return e.err == nil && column != "*" && !has && time.Since(e.read) > sampleFresh
}

func (p *samples) forget(k sampleKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.relations, k)
}

// changed takes in that a statement has run: what it has made or altered is looked at
// anew, and what it has written where there was little.
func (p *samples) changed(t *proxy.Target, f *proxy.Facts) {
	const unseen = proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute | proxy.EffectUnknown
	if p.sampler == nil || f != nil && !f.Effects.Has(proxy.EffectsDDL|proxy.EffectsWrite|unseen) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, e := range p.relations {
		if k.resource != t.Resource.Name || k.database != t.Database {
			continue
		}
		few := true
		select {
		case <-e.done:
			few = e.few || e.err != nil
		default:
		}
		if f == nil || f.Effects.Has(unseen) {
			if few {
				delete(p.relations, k)
			}
			continue
		}
		for i := range f.Relations {
			r := &f.Relations[i]
			if r.Name == k.relation && (r.Schema == "" || r.Schema == k.schema) && (few || r.Effects.Has(proxy.EffectsDDL)) {
				delete(p.relations, k)
			}
		}
	}
}

// heldIn returns what was found in o's column; nil when nothing was read of it.
func (p *samples) heldIn(t *proxy.Target, o *proxy.Origin) *finding {
	if p.sampler == nil {
		return nil
	}
	p.mu.Lock()
	e := p.relations[keyOf(t, o)]
	p.mu.Unlock()
	if e == nil {
		return nil
	}
	select {
	case <-e.done:
	default:
		return nil
	}
	found := &p.memory.at(t).findings
	if c, read := e.columns[o.Column]; read {
		return found.get(c.finding, c.ids)
	}
	if e.err == nil {
		return nothing
	}
	return found.last(columnName{o.Schema, o.Relation, o.Column})
}

// typesOf returns what o's column holds by its values; none is nothing in
// particular. known is false when that could not be found out.
func (p *samples) typesOf(t *proxy.Target, o *proxy.Origin) (types []detect.Type, known bool) {
	if p.sampler == nil {
		return nil, true // then names alone decide
	}
	f := p.heldIn(t, o)
	switch {
	case f == nil:
		return nil, false
	case o.Key != "" && f.members != nil:
		if typ, ok := p.detector.TypeOfName(o.Key); ok {
			return []detect.Type{typ}, true
		}
		return slices.Concat(f.some, f.members[strings.ToLower(o.Key)], f.members[anyKey]), true
	}
	return slices.Concat(f.some, f.inside), true
}

// idsOf are the IDs of a column at a resource, its own first. One without an ID is
// known by its name.
func idsOf(r *proxy.Resource, n columnName, c *proxy.SampledColumn) []string {
	own := cmp.Or(c.ID, n.schema+"\x00"+n.relation+"\x00"+n.column)
	ids := make([]string, 0, 1+len(c.Parts))
	for _, id := range append([]string{own}, c.Parts...) {
		ids = append(ids, r.Via+"\x00"+r.Address+"\x00"+id)
	}
	return ids
}
