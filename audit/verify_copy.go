package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Objects reads what a [Store] keeps. It is safe for concurrent use.
type Objects interface {
	// OpenVersion reads a version of an object, or the object as it is now when none
	// is given. The error of one that is not there is fs.ErrNotExist.
	OpenVersion(ctx context.Context, name, version string) (io.ReadCloser, error)
	// List lists the names of objects that begin with prefix, in order.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Versions lists what is kept of an object, oldest first; nothing where the store
	// keeps no versions.
	Versions(ctx context.Context, name string) ([]ObjectVersion, error)
}

// ObjectVersion is what an object was at a time.
type ObjectVersion struct {
	ID      string
	At      time.Time
	Deleted bool // from then on it was not there
}

// Bounds of a verification.
const (
	verifyWorkers = 4    // records that are read at once; each takes no more memory than a batch can need
	maxProblems   = 1000 // that are told one by one

	settleTries = 4
	settleFor   = 250 * time.Millisecond
)

// VerifyCopy is [Verification.Copy] with these trusted checkpoints.
func VerifyCopy(ctx context.Context, o Objects, public string, trusted ...[]byte) (*Report, error) {
	return Verification{Public: public, Trusted: trusted}.Copy(ctx, o)
}

// Copy checks a copy of a log, as [Log.Copy] makes it, with nothing but the log's public key.
// Memory is a few bytes a head and a bundle of 256 sessions, whatever is in the copy. The
// error is for what cannot be read at all.
func (v Verification) Copy(ctx context.Context, o Objects) (*Report, error) {
	c := &copyVerifier{objects: o, public: v.Public, progress: v.progress}
	if err := c.verify(ctx, v.Trusted); err != nil {
		return nil, err
	}
	return c.result(), nil
}

type copyVerifier struct {
	objects  Objects
	public   string
	progress func(done, all int64)

	sizes   []int64     // of the heads that are there, to the newest that is good
	trusted []tlog.Tree // by size, none larger
	newest  tlog.Tree
	bundles []bundleRef // as they were when the heads were checked
	proven  int64       // up to which the list of sealed sessions is the signed one
	suspect int64       // the first session that is not what the tile next to it says; 0 when none is

	mu       sync.Mutex
	report   Report
	problems []located
	more     int   // problems that are not told
	failed   error // of a worker
}

// bundleRef is which bundle was read.
type bundleRef struct {
	sum     digest
	version string
}

// located is a problem and the place in the log where it is.
type located struct {
	at   int64
	text string
}

func (v *copyVerifier) problem(at int64, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.problems) == maxProblems {
		v.more++
		return
	}
	v.problems = append(v.problems, located{at, fmt.Sprintf(format, args...)})
}

// result is what was found, the first in the log first.
func (v *copyVerifier) result() *Report {
	slices.SortStableFunc(v.problems, func(a, b located) int { return cmp.Compare(a.at, b.at) })
	for _, p := range v.problems {
		v.report.Problems = append(v.report.Problems, p.text)
	}
	if v.more > 0 {
		v.report.problem("and %d more", v.more)
	}
	return &v.report
}

func (v *copyVerifier) verify(ctx context.Context, trusted [][]byte) error {
	if err := v.heads(ctx); err != nil || v.newest.N == 0 {
		return err
	}
	v.trust(trusted)
	if err := v.list(ctx); err != nil {
		return err
	}
	return v.records(ctx)
}

// fetch reads a small object and checks it. When it is missing or not good, that
// is a problem; when an earlier version of it is good, that is said and used. b is
// nil when nothing good is there.
func (v *copyVerifier) fetch(ctx context.Context, at int64, name string, limit int, good func(b []byte) error) (b []byte, version string, err error) {
	b, err = v.read(ctx, name, "", limit, good)
	if err == nil || !isBad(err) {
		return b, "", err
	}
	b = nil
	note, failed := v.earlier(ctx, name, func(old string) error {
		earlier, err := v.read(ctx, name, old, limit, good)
		if err == nil {
			b, version = earlier, old
		}
		return err
	})
	if failed == nil {
		v.problem(at, "%s %s%s", name, describe(err), note)
	}
	return b, version, failed
}

// read reads one version of a small object and checks it.
func (v *copyVerifier) read(ctx context.Context, name, version string, limit int, good func(b []byte) error) ([]byte, error) {
	r, err := v.objects.OpenVersion(ctx, name, version)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, badObject{fmt.Errorf("it is larger than %d bytes", limit)}
	}
	if err := good(b); err != nil {
		return nil, badObject{err}
	}
	return b, nil
}

// badObject says what is wrong with an object that was read.
type badObject struct{ error }

func (b badObject) Unwrap() error { return b.error }

// isBad tells an object that is not as it was written from one that cannot be
// read at the moment.
func isBad(err error) bool {
	var bad badObject
	return errors.As(err, &bad) || errors.Is(err, fs.ErrNotExist)
}

func describe(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "is missing"
	}
	return "is not what was written: " + err.Error()
}

// earlier looks among an object's versions for one that check takes, and tells
// what became of it.
func (v *copyVerifier) earlier(ctx context.Context, name string, check func(version string) error) (note string, err error) {
	versions, err := v.objects.Versions(ctx, name)
	if err != nil {
		return "", err
	}
	for i, old := range versions {
		if old.Deleted {
			continue
		}
		switch err := check(old.ID); {
		case err == nil && i+1 < len(versions):
			what := "replaced"
			if versions[i+1].Deleted {
				what = "deleted"
			}
			return fmt.Sprintf("; it was %s at %s, and the version of %s is as it was sealed", what, stamp(versions[i+1].At), stamp(old.At)), nil
		case err == nil:
			return "; read again, it is", nil
		case !isBad(err):
			return "", err
		}
	}
	return "", nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// heads finds the heads that are there, and the newest good one.
func (v *copyVerifier) heads(ctx context.Context) error {
	for name, err := range v.objects.List(ctx, headPrefix) {
		if err != nil {
			return err
		}
		if size, ok := parseHeadName(name); ok && size > 0 {
			v.sizes = append(v.sizes, size)
		} else {
			v.problem(0, "%q is not the name of a head", name)
		}
	}
	slices.Sort(v.sizes)
	for ; len(v.sizes) > 0; v.sizes = v.sizes[:len(v.sizes)-1] {
		head, ok, err := v.head(ctx, v.sizes[len(v.sizes)-1])
		if err != nil {
			return err
		}
		if ok {
			v.newest = head
			break
		}
	}
	if err := v.settled(ctx); err != nil {
		return err
	}
	// The one that is read first by who follows the log.
	var latest tlog.Tree
	_, _, err := v.fetch(ctx, 0, latestName, maxCheckpoint, func(b []byte) (err error) {
		if latest, err = openCheckpoint(b, v.public); err == nil && latest.N < v.newest.N {
			err = fmt.Errorf("it is the head of %d sessions, and that of %d is there", latest.N, v.newest.N)
		}
		return err
	})
	if err != nil {
		return err
	}
	if latest.N > v.newest.N { // its own copy is missing
		v.newest = latest
		if _, _, err := v.head(ctx, latest.N); err != nil {
			return err
		}
	}
	if v.newest.N == 0 {
		v.problem(0, "no head of the log is there")
	}
	return nil
}

// settled waits for a moment where the newest head is there and is not yet the latest
// one: the gateway may be about to write it.
func (v *copyVerifier) settled(ctx context.Context) error {
	for range settleTries {
		behind := false
		_, err := v.read(ctx, latestName, "", maxCheckpoint, func(b []byte) error {
			head, err := openCheckpoint(b, v.public)
			behind = err == nil && head.N < v.newest.N
			return err
		})
		if err != nil && !isBad(err) {
			return err
		}
		if missing := errors.Is(err, fs.ErrNotExist) && v.newest.N > 0; !behind && !missing {
			return nil
		}
		select {
		case <-time.After(settleFor):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (v *copyVerifier) head(ctx context.Context, size int64) (head tlog.Tree, ok bool, err error) {
	b, _, err := v.fetch(ctx, size, headName(size), maxCheckpoint, func(b []byte) (err error) {
		if head, err = openCheckpoint(b, v.public); err == nil && head.N != size {
			err = fmt.Errorf("it is the head of %d sessions", head.N)
		}
		return err
	})
	return head, b != nil, err
}

// trust takes the checkpoints that were kept elsewhere.
func (v *copyVerifier) trust(notes [][]byte) {
	for _, note := range notes {
		if note == nil {
			continue
		}
		head, err := openCheckpoint(note, v.public)
		switch {
		case err != nil:
			v.problem(0, "the trusted copy: %v", err)
		case head.N > v.newest.N:
			v.problem(v.newest.N, "%d sealed sessions were copied, and the log had %d when the trusted checkpoint was made: the copy is not complete yet, or was set back", v.newest.N, head.N)
		case head.N > 0:
			v.trusted = append(v.trusted, head)
		}
	}
	slices.SortFunc(v.trusted, func(a, b tlog.Tree) int { return cmp.Compare(a.N, b.N) })
}

// list reads the list of sealed sessions and checks it against every head. It
// ends where the list is not the signed one: what follows cannot be proven.
func (v *copyVerifier) list(ctx context.Context) error {
	tree := &tiledTree{check: func(level int, n int64, data []byte) error { return v.tile(ctx, level, n, data) }}
	for n := int64(0); n*bundleSize < v.newest.N; n++ {
		first := n*bundleSize + 1
		lines, ref, err := v.bundle(ctx, n)
		if err != nil {
			return err
		}
		if lines == nil {
			v.problem(first, "sealed sessions %d to %d are not proven without it, nor what follows", v.proven+1, v.newest.N)
			return nil
		}
		v.bundles = append(v.bundles, ref)
		for _, line := range lines {
			if err := tree.add([]byte(line)); err != nil {
				return err
			}
			if ok, err := v.agrees(ctx, tree); !ok || err != nil {
				return err
			}
		}
	}
	return tree.flush()
}

// agrees reports whether what was read so far is what the heads of that size say.
func (v *copyVerifier) agrees(ctx context.Context, tree *tiledTree) (bool, error) {
	differs := func(head tlog.Tree, where string) bool {
		if tree.root() == head.Hash {
			v.proven = tree.size
			return false
		}
		first := ""
		if v.suspect > v.proven {
			first = fmt.Sprintf(", first session %d by the tile next to it", v.suspect)
		}
		v.problem(v.proven+1, "sealed sessions %d to %d are not those of %s%s: the list was altered, and what follows is not proven", v.proven+1, tree.size, where, first)
		return true
	}
	for ; len(v.trusted) > 0 && v.trusted[0].N == tree.size; v.trusted = v.trusted[1:] {
		if differs(v.trusted[0], "the trusted checkpoint") {
			return false, nil
		}
	}
	if len(v.sizes) == 0 || v.sizes[0] != tree.size {
		return true, nil
	}
	v.sizes = v.sizes[1:]
	head, ok := v.newest, true
	if tree.size != head.N {
		var err error
		if head, ok, err = v.head(ctx, tree.size); err != nil {
			return false, err
		}
	}
	return !ok || !differs(head, headName(tree.size)), nil
}

// records reads the records of the sessions that are proven.
func (v *copyVerifier) records(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type placed struct {
		leaf
		at int64
	}
	var wg sync.WaitGroup
	leaves := make(chan placed)
	for range verifyWorkers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for l := range leaves {
				if err := v.record(ctx, l.leaf, l.at); err != nil {
					v.mu.Lock()
					if v.failed == nil {
						v.failed = err
					}
					v.mu.Unlock()
					cancel()
				}
			}
		}()
	}
	err := v.eachProven(ctx, func(at int64, line string) {
		v.progress(at, v.proven)
		l, err := parseLeaf(strings.TrimSuffix(line, "\n"))
		if err != nil {
			v.problem(at, "sealed session %d: %v", at, err)
			return
		}
		select {
		case leaves <- placed{l, at}:
		case <-ctx.Done():
		}
	})
	close(leaves)
	wg.Wait()
	if v.failed != nil {
		return v.failed
	}
	return err
}

// eachProven reads the bundles once more, and holds that they are the same.
func (v *copyVerifier) eachProven(ctx context.Context, each func(at int64, line string)) error {
	for n, ref := range v.bundles {
		first := int64(n)*bundleSize + 1
		name, width := v.bundleName(int64(n))
		b, err := v.read(ctx, name, ref.version, maxBundleBytes, func(b []byte) error {
			if sha256.Sum256(b) != ref.sum {
				return errors.New("it changed while it was verified")
			}
			return nil
		})
		if isBad(err) {
			v.problem(first, "%s: %v", name, err)
			return nil
		}
		if err != nil {
			return err
		}
		lines, err := decodeBundle(b, width)
		if err != nil {
			return err
		}
		for i, line := range lines {
			at := first + int64(i)
			if at > v.proven || ctx.Err() != nil {
				return ctx.Err()
			}
			each(at, line)
		}
	}
	return nil
}

func (v *copyVerifier) bundleName(n int64) (name string, width int) {
	width = int(min(bundleSize, v.newest.N-n*bundleSize))
	return tileName("entries", n, width), width
}

// bundle reads an entry bundle; lines is nil when none is good.
func (v *copyVerifier) bundle(ctx context.Context, n int64) (lines []string, ref bundleRef, err error) {
	name, width := v.bundleName(n)
	hashes, err := v.beside(ctx, n, width)
	if err != nil {
		return nil, ref, err
	}
	first := n*bundleSize + 1
	wellFormed := func(b []byte) error {
		_, err := decodeBundle(b, width)
		return err
	}
	b, version, err := v.fetch(ctx, first, name, maxBundleBytes, wellFormed)
	if b == nil || err != nil {
		return nil, ref, err
	}
	if unlike := firstUnlike(b, width, hashes); unlike >= 0 && version == "" {
		// One of the two was altered. When an earlier bundle is what the tile says, it is
		// this one; otherwise the heads tell.
		v.suspect = first + int64(unlike)
		note, err := v.earlier(ctx, name, func(old string) error {
			earlier, err := v.read(ctx, name, old, maxBundleBytes, func(b []byte) error {
				if firstUnlike(b, width, hashes) >= 0 {
					return errAltered
				}
				return wellFormed(b)
			})
			if err == nil {
				b, version = earlier, old
			}
			return err
		})
		if err != nil {
			return nil, ref, err
		}
		if version != "" {
			v.problem(v.suspect, "%s is not what was written, from sealed session %d on%s", name, v.suspect, note)
			v.suspect = 0
		}
	}
	lines, err = decodeBundle(b, width)
	return lines, bundleRef{sha256.Sum256(b), version}, err
}

var errAltered = errors.New("it is not what was written")

// firstUnlike is the place of the first leaf in a bundle that does not have the
// hash that it should have, -1 when there is none or the hashes are not known.
func firstUnlike(bundle []byte, width int, hashes []tlog.Hash) int {
	lines, err := decodeBundle(bundle, width)
	if err != nil || hashes == nil {
		return -1
	}
	for i, line := range lines {
		if tlog.RecordHash([]byte(line)) != hashes[i] {
			return i
		}
	}
	return -1
}

// beside reads the hashes that a bundle's leaves should have; nil when they are not
// there. They prove nothing: they tell which of a bundle's versions to take, and where a
// change is.
func (v *copyVerifier) beside(ctx context.Context, n int64, width int) (hashes []tlog.Hash, err error) {
	b, err := v.read(ctx, tileName("0", n, width), "", maxTileBytes, func(b []byte) error {
		if len(b) != width*tlog.HashSize {
			return errors.New("no tile")
		}
		return nil
	})
	if isBad(err) {
		return nil, nil // which tile says, when the leaves are known
	}
	for ; len(b) > 0; b = b[tlog.HashSize:] {
		hashes = append(hashes, tlog.Hash(b[:tlog.HashSize]))
	}
	return hashes, err
}

// tile checks that a tile of hashes is what the leaves hash to.
func (v *copyVerifier) tile(ctx context.Context, level int, n int64, data []byte) error {
	name := tileName(strconv.Itoa(level), n, len(data)/tlog.HashSize)
	first := n<<(tileHeight*(level+1)) + 1
	_, _, err := v.fetch(ctx, first, name, maxTileBytes, func(b []byte) error {
		if !bytes.Equal(b, data) {
			return errors.New("its hashes are not those of the sealed sessions")
		}
		return nil
	})
	return err
}

// record checks the copy of a session's record.
func (v *copyVerifier) record(ctx context.Context, l leaf, at int64) error {
	var size int64
	check := func(version string) error {
		r, err := v.objects.OpenVersion(ctx, recordName(l.ID), version)
		if err != nil {
			return err
		}
		defer r.Close()
		in := &broken{r: r}
		size, err = checkRecord(in, l)
		if in.err != nil {
			return in.err
		}
		if err != nil {
			return badObject{err}
		}
		return nil
	}
	err := check("")
	v.mu.Lock()
	v.report.Bytes += size
	v.mu.Unlock()
	if err == nil {
		v.mu.Lock()
		v.report.Sessions++
		v.report.Events += int64(l.Events)
		v.mu.Unlock()
		return nil
	}
	if !isBad(err) {
		return err
	}
	note, failed := v.earlier(ctx, recordName(l.ID), check)
	if failed != nil {
		return failed
	}
	if errors.Is(err, fs.ErrNotExist) {
		v.problem(at, "session %s is sealed, and its record is missing%s", l.ID, note)
	} else {
		v.problem(at, "session %s: %v%s", l.ID, err, note)
	}
	return nil
}

// broken keeps an error of reading apart from what is read.
type broken struct {
	r   io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}
