package proxy

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of the events that anybody can cause, by connecting. What is more is told in
// sum, at the end of each minute.
const (
	quietTime    = time.Minute
	quietOne     = 5  // events of one kind and address that are told one by one
	quietAll     = 50 // events that are told one by one
	quietAddress = 50 // addresses that are summed apart; further ones are summed in one
)

// quiet keeps events that anybody can cause from filling records and logs. It is safe
// for concurrent use.
type quiet struct {
	mu    sync.Mutex
	begun bool // a minute of
	told  int
	sums  map[caused]*summed
	order []caused
}

type caused struct {
	kind EventKind
	from netip.Prefix
}

type summed struct {
	told int
	last Event // with the number of those that were not told
}

// bounded reports whether events of a kind can be caused by anybody.
func (k EventKind) bounded() bool {
	return k == EventLoginFailed || k == EventConnFailed || k == EventOverload
}

// take reports whether e is to be told now. Otherwise it is part of a sum. sumUp is
// called at the end of a minute in which something was taken.
func (q *quiet) take(e Event, sumUp func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.begun {
		q.begun, q.sums = true, make(map[caused]*summed)
		time.AfterFunc(quietTime, sumUp)
	}
	from, _ := network(e.Remote)
	key := caused{e.Kind, from}
	s := q.sums[key]
	if s == nil {
		if len(q.sums) >= quietAddress {
			key.from = netip.Prefix{}
			s = q.sums[key]
		}
		if s == nil {
			s = &summed{}
			q.sums[key] = s
			q.order = append(q.order, key)
		}
	}
	if s.told < quietOne && q.told < quietAll {
		s.told++
		q.told++
		return true
	}
	n := s.last.Count
	s.last = e
	s.last.Count = n + 1
	return false
}

// end ends the minute and returns what was not told in it.
func (q *quiet) end() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []Event
	for _, key := range q.order {
		if s := q.sums[key]; s.last.Count > 0 {
			list = append(list, s.last)
		}
	}
	q.begun, q.told, q.sums, q.order = false, 0, nil, nil
	return slices.Clip(list)
}
