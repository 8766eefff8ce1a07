package masking

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Keeper keeps what was found in columns beyond the process, for all gateways that share
// it. It is safe for concurrent use.
type Keeper interface {
	// Kept returns what is kept under a key of 64 hex digits; nil is nothing.
	Kept(ctx context.Context, key string) ([]byte, error)
	// Keep keeps b, a JSON text, in the place of what is kept under the key.
	Keep(ctx context.Context, key string, b []byte) error
}

// keptClaim is a claim as it is kept. Keys of documents are not: they may be data.
type keptClaim struct {
	Type    detect.Type `json:"type"`
	Of      share       `json:"of"`
	Doubted time.Time   `json:"doubted,omitzero"`
}

// columnKey is the key of a column of a database.
func columnKey(t *proxy.Target, id string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{t.Resource.Name, t.Database, id}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// recall takes in what is kept of a column.
func (m *Memory) recall(ctx context.Context, t *proxy.Target, id string) error {
	if m.Keeper == nil {
		return nil
	}
	b, err := m.Keeper.Kept(ctx, columnKey(t, id))
	if err != nil || b == nil {
		return err
	}
	var list []keptClaim
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("what is kept of a column cannot be read: %w", err)
	}
	claims := make(map[claim]time.Time, len(list))
	for _, c := range list {
		if c.Of <= shareInside {
			claims[claim{typ: c.Type, of: c.Of}] = c.Doubted
		}
	}
	m.at(t).findings.recall(id, newFinding(claims, nil, &detect.Contents{}))
	return nil
}

// keep keeps what was found in a column, where a sample has changed it.
func (m *Memory) keep(ctx context.Context, t *proxy.Target, id string, before, now *finding) error {
	if m.Keeper == nil {
		return nil
	}
	was, is := before.kept(), now.kept()
	if string(was) == string(is) {
		return nil
	}
	return m.Keeper.Keep(ctx, columnKey(t, id), is)
}

// kept is what is kept of a finding.
func (f *finding) kept() []byte {
	list := []keptClaim{}
	if f != nil {
		for of, types := range [...][]detect.Type{shareWhole: f.whole, shareSome: f.some, shareInside: f.inside} {
			for _, t := range types {
				list = append(list, keptClaim{t, share(of), f.claims[claim{typ: t, of: share(of)}]})
			}
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // of types and times
	}
	return b
}
