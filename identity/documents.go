package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Document is a small piece of state: JSON under a name.
type Document struct {
	Name string
	// Version grows with each write. Zero: the document does not exist.
	Version int64
	// Body is the JSON. It belongs to its receiver.
	Body []byte
	// Expires is when the document may be forgotten; zero is never. Who reads it has
	// to compare it with the time all the same.
	Expires time.Time
}

// Documents is where logins, tokens, SCIM's users and keys are kept: documents by kind
// and name, each written only over the version that the writer has read. An
// implementation is safe for concurrent use, also by several gateways.
type Documents interface {
	// Get returns a document, or an error that wraps ErrNoDocument.
	Get(ctx context.Context, kind, name string) (Document, error)
	// List returns at most limit documents of a kind whose names follow after, in the
	// order of their names.
	List(ctx context.Context, kind, after string, limit int) ([]Document, error)
	// Write makes d the document of its name if the version that is kept is d.Version,
	// and returns the new version. A nil Body deletes it. If another version is kept, the
	// error wraps ErrConflict, and nothing has changed. When Write returns without an
	// error, what was written is durable.
	Write(ctx context.Context, kind string, d Document) (int64, error)
}

// Errors of Documents.
var (
	ErrNoDocument = errors.New("the document does not exist")
	ErrConflict   = errors.New("the document was changed by another")
)

// page is how many documents All reads at a time.
const page = 200

// All calls each with every document of a kind, until it returns false.
func All(ctx context.Context, docs Documents, kind string, each func(Document) bool) error {
	for after := ""; ; {
		list, err := docs.List(ctx, kind, after, page)
		if err != nil {
			return err
		}
		for _, d := range list {
			if !each(d) {
				return nil
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].Name
	}
}

// Memory keeps documents for as long as the process runs. The zero Memory is empty.
type Memory struct {
	mu   sync.RWMutex
	docs map[string]map[string]Document // by kind and name
	last int64                          // version; no name has one twice, also when it was deleted
}

// Get implements [Documents].
func (m *Memory) Get(_ context.Context, kind, name string) (Document, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.docs[kind][name]
	if !ok {
		return Document{}, fmt.Errorf("%s %q: %w", kind, name, ErrNoDocument)
	}
	d.Body = slices.Clone(d.Body)
	return d, nil
}

// List implements [Documents].
func (m *Memory) List(_ context.Context, kind, after string, limit int) ([]Document, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []Document
	for name, d := range m.docs[kind] {
		if name > after {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b Document) int { return strings.Compare(a.Name, b.Name) })
	list = list[:min(len(list), max(limit, 0))]
	for i := range list {
		list[i].Body = slices.Clone(list[i].Body)
	}
	return list, nil
}

// Write implements [Documents].
func (m *Memory) Write(_ context.Context, kind string, d Document) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept := m.docs[kind][d.Name].Version; kept != d.Version {
		return 0, fmt.Errorf("writing %s %q over version %d, version %d is kept: %w", kind, d.Name, d.Version, kept, ErrConflict)
	}
	m.last++
	if d.Body == nil {
		delete(m.docs[kind], d.Name)
		return m.last, nil
	}
	if m.docs == nil {
		m.docs = make(map[string]map[string]Document)
	}
	if m.docs[kind] == nil {
		m.docs[kind] = make(map[string]Document)
	}
	d.Body, d.Version = slices.Clone(d.Body), m.last
	m.docs[kind][d.Name] = d
	return m.last, nil
}
