package git

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/runbook"
)

// Limits of a source.
const (
	MaxPack    = 64 << 20         // bytes of what is fetched at once
	MaxEntries = 20_000           // files of a commit
	MaxBooks   = 5000             // runbooks of a source
	FetchTime  = 2 * time.Minute  // for a fetch
	ReadTime   = 30 * time.Second // for reading from the mirror
)

// Config is where runbooks come from.
type Config struct {
	Name string // of the source
	// URL is of a repository: https://, ssh:// or file://. A path of a folder is one without
	// Git.
	URL string
	Ref string // a branch, refs/tags/NAME, or a commit; empty is main
	// Path is the folder within, of which files *.yaml are runbooks; empty is all.
	Path string
	// Mirror is the folder that keeps what was fetched. It is made.
	Mirror string
	// Signers is a file of allowed signers, as ssh-keygen has it. Commits whose signature is of
	// none of them have no runbooks. Empty: signatures are not looked at.
	Signers string
	// Secret returns the password of HTTPS, or the private key of SSH, in OpenSSH's form. Nil: there is none.
	Secret func(ctx context.Context) (string, error)
	// User goes with the password.
	User string
	// KnownHosts is a file with the keys of SSH servers. It is needed for ssh://.
	KnownHosts string
	// CA is a file of the certificates by which HTTPS servers are known; empty: the system's.
	CA string
}

// Source is where runbooks come from. It is safe for concurrent use.
type Source struct {
	config Config
	scheme string
	git    string

	fetching sync.Mutex

	mu     sync.Mutex
	latest *Snapshot
	failed error     // of the last fetch
	at     time.Time // of the last that did not fail
}

var (
	refName = regexp.MustCompile(`\Arefs/(?:heads|tags)/[A-Za-z0-9][A-Za-z0-9._/-]{0,199}\z`)
	hash    = regexp.MustCompile(`\A[0-9a-f]{40}(?:[0-9a-f]{24})?\z`)
	hostOf  = regexp.MustCompile(`\A[A-Za-z0-9\[][A-Za-z0-9.:\]-]*\z`)
	userOf  = regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9._-]*\z`)
)

// Open checks a configuration. It asks no server.
func Open(c Config) (*Source, error) {
	s := &Source{config: c}
	wrong := func(format string, args ...any) (*Source, error) {
		return nil, fmt.Errorf("runbooks %s: "+format, append([]any{c.Name}, args...)...)
	}
	if c.Path != "" && (path.Clean(c.Path) != c.Path || !fs.ValidPath(c.Path)) {
		return wrong("path: got %q, want a folder within the source, such as runbooks", c.Path)
	}
	if !strings.Contains(c.URL, "://") {
		if !filepath.IsAbs(c.URL) {
			return wrong("url: got %q, want https://, ssh://, file:// or the absolute path of a folder", c.URL)
		}
		if c.Signers != "" || c.Ref != "" {
			return wrong("a plain folder has neither commits nor signatures: use file:// of a repository")
		}
		return s, nil
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return wrong("url: it cannot be read")
	}
	s.scheme = u.Scheme
	password := false
	if u.User != nil {
		_, password = u.User.Password()
	}
	switch {
	case password || u.RawQuery != "" || u.Fragment != "":
		return wrong("url: it has a password, a query or a fragment; secrets go into secret")
	case u.Path == "" || u.Path == "/" || strings.HasPrefix(u.Path, "/-") || strings.ContainsAny(u.Path, "\n\r\x00\\"):
		return wrong("url: got no path of a repository")
	case s.scheme == "file" && (u.Host != "" || u.User != nil):
		return wrong("url: want file:///path")
	case s.scheme == "https" && (!hostOf.MatchString(u.Host) || u.User != nil):
		return wrong("url: got no host, or a user, which goes into user")
	case s.scheme == "ssh" && (!hostOf.MatchString(u.Host) || u.User == nil || !userOf.MatchString(u.User.Username())):
		return wrong("url: want ssh://user@host/path")
	case s.scheme == "ssh" && c.KnownHosts == "":
		return wrong("the file of SSH servers' keys is needed, since the server is not trusted at first sight")
	case s.scheme != "file" && s.scheme != "https" && s.scheme != "ssh":
		return wrong("url: got the scheme %q, want https, ssh or file", s.scheme)
	}
	if s.config.Ref == "" {
		s.config.Ref = "main"
	}
	if r := s.config.Ref; !hash.MatchString(r) {
		if !strings.HasPrefix(r, "refs/") {
			r = "refs/heads/" + r
		}
		if !refName.MatchString(r) || strings.Contains(r, "..") || strings.Contains(r, "//") || strings.HasSuffix(r, ".lock") || strings.HasSuffix(r, "/") || strings.Contains(r, "/.") {
			return wrong("ref: got %q, want a branch, refs/tags/NAME or a commit", c.Ref)
		}
		s.config.Ref = r
	}
	if s.git, err = findGit(); err != nil {
		return wrong("%w", err)
	}
	if !filepath.IsAbs(c.Mirror) {
		return wrong("the folder of the mirror is not an absolute path")
	}
	return s, nil
}

// Name is the source's.
func (s *Source) Name() string { return s.config.Name }

// Fetch brings the mirror up to date, and reads it. Where it fails, what was there before
// stays.
func (s *Source) Fetch(ctx context.Context) error {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	ctx, cancel := context.WithTimeout(ctx, FetchTime)
	defer cancel()
	snap, err := s.fetch(ctx)
	if err != nil {
		err = fmt.Errorf("runbooks %s: %w", s.config.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.latest, s.at = snap, time.Now()
	}
	return err
}

// Latest returns what the source has, as it was fetched last. The error says that nothing was
// fetched yet, and why.
func (s *Source) Latest() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.latest != nil:
		return s.latest, nil
	case s.failed != nil:
		return nil, s.failed
	}
	return nil, fmt.Errorf("runbooks %s: nothing was fetched yet", s.config.Name)
}

// State says when the source was fetched last, and why the last attempt failed.
func (s *Source) State() (at time.Time, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, s.failed
}

// fetch takes the commit, and reads it unless it is known.
func (s *Source) fetch(ctx context.Context) (*Snapshot, error) {
	if s.scheme == "" {
		return s.folder(ctx)
	}
	commit, err := s.mirror(ctx)
	if err != nil {
		// A mirror from before the gateway's start is as good as what was fetched then.
		if known, kerr := s.resolve(ctx); kerr == nil && s.unread() {
			if snap, rerr := s.read(ctx, known); rerr == nil {
				s.mu.Lock()
				s.latest = snap
				s.mu.Unlock()
			}
		}
		return nil, err
	}
	s.mu.Lock()
	known := s.latest
	s.mu.Unlock()
	if known != nil && known.Commit == commit && s.config.Signers == "" {
		return known, nil
	}
	return s.read(ctx, commit)
}

func (s *Source) unread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest == nil
}

// Warm reads the mirror without asking the server.
func (s *Source) Warm(ctx context.Context) error {
	if s.scheme == "" {
		return s.Fetch(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, ReadTime)
	defer cancel()
	commit, err := s.resolve(ctx)
	if err != nil {
		return err
	}
	snap, err := s.read(ctx, commit)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = snap
	return nil
}

// folder reads a plain folder. Links are not followed, and nothing outside of it is read.
func (s *Source) folder(ctx context.Context) (*Snapshot, error) {
	root, err := os.OpenRoot(s.config.URL)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	snap := &Snapshot{source: s.config.Name, path: s.config.Path, entries: make(map[string]entry)}
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && p != ".":
			return fs.SkipDir
		case d.IsDir():
			return nil
		case len(snap.entries) == MaxEntries:
			return fmt.Errorf("the folder has more than %d files", MaxEntries)
		case !d.Type().IsRegular():
			snap.entries[p] = entry{kind: "no regular file"}
			return nil
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{size: i.Size(), kind: regular}
		if e.size <= keepFile {
			text, err := root.ReadFile(p)
			if err != nil {
				return err
			}
			if e.text = text; int64(len(text)) > keepFile {
				return errors.New(p + " grew while it was read")
			}
			e.size = int64(len(text))
		}
		snap.entries[p] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	return snap, snap.books(ctx)
}

// regular is the kind of an entry that can be read.
const regular = "file"

// keepFile is how large a file may be that is read.
const keepFile = runbook.MaxFile

// entry is a file of a commit.
type entry struct {
	kind string
	size int64
	id   string // of the blob
	text []byte
}

// Snapshot is what a source has at one commit. It does not change.
type Snapshot struct {
	Commit string // empty: of a plain folder
	Author string // the author's mail address
	Signer string // empty: signatures are not looked at

	source, path string
	entries      map[string]entry
	list         []Book
	byName       map[string]int
}

// Book is a file of a snapshot that is, or should be, a runbook.
type Book struct {
	Path    string
	Name    string           // empty where the file cannot be read
	Runbook *runbook.Runbook // nil where it cannot
	Err     error
}

// List returns the runbooks, by their paths.
func (s *Snapshot) List() []Book { return s.list }

// Origin is where a runbook of the snapshot comes from.
func (s *Snapshot) Origin(b Book) runbook.Origin {
	return runbook.Origin{Source: s.source, Commit: s.Commit, Path: b.Path, Digest: b.Runbook.Digest, Author: s.Author, Signer: s.Signer}
}

// Book returns a runbook by its name, with what it needs of other files.
func (s *Snapshot) Book(ctx context.Context, name string) (Book, error) {
	i, ok := s.byName[name]
	if !ok {
		return Book{}, fmt.Errorf("no runbook %q found in %s", name, s.source)
	}
	b := s.list[i]
	if b.Err != nil {
		return b, b.Err
	}
	var err error
	if b.Runbook, err = s.Find(ctx, name); err != nil { // a copy, since it is completed
		return b, err
	}
	return b, b.Runbook.Complete(ctx, s)
}

// Find implements [runbook.Files].
func (s *Snapshot) Find(_ context.Context, name string) (*runbook.Runbook, error) {
	i, ok := s.byName[name]
	if !ok {
		return nil, fmt.Errorf("no runbook %q found in %s", name, s.source)
	}
	return runbook.Parse(s.entries[s.list[i].Path].text)
}

// Read implements [runbook.Files].
func (s *Snapshot) Read(_ context.Context, p string, limit int) ([]byte, error) {
	e, ok := s.entries[p]
	switch {
	case !ok:
		return nil, errors.New("no such file found")
	case e.kind != regular:
		return nil, fmt.Errorf("it is %s, which is not followed", e.kind)
	case e.size > int64(limit):
		return nil, fmt.Errorf("it has %d bytes, and may have %d", e.size, limit)
	case e.text == nil && e.size > 0:
		return nil, errors.New("it was not read")
	}
	return bytes.Clone(e.text), nil
}

// Sum is the digest of a file, in hexadecimals.
func Sum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// books parses what runbooks may be.
func (s *Snapshot) books(ctx context.Context) error {
	s.byName = make(map[string]int)
	for _, p := range sortedPaths(s.entries) {
		if !isBook(p, s.path) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(s.list) == MaxBooks {
			return fmt.Errorf("there are more than %d runbooks", MaxBooks)
		}
		b := Book{Path: p}
		text, err := s.Read(ctx, p, runbook.MaxFile)
		if err == nil {
			b.Runbook, err = runbook.Parse(text)
		}
		if b.Err = err; err == nil {
			b.Name = b.Runbook.Metadata.Name
			if i, ok := s.byName[b.Name]; ok {
				b.Err = fmt.Errorf("%s is the runbook %s already", s.list[i].Path, b.Name)
				s.list[i].Err = fmt.Errorf("%s is the runbook %s, too", p, b.Name)
			} else {
				s.byName[b.Name] = len(s.list)
			}
		}
		s.list = append(s.list, b)
	}
	return nil
}

// isBook reports whether a file may be a runbook: its tests are not.
func isBook(p, folder string) bool {
	if folder != "" && !strings.HasPrefix(p, folder+"/") {
		return false
	}
	base := path.Base(p)
	return (strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml")) && !strings.Contains(base, ".test.") && !strings.HasPrefix(base, ".")
}
