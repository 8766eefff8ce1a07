package config

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/newfile"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/secrets"
)

// Masker builds the masking rules; nil when nothing is masked, because the file
// switches the default pack off and has no other rules. assembled is what the
// assembly brings: the sampler, and a key that takes the place of the file's. The
// rest is the file's. from is who follows references; nil opens the file's sources for
// this alone.
func (f *File) Masker(ctx context.Context, from *Secrets, assembled masking.Config) (*masking.Masker, error) {
	if !f.masks() {
		return nil, nil
	}
	c := assembled
	c.Detokenise, c.Tags, c.Trusted = f.MaskingKey.Detokenise, f.Tags, f.Trusted
	var err error
	if c.Key == nil {
		if c.Key, err = f.MaskerKey(ctx, from); err != nil {
			return nil, err
		}
	}
	if c.Detector, err = f.detector(); err != nil {
		return nil, err
	}
	if f.Analyzer != nil {
		e, err := f.analyzer(ctx, from)
		if err != nil {
			return nil, err
		}
		c.External = append(c.External, e)
	}
	for i, m := range f.Masking {
		if m.Recognize != nil {
			continue
		}
		r, err := m.rule()
		if err != nil {
			return nil, fmt.Errorf("masking rule %d: %w", i+1, err)
		}
		c.Rules = append(c.Rules, r)
	}
	return masking.New(c)
}

// Profiles are the names of the profiles that entries of masking make.
func (f *File) Profiles() (names []string) {
	for _, m := range f.Masking {
		if m.Profile != "" && !slices.Contains(names, m.Profile) {
			names = append(names, m.Profile)
		}
	}
	return names
}

// checkProfile reports an entry of a profile that nobody asks for. What a policy in Rego asks
// for is not known.
func (f *File) checkProfile(d *decoder, m Masking) {
	asked := func(a Access) bool { return slices.Contains(a.Masking, m.Profile) }
	if m.Profile == "" || d.broken["access"] || f.Policies.OPA != nil {
		return
	}
	f.refersTo(d, m.Line, "use of profile "+m.Profile, slices.ContainsFunc(f.Access, asked), "add masking: ["+m.Profile+"] to the access rules whose sessions have it", "no access rule asks for the masking profile %q, so the entry never applies", m.Profile)
}

// masks reports whether anything is masked.
func (f *File) masks() bool {
	return !f.maskingOff() || slices.ContainsFunc(f.Masking, func(m Masking) bool { return m.Recognize == nil && m.Use != useOff })
}

// detector builds the detector with the file's own recognizers; nil when it has
// none.
func (f *File) detector() (*detect.Detector, error) {
	var c detect.Config
	for _, m := range f.Masking {
		if m.Recognize != nil {
			c.Patterns = append(c.Patterns, m.Recognize.pattern())
		}
	}
	if c.Patterns == nil {
		return nil, nil
	}
	return detect.New(c)
}

func (r *Recognizer) pattern() detect.Pattern {
	return detect.Pattern{
		Type: detect.Type(r.Entity), Regexp: r.Pattern, Words: r.Words, Validator: r.Validator, Context: r.Context, Columns: r.Columns, Score: uint8(max(0, min(r.Score, 255))),
	}
}

func (m Masking) rule() (masking.Rule, error) {
	r := masking.Rule{Name: m.Name, Profile: m.Profile, Off: m.Use == useOff, Columns: m.Columns, Tags: m.Tags, ColumnTypes: m.DBTypes, Groups: m.Groups, Except: m.Except.Groups, Adds: m.Stored}
	for _, e := range m.Entities {
		r.Types = append(r.Types, detect.TypeNamed(e))
	}
	if names, labels := m.Resources.Names, m.Resources.Labels; len(names)+len(labels) > 0 {
		selector := policy.Rule{Resources: names, Labels: labels}
		r.Resources = selector.MatchesResource
	}
	r.Options = masking.Options{
		KeepFirst: m.KeepFirst, KeepLast: m.KeepLast, Text: m.Text, Days: m.Days, Unit: m.Unit, Size: int64(m.Size), Bits: m.Bits,
	}
	var err error
	if r.With, err = masking.ParseTransform(m.With); err != nil {
		return r, err
	}
	if r.Mode, err = masking.ParseMode(m.Mode); err != nil {
		return r, err
	}
	if r.WriteBack, err = masking.ParseWriteBack(m.WriteBack); err != nil {
		return r, err
	}
	r.Requests, err = masking.ParseRequests(m.Requests)
	return r, err
}

// maskingKeyFile is the file of the key that the gateway makes for itself.
const maskingKeyFile = "masking.key"

// MaskerKey returns the key of Masker: the configured one, or the one of the data
// directory, which is made where it does not exist. It is nil when nothing is masked.
func (f *File) MaskerKey(ctx context.Context, from *Secrets) ([]byte, error) {
	if !f.masks() {
		return nil, nil
	}
	key, err := f.maskingKey(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("masking key: %w", err)
	}
	return key, nil
}

func (f *File) maskingKey(ctx context.Context, from *Secrets) ([]byte, error) {
	ref := f.MaskingKey.Secret
	if ref == "" {
		path := filepath.Join(f.Data(), maskingKeyFile)
		if err := makeKey(path); err != nil {
			return nil, err
		}
		ref = secrets.Ref{Scheme: "file", Path: path}.String()
	}
	key, err := f.Secret(ctx, from, ref)
	return []byte(key), err
}

// makeKey writes a new key to path, unless one is there. It is whole or not
// there, also when two gateways begin at once.
func makeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	if err := newfile.Make(path, []byte(hex.EncodeToString(key[:])+"\n")); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// validateRecognizers reports the file's own recognizers that are wrong, and
// returns a detector with the others.
func (f *File) validateRecognizers(d *decoder) *detect.Detector {
	var c detect.Config
	for _, m := range f.Masking {
		if m.Recognize == nil {
			continue
		}
		if m.Stored {
			d.problem(m.Line, "write it in the config file", "what is recognized is not said by the store: it takes the place of what is found otherwise")
			continue
		}
		d.onlyKeys(m.Line, m, "recognize", "recognize")
		if m.Recognize.Score < 0 {
			d.problem(m.Line, "", "masking: a score must be 1 to 100")
		}
		one := m.Recognize.pattern()
		if _, err := detect.New(detect.Config{Patterns: []detect.Pattern{one}}); err != nil {
			d.problem(m.Line, "", "masking: %v", err)
			continue
		}
		c.Patterns = append(c.Patterns, one)
	}
	if c.Patterns == nil {
		return detect.Default()
	}
	detector, err := detect.New(c)
	if err != nil {
		d.problem(f.Masking[0].Line, "", "masking: %v", err)
		return nil
	}
	return detector
}

// validatePack reports what is wrong with an entry that has use.
func (f *File) validatePack(d *decoder, m Masking) bool {
	switch m.Use {
	case "":
	case useDefault:
		if f.maskingOff() && m.Profile == "" {
			d.problem(m.Line, "give use: off the resources or groups that it is for", "the pack does not apply anywhere: an entry with use: off switches it off")
		}
		return d.onlyKeys(m.Line, m, "use: default", "use", "name", "profile", "resources", "groups", "except", "with", "mode", "write_back", "requests", "keep_first", "keep_last", "text", "days", "unit", "size", "bits")
	case useOff:
		return d.onlyKeys(m.Line, m, "use: off", "use", "resources", "groups")
	default:
		d.problem(m.Line, `want "default" or "off"`, "unknown masking pack %q", m.Use)
		return false
	}
	return true
}

func (f *File) validateMasking(d *decoder) {
	if k := f.MaskingKey; k.Secret != "" {
		if err := f.checkReference(k.Secret); err != nil {
			d.problem(k.Line, "secrets are not allowed in this file", "masking_key: %v", err)
		}
	}
	f.validateAnalyzer(d)
	f.checkGroups(d, f.MaskingKey.Line, f.MaskingKey.Detokenise)
	tokens := false
	detector := f.validateRecognizers(d)
	for _, m := range f.Masking {
		if m.Recognize != nil {
			continue
		}
		tokens = tokens || m.With == masking.Tokenise.String() || m.With == masking.Encrypt.String() || m.Requests == masking.RequestsTokenise.String()
		if !f.validatePack(d, m) {
			continue
		}
		if m.Use == "" && len(m.Columns)+len(m.Tags)+len(m.DBTypes)+len(m.Entities) == 0 {
			d.problem(m.Line, "", "a masking rule needs use, columns, tags, db_types or entities")
		}
		f.checkSelector(d, m.Line, m.Resources)
		f.checkGroups(d, m.Line, slices.Concat(m.Groups, m.Except.Groups))
		f.checkProfile(d, m)
		r, err := m.rule()
		if err == nil {
			_, err = masking.New(masking.Config{Detector: detector, Rules: []masking.Rule{r}, Tags: f.Tags, Trusted: f.Trusted, Key: []byte(strings.Repeat("k", 32))})
		}
		if err != nil {
			hint := ""
			if _, unknown := masking.ParseRequests(m.Requests); unknown != nil {
				hint = suggest(m.Requests, requestsAnswers)
			}
			d.problem(m.Line, hint, "%v", err)
			continue
		}
		f.validateRequests(d, m, r)
	}
	if len(f.MaskingKey.Detokenise) > 0 {
		f.refersTo(d, f.MaskingKey.Line, "tokens", tokens, "add a masking rule with: tokenise or with: encrypt", "detokenise has no effect: no masking rule makes tokens or encrypted values")
	}
}
