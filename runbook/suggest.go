package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/digest"
	"github.com/sallyport/sallyport/proxy"
)

// ValuesFrom says which query suggests values of a parameter. Nothing holds people to its rows.
type ValuesFrom struct {
	On   string `yaml:"on"`  // a group of targets; empty: the only one
	SQL  string `yaml:"sql"` // a query without parameters: a value, and what people read of it if there is a second column
	Line int    `yaml:"-"`

	compiled *sqlTemplate
}

// suggested are the types of parameters that may have a query.
var suggested = []Type{String, Integer, Number, UUID, Email, Date}

// Limits of suggestions.
const (
	// MaxSuggestions is how many are had.
	MaxSuggestions = 200
	maxSuggestion  = 200 // bytes of one
	suggestTime    = 10 * time.Second
	suggestFor     = time.Minute // for which they are kept
	maxSuggesting  = 4           // queries of one person at once
	maxKeptLists   = 1000
)

// valuesFrom lints the query of a parameter.
func (l *linter) valuesFrom(p *Param) {
	v := p.ValuesFrom
	if v == nil {
		return
	}
	key := "params." + p.Name + ".values_from"
	if !slices.Contains(suggested, Type(p.Type)) {
		l.add(v.Line, key, "Leave it out.", "the key is for parameters of the types %s", words(suggested))
	}
	if v.On == "" && len(l.book.Targets) == 1 {
		v.On = l.book.Targets[0].Name
	}
	if l.book.group(v.On) == nil {
		l.add(v.Line, key+".on", "", "got %q, want the name of a group of targets", clip(v.On))
	}
	t, err := compileSQL(v.SQL)
	if err != nil {
		var e *sqlError
		remedy := ""
		if errors.As(err, &e) {
			remedy = e.remedy
		}
		l.add(v.Line, key+".sql", remedy, "%v", err)
		return
	}
	refs, idents := t.refs()
	switch {
	case len(refs) > 0 || len(idents) > 0:
		l.add(v.Line, key+".sql", "Leave the values out.", "the query has values, and none is known when it is asked")
	case !t.reads:
		l.add(v.Line, key+".sql", "Write a SELECT.", "it does more than to read")
	}
	v.compiled = t
}

// Suggestion is a value that a parameter may have.
type Suggestion struct {
	Value string `json:"value"`
	Label string `json:"label,omitempty"`
}

// Suggestions are those of a parameter.
type Suggestions struct {
	Values []Suggestion `json:"values"`
	// More says that there are others.
	More bool `json:"more,omitempty"`
}

// ErrNoSuggestions says that a parameter has no query.
var ErrNoSuggestions = errors.New("the parameter has no values_from")

// suggestions keeps what queries have returned for a while, for each person by herself.
type suggestions struct {
	mu   sync.Mutex
	kept map[string]keptList
	now  map[string]int // queries, by person
}

type keptList struct {
	list  *Suggestions
	until time.Time
}

// Suggest asks the query of a parameter for values, as who asks: her rules and masking count. The resource is of those that
// she may connect to, and of the group that the query is for. What it has returned is kept for a minute, for her alone.
func (r *Runner) Suggest(ctx context.Context, who *proxy.Identity, b *Runbook, origin Origin, param, resource string, candidates []Resource) (*Suggestions, error) {
	p := b.param(param)
	if p == nil || p.ValuesFrom == nil {
		return nil, ErrNoSuggestions
	}
	g := b.group(p.ValuesFrom.On)
	i := slices.IndexFunc(candidates, func(c Resource) bool { return c.Name == resource && g.Takes(c) })
	if i < 0 || candidates[i].Dialect == nil {
		return nil, fmt.Errorf("the parameter's values are not asked for at %q, or you may not connect to it", clip(resource))
	}
	at := candidates[i]
	text, _, err := p.ValuesFrom.compiled.write(*at.Dialect, func(string) (string, error) { return "", errors.New("the query has no names") })
	if err != nil {
		return nil, err
	}
	person, err := json.Marshal([]any{who.Subject, who.OnBehalfOf, who.Groups})
	if err != nil {
		return nil, err
	}
	key := digest.Of("sallyport runbook values 1", string(person), origin.Source, origin.Commit, origin.Digest, param, at.Name, at.Account)
	s := &r.suggestions
	list, err := s.begin(key, who.Subject, r.Now())
	if list != nil || err != nil {
		return list, err
	}
	defer s.end(who.Subject)
	ctx, cancel := context.WithTimeoutCause(ctx, suggestTime, errors.New("the query has taken longer than its limit"))
	defer cancel()
	list, err = r.ask(ctx, who, at, text)
	if err != nil {
		return nil, err
	}
	s.keep(key, list, r.Now())
	return list, nil
}

func (s *suggestions) begin(key, person string, now time.Time) (*Suggestions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.kept[key]; ok && now.Before(k.until) {
		return k.list, nil
	}
	if s.now[person] >= maxSuggesting {
		return nil, fmt.Errorf("%w: you ask for values %d times at once", ErrTooMany, maxSuggesting)
	}
	if s.now == nil {
		s.now, s.kept = make(map[string]int), make(map[string]keptList)
	}
	s.now[person]++
	return nil, nil
}

func (s *suggestions) end(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now[person]--; s.now[person] == 0 {
		delete(s.now, person)
	}
}

func (s *suggestions) keep(key string, list *Suggestions, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKeptLists {
		for k, v := range s.kept {
			if !now.Before(v.until) {
				delete(s.kept, k)
			}
		}
		if len(s.kept) >= maxKeptLists {
			return // it is asked again
		}
	}
	s.kept[key] = keptList{list, now.Add(suggestFor)}
}

// ask runs a query in a transaction that changes nothing, and ends with its session.
func (r *Runner) ask(ctx context.Context, who *proxy.Identity, at Resource, text string) (*Suggestions, error) {
	d, err := r.Gate.Database(ctx, who, at)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if _, err := d.Execute(ctx, "START TRANSACTION READ ONLY", nil, 0, 0); err != nil {
		return nil, err
	}
	result, err := d.Execute(ctx, text, nil, MaxSuggestions, MaxSuggestions)
	if err != nil && result.Rows <= MaxSuggestions { // with more of them it was given up
		return nil, err
	}
	list := &Suggestions{Values: []Suggestion{}, More: result.Rows > int64(len(result.Kept))}
	for _, row := range result.Kept {
		if len(row) == 0 || len(row[0]) > maxSuggestion || line(row[0]) != nil {
			list.More = true // it cannot be chosen
			continue
		}
		one := Suggestion{Value: row[0]}
		if len(row) > 1 && line(row[1]) == nil {
			one.Label = strings.ToValidUTF8(row[1][:min(len(row[1]), maxSuggestion)], "")
		}
		list.Values = append(list.Values, one)
	}
	return list, nil
}
