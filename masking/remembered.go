package masking

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/sallyport/sallyport/detect"
)

// Remembered is the type of what was seen in a masked column of the same session
// before, wherever it turns up again.
const Remembered detect.Type = "REMEMBERED"

// remembered holds keyed hashes of the values of a session's masked columns, and
// finds these values again in other texts, whatever separates their letters and
// digits. It is bounded: when it is full, a new value takes an older one's place.
// The zero value is empty. It is safe for concurrent use.
type remembered struct {
	table atomic.Pointer[rememberedTable]
}

const (
	rememberedSets = 1024
	rememberedWays = 4
	// Lengths of values that are remembered, in letters and digits. Shorter ones are
	// everywhere.
	leastRemembered        = 6
	leastRememberedLetters = 8 // of values without digits
	mostRemembered         = 255
	// mostRememberedWords is how many words a value may have; signs within a value
	// make words of it, as in 123-45-6789.
	mostRememberedWords  = 12
	leastRememberedWords = 4
	// gap is how many bytes may stand between two words of a value.
	gap = 3
)

type rememberedTable struct {
	seed   uint64
	hashes [rememberedSets][rememberedWays]atomic.Uint64
	turns  [rememberedSets]atomic.Uint32
	// tails has a bit for the last two letters or digits of each value, so that most
	// words need no further look.
	tails   [1 << 10]atomic.Uint64
	lengths [4]atomic.Uint64 // of the values, in letters and digits
	longest atomic.Int32
	words   atomic.Int32 // that a value has at most
}

// plainByte is what a byte counts as: letters in lower case, digits and other
// scripts as they are, 0 for what separates words.
var plainByte = func() (t [256]byte) {
	for i := range t {
		if c := byte(i); isAlnum(c) || c >= 0x80 {
			t[i] = c | lowerBit(c)
		}
	}
	return t
}()

// Hashes go over a value from its end, since that is where a candidate is found.
const rememberedPrime = 0x9E3779B97F4A7C15

func (t *rememberedTable) step(h uint64, c byte) uint64 { return (h ^ uint64(c)) * rememberedPrime }

// finish mixes h, so that all of its bits depend on all bytes. 0 is no hash.
func (t *rememberedTable) finish(h uint64) uint64 {
	h ^= h>>32 ^ t.seed
	h *= 0xD6E8FEB86659FD93
	return (h ^ h>>29) | 1
}

func (t *rememberedTable) has(h uint64) bool {
	set := &t.hashes[h>>32%rememberedSets]
	return set[0].Load() == h || set[1].Load() == h || set[2].Load() == h || set[3].Load() == h
}

// add remembers v.
func (r *remembered) add(v []byte) {
	n, words, digits, inWord := 0, int32(0), false, false
	var tail [2]byte
	for _, c := range v {
		p := plainByte[c]
		if p != 0 {
			n++
			if !inWord {
				words++
			}
			digits = digits || isDigit(p)
			tail[0], tail[1] = tail[1], p
		}
		inWord = p != 0
	}
	if n < leastRemembered || n > mostRemembered || !digits && n < leastRememberedLetters || words > mostRememberedWords {
		return
	}
	t := r.table.Load()
	if t == nil {
		t = &rememberedTable{seed: maphash.Bytes(maphash.MakeSeed(), nil)}
		t.words.Store(leastRememberedWords)
		if !r.table.CompareAndSwap(nil, t) {
			t = r.table.Load()
		}
	}
	h := t.seed
	for i := len(v) - 1; i >= 0; i-- {
		if p := plainByte[v[i]]; p != 0 {
			h = t.step(h, p)
		}
	}
	if h = t.finish(h); t.has(h) {
		return
	}
	set := h >> 32 % rememberedSets
	t.hashes[set][t.turns[set].Add(1)%rememberedWays].Store(h)
	t.lengths[n/64].Or(1 << (n % 64))
	key := uint(tail[0])<<8 | uint(tail[1])
	t.tails[key/64].Or(1 << (key % 64))
	raise(&t.longest, int32(n))
	raise(&t.words, words)
}

func raise(a *atomic.Int32, n int32) {
	for {
		if old := a.Load(); old >= n || a.CompareAndSwap(old, n) {
			return
		}
	}
}

// find appends a Finding for each remembered value in src to dst, in order. It
// takes linear time and allocates only when dst grows.
func (r *remembered) find(dst []detect.Finding, src []byte) []detect.Finding {
	t := r.table.Load()
	if t == nil {
		return dst
	}
	floor := 0
	for i := 0; i < len(src); i++ {
		if plainByte[src[i]] == 0 {
			continue
		}
		start := i
		for i++; i < len(src) && plainByte[src[i]] != 0; i++ {
		}
		before := i - 2 // the letter or digit before the last
		if before < start {
			for before = start - 1; before >= floor && start-before <= gap && plainByte[src[before]] == 0; before-- {
			}
		}
		if before < floor {
			continue
		}
		if key := uint(plainByte[src[before]])<<8 | uint(plainByte[src[i-1]]); t.tails[key/64].Load()&(1<<(key%64)) == 0 {
			continue
		}
		if from := t.match(src, floor, i); from >= 0 {
			dst = append(dst, detect.Finding{Start: from, End: i, Type: Remembered, Score: 100})
			floor = i
		}
	}
	return dst
}

// match returns where the longest remembered value begins that ends at end, -1
// when there is none.
func (t *rememberedTable) match(src []byte, floor, end int) int {
	longest, words := int(t.longest.Load()), int(t.words.Load())
	h, n, from := t.seed, 0, -1
	for j := end - 1; j >= floor; {
		h = t.step(h, plainByte[src[j]])
		if n++; n > longest {
			break
		}
		j--
		if j >= floor && plainByte[src[j]] != 0 {
			continue
		}
		// A word begins here, unless what was found before goes on.
		if (j >= floor || j < 0 || plainByte[src[j]] == 0) && n >= leastRemembered && t.lengths[n/64].Load()&(1<<(n%64)) != 0 && t.has(t.finish(h)) {
			from = j + 1
		}
		if words--; words == 0 {
			break
		}
		k := j
		for k >= floor && j-k <= gap && plainByte[src[k]] == 0 {
			k--
		}
		if k < floor || plainByte[src[k]] == 0 {
			break
		}
		j = k
	}
	return from
}

// merge puts the findings from the n-th on, which are of remembered values, among
// those before. Where two overlap, they become one.
func (v *view) merge(found []detect.Finding, n int) []detect.Finding {
	if n == len(found) {
		return found
	}
	slices.SortStableFunc(found, func(a, b detect.Finding) int { return cmp.Compare(a.Start, b.Start) })
	k := 0
	for _, x := range found[1:] {
		last := &found[k]
		if x.Start >= last.End {
			k++
			found[k] = x
			continue
		}
		last.End = max(last.End, x.End)
		if v.transform(last.Type) == Visible {
			last.Type = x.Type
		}
	}
	return found[:k+1]
}
