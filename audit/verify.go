package audit

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Report says what [Verify] found.
type Report struct {
	Sessions int   // sealed and proven
	Events   int64 // in them
	Bytes    int64 // read
	// The signed head that they were proven with: the whole note, and of how many sessions with
	// which root it is. Zero when it is missing or not signed by the log's key.
	Checkpoint string
	Size       int64
	Root       string
	// Problems name what is not as it was sealed, a sentence each; empty when
	// everything is proven.
	Problems []string
	// Unproven names what no checkpoint covers yet: sessions that are open, or
	// that a stopped process left.
	Unproven []string
	// Unsigned are how many of them are listed as sealed after the signed head. A gateway that
	// runs has some for milliseconds; later they tell of a crash, or of a head that was set back.
	Unsigned int
	// Erased are how many of the sealed sessions were erased, as the gateway's own records say.
	Erased int
	// Unopened are how many were not opened, because what seals their keys is kept elsewhere
	// and was not given. They can have been erased, too.
	Unopened int
	// Approvals are what was found of what ran by approvals, in the sessions that were opened.
	Approvals Approvals
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// Verify is [VerifyWith] the keys that are in dir.
func Verify(dir, public string, trusted ...[]byte) (*Report, error) {
	return VerifyWith(dir, Keys{}, public, trusted...)
}

// Verify is [VerifyWith] the archive's keys and the public key that lies in the log, which
// it returns. That this key is the log's is for a copy kept elsewhere to prove. Progress, which
// may be nil, is called as in [Verification].
func (a *Archive) Verify(progress func(done, all int)) (r *Report, public string, err error) {
	b, err := os.ReadFile(filepath.Join(a.dir, "log", "key.pub"))
	if err != nil {
		return nil, "", err
	}
	public = strings.TrimSpace(string(b))
	r, err = Verification{Public: public, Keys: a.given, Progress: progress}.Log(a.dir)
	return r, public, err
}

// VerifyWith is [Verification.Log] with these keys and trusted checkpoints.
func VerifyWith(dir string, k Keys, public string, trusted ...[]byte) (*Report, error) {
	return Verification{Public: public, Keys: k, Trusted: trusted}.Log(dir)
}

// Verification is what a log, or a copy of one, is checked with.
type Verification struct {
	// Public is the log's public key, the contents of key.pub. Nothing else proves a log.
	Public string
	// Keys seal the sessions' keys, where these are not in the log's directory.
	Keys Keys
	// Signers are the public keys of the logs of other gateways on the same store, which sign approvals, too.
	Signers []string
	// Trusted are checkpoints that were kept elsewhere: the log must continue each that is
	// not nil, which proves that it was neither rolled back nor replaced.
	Trusted [][]byte
	// Progress is told how many of the sealed sessions are checked. It may be nil.
	Progress func(done, all int)
}

func (v Verification) progress(done, all int64) {
	if v.Progress != nil {
		v.Progress(int(done), int(all))
	}
}

// Log checks the log in dir. With the keys that seal the sessions' keys, which are in dir or
// given, it checks that each sealed session opens or was erased on record, and that what ran in them by
// approvals is what was approved. The error is for
// what cannot be read at all.
func (v Verification) Log(dir string) (*Report, error) {
	r, public := &Report{}, v.Public
	head, err := os.ReadFile(filepath.Join(dir, "log", checkpointName)) // before the list, which goes on
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	tail, terr := readTail(dir, public) // before the list, too: what it names may be sealed by then
	lines, err := readLeaves(filepath.Join(dir, "log", "leaves"))
	if err != nil {
		return nil, err
	}
	if missing {
		r.problem("the signed head log/%s is missing, and %s listed as sealed: it was removed, or the log never began", checkpointName, plural(len(lines), "session is", "sessions are"))
		return r, nil
	}
	signed, err := openCheckpoint(head, public)
	if err != nil {
		r.problem("%v", err)
		return r, nil
	}
	r.Checkpoint, r.Size, r.Root = string(head), signed.N, signed.Hash.String()
	mem := &memoryTree{}
	if int64(len(lines)) < signed.N {
		r.problem("the checkpoint counts %d sealed sessions, but %d are listed: the list was shortened", signed.N, len(lines))
		return r, nil
	}
	kept := storedLeaves(filepath.Join(dir, "log", "hashes"))
	for i := range signed.N {
		if err := mem.add([]byte(lines[i])); err != nil {
			return nil, err
		}
	}
	root, err := mem.root(signed.N)
	if err != nil {
		return nil, err
	}
	if root != signed.Hash {
		where := "which one cannot be told"
		for i := range signed.N {
			if h, ok := kept(i); ok && h != tlog.RecordHash([]byte(lines[i])) {
				where = fmt.Sprintf("first at line %d", i+1)
				break
			}
		}
		r.problem("the list of sealed sessions is not the signed one: %s", where)
		return r, nil
	}
	if err := r.checkTrusted(mem, signed, public, v.Trusted); err != nil {
		return nil, err
	}
	s := newCabinet(dir, nil)
	damaged, err := s.damages()
	if err != nil {
		return nil, err
	}
	c, err := r.newContents(dir, &v, damaged)
	if err != nil {
		return nil, err
	}
	var gone []string
	sealed := make(map[string]bool)
	var own leaf // of the gateway's own record that was written last
	for i := range signed.N {
		v.progress(i, signed.N)
		l, err := parseLeaf(strings.TrimSuffix(lines[i], "\n"))
		if err != nil {
			r.problem("line %d of the sealed sessions: %v", i+1, err)
			continue
		}
		sealed[l.ID] = true
		if l.ID == tail.ID {
			own = l
		}
		path, err := r.checkSession(s, l)
		d := damaged.of(packSuffix, l.ID)
		switch {
		case err == nil:
			c.check(path, l.ID)
		case errors.Is(err, fs.ErrNotExist) && d == nil:
			gone = append(gone, l.ID)
		default:
			r.sessionProblem(d, "session %s: %v", l.ID, err)
		}
	}
	v.progress(signed.N, signed.N)
	r.missingProblem(gone)
	if terr == nil {
		terr = checkTail(s, tail, own, sealed[tail.ID])
	}
	if terr != nil {
		r.problem("%v", terr)
	}
	r.Unsigned = len(lines) - int(signed.N)
	err = errors.Join(r.unproven(dir, sealed), c.compare(sealed))
	for _, d := range damaged {
		if text := d.text(); text != "" {
			r.problem("%s", text)
		}
	}
	return r, err
}

// checkTrusted checks that the log continues earlier checkpoints of its own. The
// first that it does not continue is told, and up to where it does.
func (r *Report) checkTrusted(mem *memoryTree, signed tlog.Tree, public string, trusted [][]byte) error {
	var heads []tlog.Tree
	for _, note := range trusted {
		if note == nil {
			continue
		}
		old, err := openCheckpoint(note, public)
		if err != nil {
			r.problem("the trusted copy: %v", err)
			continue
		}
		heads = append(heads, old)
	}
	slices.SortFunc(heads, func(a, b tlog.Tree) int { return cmp.Compare(a.N, b.N) })
	same := int64(0)
	for _, old := range heads {
		if old.N > signed.N {
			newest := heads[len(heads)-1].N
			r.problem("the log has %d sealed sessions, and had %d when the trusted checkpoint was made: it was rolled back", signed.N, newest)
			return nil
		}
		if old.N == 0 {
			continue
		}
		root, err := mem.root(old.N)
		if err != nil {
			return err
		}
		if root != old.Hash {
			r.problem("the log does not continue the trusted checkpoint of %d sessions: sealed sessions were replaced, the first of them after session %d", old.N, same)
			return nil
		}
		same = old.N
	}
	return nil
}

// plural says how many, with the word for one or for several.
func plural(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// checkSession checks a session's record, and returns its path when it is as it was sealed.
func (r *Report) checkSession(s *cabinet, l leaf) (string, error) {
	path, f, err := s.record(l.ID)
	if err != nil {
		return "", err
	}
	defer f.Close()
	n, err := checkRecord(f, l)
	r.Bytes += n
	if err != nil {
		return "", s.elsewhere(path, l, err)
	}
	r.Sessions++
	r.Events += int64(l.Events)
	return path, nil
}

// elsewhere adds to what is wrong with a record in a file of its own that a pack has it as it
// was sealed.
func (s *cabinet) elsewhere(path string, l leaf, err error) error {
	if _, serr := os.Lstat(path + recordSuffix); serr != nil {
		return err
	}
	f, perr := s.openPacked(path)
	if perr != nil {
		return err
	}
	defer f.Close()
	if _, perr := checkRecord(f, l); perr != nil {
		return err
	}
	return fmt.Errorf("%w; %s has it as it was sealed: remove %s", err, f.file.Name(), path+recordSuffix)
}

// checkRecord checks that a record file is what a leaf commits to.
func checkRecord(f io.Reader, l leaf) (int64, error) {
	r, err := newReader(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return 0, err
	}
	for err == nil {
		_, err = r.next()
	}
	return r.bytes, r.ended(err, l)
}

// quoteID shows what is in the place of an identifier.
func quoteID(s string) string {
	if isID(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

func (r *Report) unproven(dir string, sealed map[string]bool) error {
	a := newArchive(dir, nil, nil)
	ids, err := a.Sessions()
	for _, id := range ids {
		if !sealed[id] {
			r.Unproven = append(r.Unproven, id)
		}
	}
	return err
}

func readLeaves(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(line, "\n") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// storedLeaves reads the hashes that the log keeps of its leaves. They prove
// nothing; they help to say where a change is.
func storedLeaves(file string) func(i int64) (tlog.Hash, bool) {
	b, err := os.ReadFile(file)
	return func(i int64) (h tlog.Hash, ok bool) {
		at := tlog.StoredHashIndex(0, i) * tlog.HashSize
		if err != nil || at+tlog.HashSize > int64(len(b)) {
			return h, false
		}
		copy(h[:], b[at:])
		return h, true
	}
}

// memoryTree is a Merkle tree in memory.
type memoryTree struct {
	size   int64
	hashes []tlog.Hash
}

func (t *memoryTree) add(text []byte) error {
	list, err := tlog.StoredHashes(t.size, text, t)
	if err != nil {
		return err
	}
	t.hashes = append(t.hashes, list...)
	t.size++
	return nil
}

func (t *memoryTree) root(n int64) (tlog.Hash, error) { return tlog.TreeHash(n, t) }

// ReadHashes makes it a tlog.HashReader.
func (t *memoryTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if at >= int64(len(t.hashes)) {
			return nil, errors.New("no such hash")
		}
		list[i] = t.hashes[at]
	}
	return list, nil
}
