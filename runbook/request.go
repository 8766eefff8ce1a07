package runbook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// prepareRequest writes down what a request sends.
func (s *planned) prepareRequest() error {
	x := s.HTTP
	if !s.resource.Requests {
		return fmt.Errorf("%s is not a web application", s.resource.Name)
	}
	s.bound = nil
	for _, w := range x.segments {
		if w.ref != nil {
			s.bound = append(s.bound, *w.ref)
		}
	}
	for _, m := range x.words() {
		if w, err := readWord(m.Value); err == nil && w.ref != nil {
			s.bound = append(s.bound, *w.ref)
		}
	}
	path, query, err := x.address(func(w word) ([]string, bool, error) {
		if w.ref == nil {
			return []string{w.text}, true, nil
		}
		r := *w.ref
		v, ok := s.scope[r.Name]
		if r.Step != "" || !ok {
			texts, err := s.shownRef(r)
			return texts, false, err
		}
		texts, err := given(v, r)
		return texts, true, err
	})
	if err != nil {
		return err
	}
	s.Text = x.Method + " " + path
	if query != "" {
		s.Text += "?" + query
	}
	for _, m := range x.Headers {
		w, err := readWord(m.Value)
		if err != nil {
			return err
		}
		if v, ok := s.scope[refName(w)]; ok && v.Type != SecretType { // others are looked at when they are known
			texts, err := given(v, *w.ref)
			if err == nil {
				err = headerValue(strings.Join(texts, ","))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
		s.Args = append(s.Args, m.Name+": "+s.shown(m.Value))
	}
	if x.Key != "" {
		s.Args = append(s.Args, x.Key+": <the same for every time that the step is tried>")
	}
	switch {
	case len(x.JSON) > 0:
		s.Input = "JSON " + s.shownObject(x.JSON)
	case len(x.Form) > 0:
		s.Input = "form " + s.shownObject(x.Form)
	}
	s.Writes, s.DryRun = !x.reads(), or(x.DryRun, "plan")
	return nil
}

// refName is the parameter that a word is the value of; empty for a word that is not the value of one.
func refName(w word) string {
	if w.ref == nil || w.ref.Step != "" {
		return ""
	}
	return w.ref.Name
}

// given are the texts of a value where nothing means another thing than not to say it.
func given(v Value, r Ref) ([]string, error) {
	switch {
	case v.Null:
		return nil, fmt.Errorf("%s has no value: give the parameter a default", r)
	case v.Type == Multi:
		return v.List, nil
	}
	return []string{v.Text}, nil
}

// compose makes the request of a step.
func (l *live) compose(s *planned) (Request, error) {
	x := s.HTTP
	q := Request{Method: x.Method, Limit: l.plan.Bounds.Output}
	texts := func(w word) ([]string, bool, error) {
		if w.ref == nil {
			return []string{w.text}, true, nil
		}
		v, err := l.value(s, *w.ref)
		if err != nil {
			return nil, false, err
		}
		list, err := given(v, *w.ref)
		return list, true, err
	}
	var err error
	if q.Path, q.Query, err = x.address(texts); err != nil {
		return q, err
	}
	for _, m := range x.Headers {
		w, err := readWord(m.Value)
		if err != nil {
			return q, err
		}
		list, _, err := texts(w)
		if err == nil {
			err = headerValue(strings.Join(list, ","))
		}
		if err != nil {
			return q, fmt.Errorf("%s: %w", m.Name, err)
		}
		q.Header = append(q.Header, Header{m.Name, strings.Join(list, ",")})
	}
	if x.Key != "" {
		sum := sha256.Sum256([]byte(s.Planned.ID + "\x00" + s.resource.Name))
		q.Header = append(q.Header, Header{x.Key, l.run.ID + "-" + hex.EncodeToString(sum[:8])})
	}
	size := 0
	for _, h := range q.Header {
		size += len(h.Name) + len(h.Value)
	}
	if size > maxHeaders {
		return q, fmt.Errorf("the headers have %d bytes with their values, want %d or less", size, maxHeaders)
	}
	switch {
	case len(x.JSON) > 0:
		q.Body, err = l.object(s, x.JSON)
		q.Header = append(q.Header, Header{"Content-Type", "application/json"})
	case len(x.Form) > 0:
		var list []string
		for _, m := range x.Form {
			w, err := readWord(m.Value)
			if err != nil {
				return q, err
			}
			values, _, err := texts(w)
			if err != nil {
				return q, err
			}
			list = pairs(list, m.Name, values)
		}
		q.Body = []byte(strings.Join(list, "&"))
		q.Header = append(q.Header, Header{"Content-Type", "application/x-www-form-urlencoded"})
	}
	if len(q.Body) > maxBody {
		err = fmt.Errorf("the body has %d bytes, want %d or less", len(q.Body), maxBody)
	}
	return q, err
}

// request sends a request, and reads what is wanted of its answer.
func (l *live) request(ctx context.Context, s *planned, run *StepRun) error {
	x := s.HTTP
	q, err := l.compose(s)
	if err != nil {
		return err
	}
	got, err := l.send(ctx, s, q, run)
	run.Status = got.Status
	if slices.Contains(l.plan.book.Outputs.Steps, s.Planned.ID) {
		body := string(got.Body)
		if got.Cut {
			body = l.settled(body)
		}
		run.Output = l.ending(body)
	}
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrUnsent), err != nil && !s.Writes:
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errEnded, err)
	case got.Cut:
		return fmt.Errorf("got the status %d, and more than %d bytes, which is the limit", got.Status, q.Limit)
	case !x.expects(got.Status):
		err := fmt.Errorf("got the status %d, want %s: %s", got.Status, x.wanted(), l.beginning(got.Body))
		if lasting(got.Status) {
			return &lastingError{err}
		}
		return err
	}
	fields, err := x.read(got.Body)
	if err != nil {
		return fmt.Errorf("got the status %d, but %w", got.Status, err)
	}
	for name, c := range fields {
		if l.hide(c.Text) != c.Text {
			return fmt.Errorf("the field %s of the answer holds a secret of the run, and is not taken", name)
		}
	}
	l.results[s.Planned.ID].first = fields
	return nil
}

// lasting reports whether a status says that the same request gets the same answer again.
func lasting(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}

// send sends a request. It is written down in which session, so that who looks at the run finds what waits there.
func (l *live) send(ctx context.Context, s *planned, q Request, run *StepRun) (got Response, err error) {
	opened, over := make(chan string, 1), make(chan struct{})
	q.Opened = func(session string) {
		select {
		case opened <- session:
		default:
		}
	}
	go func() {
		defer close(over)
		got, err = l.Gate.Request(ctx, l.who, s.resource, q)
	}()
	for {
		select {
		case <-over:
			run.Session = or(got.Session, run.Session)
			return got, err
		case run.Session = <-opened:
			if kerr := l.keep(ctx); kerr != nil {
				l.Log.Warn("runbooks: the session of a request could not be written down", "run", l.run.ID, "step", s.Planned.ID, "err", kerr)
			}
		}
	}
}
