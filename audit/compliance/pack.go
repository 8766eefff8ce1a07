package compliance

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/audit/report"
)

// Names of files in a pack.
const (
	indexName      = "index.html"
	manifestName   = "manifest.json"
	signatureName  = "manifest.sig"
	checkpointName = "checkpoint"
	keyName        = "key.pub"
	proofsName     = "proofs.json"
)

// format is what a manifest says first.
const format = "sallyport-evidence/1"

// Manifest says what a pack is of, and which files it has.
type Manifest struct {
	Format    string    `json:"format"`
	Framework string    `json:"framework"`
	Title     string    `json:"title"` // of the framework
	From      time.Time `json:"from"`
	To        time.Time `json:"to"` // what happened at this time is not in it
	Made      time.Time `json:"made"`
	Program   string    `json:"program,omitempty"`
	// Head is the signed head of the log that the records are proven by: of so many sealed sessions, with this root.
	Head    Head   `json:"head"`
	Records Counts `json:"records"`
	// Files are all of the pack but the manifest and its signature.
	Files []File `json:"files"`
}

// Head is a signed head of a log.
type Head struct {
	Size       int64  `json:"size"`
	Root       string `json:"root"`
	Checkpoint string `json:"checkpoint"`
}

// Counts are how many records of the period are in which state.
type Counts struct {
	Proven int `json:"proven"`
	Open   int `json:"open"`   // or not sealed yet
	Erased int `json:"erased"` // what is left of them is as it was sealed
	// ErasedBefore are how many were erased that began before the period: whether they were open in it is gone with their content.
	ErasedBefore int `json:"erased_before"`
	Failed       int `json:"failed"` // not as they were sealed, missing, or not readable
}

// File is a file of a pack.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	Rows   *int64 `json:"rows,omitempty"` // of a table
}

// Pack is a pack of evidence, which is to be closed.
type Pack struct {
	Manifest Manifest
	Digest   string // SHA-256 of the manifest
	spool    *spool
}

// Gather makes a pack of a period for a framework. Records that are not as they were sealed are listed, and do not keep it from being
// made. The error wraps ErrTooLarge where it would be too large. Progress, which may be nil, is told how many sessions were looked at.
func (s *Source) Gather(ctx context.Context, f *Framework, p report.Period, now time.Time, progress func(done, all int)) (pack *Pack, err error) {
	if err := CheckPeriod(p); err != nil {
		return nil, err
	}
	limit := s.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	g := &gathering{ctx: ctx, src: s, spool: &spool{dir: s.Dir, left: limit}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("making a pack of evidence: %w", errors.Join(err, g.spool.Close()))
		}
	}()
	if err := g.begin(); err != nil {
		return nil, err
	}
	if err := g.recorded(p, progress); err != nil {
		return nil, err
	}
	if err := g.held(); err != nil {
		return nil, err
	}
	if err := g.end(); err != nil {
		return nil, err
	}
	return g.sign(f, p, now)
}

// sign adds what says what the pack is, and its signature.
func (g *gathering) sign(f *Framework, p report.Period, now time.Time) (*Pack, error) {
	m := Manifest{
		Format: format, Framework: f.ID, Title: f.Title, From: p.From.UTC(), To: p.To.UTC(), Made: now.UTC(), Program: g.src.Program,
		Head: Head{g.anchor.Size, g.anchor.Root, g.anchor.Checkpoint}, Records: g.count,
	}
	index, err := renderIndex(f, &m, g.sheets(), g.anchor.Public)
	if err != nil {
		return nil, err
	}
	if err := controlSheet(g.spool, f, g.sheets()); err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{indexName: index, checkpointName: []byte(g.anchor.Checkpoint), keyName: []byte(g.anchor.Public + "\n")} {
		if err := g.spool.put(name, text); err != nil {
			return nil, err
		}
	}
	rows := make(map[string]*int64)
	for _, s := range g.sheets() {
		csv, json := s.files()
		rows[csv], rows[json] = &s.rows, &s.rows
	}
	g.spool.sort()
	for _, x := range g.spool.files {
		m.Files = append(m.Files, File{x.name, x.digest(), x.size, rows[x.name]})
	}
	text, err := json.MarshalIndent(&m, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	signature, err := g.src.Sign(text)
	if err != nil {
		return nil, err
	}
	if err := g.spool.put(manifestName, text); err != nil {
		return nil, err
	}
	digest := g.spool.files[len(g.spool.files)-1].digest()
	if err := g.spool.put(signatureName, []byte(signature)); err != nil {
		return nil, err
	}
	return &Pack{m, digest, g.spool}, nil
}

// Write writes the pack as a ZIP file. It can be done again.
func (p *Pack) Write(w io.Writer) error {
	z := zip.NewWriter(w)
	for _, x := range p.spool.files {
		if err := x.to(z); err != nil {
			return err
		}
	}
	return z.Close()
}

// Close removes what the pack was made of.
func (p *Pack) Close() error { return p.spool.Close() }
