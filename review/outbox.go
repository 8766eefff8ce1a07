package review

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/store"
)

// Kinds of the documents of an Outbox.
const (
	KindNotice       = "notice"             // it waits for a channel
	KindDeadLetter   = "notice-dead-letter" // it was given up
	KindNoticeClosed = "notice-channel"     // a channel that wants no notices
)

// Bounds of an Outbox.
const (
	GiveUpAfter = 3 * 24 * time.Hour  // from when a notice was kept until it becomes a dead letter
	KeepDead    = 30 * 24 * time.Hour // for which dead letters can be sent again
	MaxWaiting  = 5000                // notices that wait for one channel; above it the oldest are given up
	MaxDead     = 1000                // dead letters of one channel; above it the oldest are gone
)

// Outbox keeps notices in a store until its channels have taken them. Of the gateways on one
// store that call Run, one sends at a time. A notice is sent at least once, those of one subject in their
// order, and a channel that takes none holds up no other. The fields are set before the first use. It is safe for
// concurrent use.
type Outbox struct {
	Store store.Store
	Log   *slog.Logger // nil is slog.Default
	// Sealer seals what operations would do, as that of a Desk. Nil: it is kept as it is.
	Sealer Sealer

	mu       sync.Mutex
	channels []Channel // read-only
	changed  chan struct{}
	leading  *delivery // nil: another gateway sends, or nobody
}

// Use sets the channels, from now on. What waits for one that is gone waits on, for when it is back.
func (o *Outbox) Use(channels []Channel) error {
	if len(channels) > MaxChannels {
		return fmt.Errorf("review: got %d channels, want at most %d", len(channels), MaxChannels)
	}
	seen := make(map[string]bool)
	for _, c := range channels {
		if err := ValidChannel(c.Name); err != nil {
			return fmt.Errorf("review: %w", err)
		}
		if seen[c.Name] {
			return fmt.Errorf("review: channel %q is there twice, want once", c.Name)
		}
		seen[c.Name] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels = slices.Clone(channels)
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	if o.leading != nil {
		o.leading.poke()
	}
	return nil
}

// used returns the channels, and what is closed when there are others.
func (o *Outbox) used() ([]Channel, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.channels, o.changed
}

// letter is a notice as it is kept, for one channel.
type letter struct {
	Notice   *Notice   `json:"notice"`
	Sealed   []byte    `json:"sealed,omitempty"` // what is private of the notice's request
	Attempts int       `json:"attempts,omitempty"`
	Tried    time.Time `json:"tried,omitzero"`
	Error    string    `json:"error,omitempty"`
}

// letter is what is kept of n.
func (o *Outbox) letter(n *Notice) (*letter, error) {
	public, sealed, err := seal(o.Sealer, noticePurpose+n.ID, &n.Request)
	if err != nil {
		return nil, err
	}
	kept := *n
	kept.Request = *public
	return &letter{Notice: &kept, Sealed: sealed}, nil
}

// notice is what a letter tells.
func (o *Outbox) notice(l *letter) (*Notice, error) {
	n := *l.Notice
	return &n, open(o.Sealer, noticePurpose+n.ID, &n.Request, l.Sealed)
}

// letterOf reads a letter; ok is false when it is damaged.
func letterOf(doc store.Document) (l letter, ok bool) {
	if json.Unmarshal(doc.Body, &l) != nil || l.Notice == nil || l.Notice.ID == "" || l.Notice.Subject() == "" {
		return letter{}, false
	}
	return l, true
}

// letterName orders the letters of a channel by time.
func letterName(channel string, n *Notice) string {
	return channel + "/" + n.At.UTC().Format("20060102T150405.000000") + "-" + n.ID
}

// Writes are those that keep n for every channel that wants it. They belong into the call that
// keeps what has become of what it is about, so that both are kept or neither. Nothing is asked or sent.
func (o *Outbox) Writes(n *Notice) ([]store.Write, error) {
	if n.ID == "" || n.Subject() == "" {
		return nil, errors.New("review: a notice needs its own identifier, and a request or an alert")
	}
	channels, _ := o.used()
	var body []byte
	var ws []store.Write
	for _, c := range channels {
		if !c.told(n) {
			continue
		}
		if body == nil {
			l, err := o.letter(n.short())
			if err == nil {
				body, err = compact(l)
			}
			if err != nil {
				return nil, fmt.Errorf("review: keeping notice %s: %w", n.ID, err)
			}
		}
		ws = append(ws, store.Create(store.Document{Kind: KindNotice, Name: letterName(c.Name, n), Body: body}))
	}
	return ws, nil
}

// Failure is what went wrong, and when.
type Failure struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// ChannelStatus is how a channel is doing.
type ChannelStatus struct {
	Name string `json:"name"`
	// Configured is false for a channel that is gone, and for which notices are kept.
	Configured bool      `json:"configured"`
	Waiting    int       `json:"waiting"`
	Oldest     time.Time `json:"oldest,omitzero"` // since when a notice waits
	// Failure is the latest one of what waits; nil: nothing that waits has failed.
	Failure *Failure `json:"failure,omitempty"`
	// Closed is why nothing is sent until the channel's configuration changes; nil: it is open.
	Closed *Failure `json:"closed,omitempty"`
	Dead   int      `json:"dead"` // letters; see [Outbox.DeadLetters]
}

// closed is the document of a channel that wants no notices.
type closed struct {
	Version string    `json:"version"` // of the channel's configuration
	At      time.Time `json:"at"`
	Error   string    `json:"error"`
}

// Status returns how the channels are doing, by name: those that are used, and those for which something is kept.
func (o *Outbox) Status(ctx context.Context) ([]ChannelStatus, error) {
	channels, _ := o.used()
	by := make(map[string]*ChannelStatus)
	of := func(name string) *ChannelStatus {
		if by[name] == nil {
			by[name] = &ChannelStatus{Name: name}
		}
		return by[name]
	}
	versions := make(map[string]string)
	for _, c := range channels {
		of(c.Name).Configured = true
		versions[c.Name] = c.Version
	}
	for doc, err := range store.All(ctx, o.Store, KindNotice, "") {
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(doc.Name, "/")
		s := of(name)
		s.Waiting++
		if s.Oldest.IsZero() || doc.Created.Before(s.Oldest) {
			s.Oldest = doc.Created
		}
		l, ok := letterOf(doc)
		if !ok {
			l = letter{Tried: doc.Updated, Error: damaged}
		}
		if l.Error != "" && (s.Failure == nil || s.Failure.At.Before(l.Tried)) {
			s.Failure = &Failure{l.Tried, l.Error}
		}
	}
	for doc, err := range store.All(ctx, o.Store, KindDeadLetter, "") {
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(doc.Name, "/")
		of(name).Dead++
	}
	for doc, err := range store.All(ctx, o.Store, KindNoticeClosed, "") {
		if err != nil {
			return nil, err
		}
		var c closed
		if json.Unmarshal(doc.Body, &c) == nil && versions[doc.Name] == c.Version && by[doc.Name] != nil {
			by[doc.Name].Closed = &Failure{c.At, c.Error}
		}
	}
	var list []ChannelStatus
	for _, s := range by {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b ChannelStatus) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// damaged is the error of a letter that cannot be read.
const damaged = "it cannot be read: it is damaged"

// DeadLetter is a notice that was given up.
type DeadLetter struct {
	Channel string    `json:"channel"`
	ID      string    `json:"id"`      // of the notice
	Request string    `json:"request"` // or what else it is about; see [Notice.Subject]
	Event   string    `json:"event"`
	At      time.Time `json:"at"`   // of the event
	Gone    time.Time `json:"gone"` // when it cannot be sent again any more
	Failure Failure   `json:"failure"`
}

// DeadLetters returns those of a channel, the oldest first.
func (o *Outbox) DeadLetters(ctx context.Context, channel string) ([]DeadLetter, error) {
	if err := ValidChannel(channel); err != nil {
		return nil, err
	}
	var list []DeadLetter
	for doc, err := range store.All(ctx, o.Store, KindDeadLetter, channel+"/") {
		if err != nil {
			return nil, err
		}
		dead := DeadLetter{Channel: channel, Gone: doc.Expires, Failure: Failure{doc.Updated, damaged}}
		if l, ok := letterOf(doc); ok {
			n := l.Notice
			dead.ID, dead.Request, dead.Event, dead.At, dead.Failure = n.ID, n.Subject(), n.Event, n.At, Failure{l.Tried, l.Error}
		}
		list = append(list, dead)
	}
	return list, nil
}

// Again has dead letters of a channel sent again: the one of a notice, or all when id is empty. It returns how many.
// A letter that cannot be read stays.
func (o *Outbox) Again(ctx context.Context, channel, id string) (n int, err error) {
	if err := ValidChannel(channel); err != nil {
		return 0, err
	}
	for doc, err := range store.All(ctx, o.Store, KindDeadLetter, channel+"/") {
		if err != nil {
			return n, err
		}
		l, ok := letterOf(doc)
		if !ok || id != "" && l.Notice.ID != id {
			continue
		}
		body, err := compact(&letter{Notice: l.Notice, Sealed: l.Sealed})
		if err != nil {
			return n, err
		}
		_, err = o.Store.Write(ctx, store.Delete(doc), store.Create(store.Document{Kind: KindNotice, Name: doc.Name, Body: body}))
		if errors.Is(err, store.ErrConflict) {
			continue // another has done the same
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// ChannelStats are numbers of a channel since this gateway sends.
type ChannelStats struct {
	Channel   string
	Waiting   int
	Dead      int
	Delivered uint64
	Failures  uint64
	Oldest    time.Time // since when a notice waits; zero: nothing waits
	Failing   bool      // the latest attempt failed, or the channel is closed
}

// Stats returns the numbers of the channels, without asking the store; nil while another gateway sends.
func (o *Outbox) Stats() []ChannelStats {
	o.mu.Lock()
	d := o.leading
	o.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.stats()
}

func (o *Outbox) log() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.Default()
}
