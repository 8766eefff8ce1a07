package config

import (
	"slices"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/age"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// detail is one of the four words for how much is recorded.
type detail struct {
	key, word string
	streams   bool // all or nothing, or its digest
	to        *audit.Detail
	def       audit.Detail
}

// recording is what a section says, with the defaults of what it does not say,
// and the words that it says it with.
func (r Recordings) recording() (*audit.Recording, []detail) {
	out := &audit.Recording{Input: r.Input, SampleRows: r.SampleRows, Limit: int64(r.LimitMB) << 20}
	def := audit.DefaultRecording()
	words := []detail{
		{"terminal", r.Terminal, true, &out.Terminal, def.Terminal},
		{"exec", r.Exec, true, &out.Exec, def.Exec},
		{"rows", r.Rows, false, &out.Rows, def.Rows},
		{"copy", r.Copy, false, &out.Copy, def.Copy},
	}
	if to, err := age.ParseRecipient(r.OriginalTo); err == nil {
		out.Original = to
	}
	for _, w := range words {
		*w.to = w.def
		if d, err := audit.ParseDetail(w.word); err == nil {
			*w.to = d
		}
	}
	return out, words
}

func (f *File) validateRecordings(d *decoder) {
	for _, r := range f.Audit.Recordings {
		f.checkSelector(d, r.Line, r.Resources)
		_, words := r.recording()
		for _, w := range words {
			known := []string{"off", "digest", "sample", "full"}
			if w.streams {
				known = []string{"off", "digest", "full"}
			}
			if w.word != "" && !slices.Contains(known, w.word) {
				d.problem(r.Line, suggest(w.word, known), "audit.recordings: %s: %q is unknown", w.key, w.word)
			}
		}
		if _, err := age.ParseRecipient(r.OriginalTo); err != nil && r.OriginalTo != "" {
			d.problem(r.Line, "age-keygen prints one", "audit.recordings: original_to is not a public key of age")
		}
		if r.SampleRows < 0 || r.LimitMB < 0 {
			d.problem(r.Line, "", "audit.recordings: sample_rows and limit_mb cannot be negative")
		}
		if r.Input && r.Terminal == "off" {
			d.problem(r.Line, "record the terminal too", "audit.recordings: input needs terminal: input is what the terminal echoes")
		}
	}
}

// Recordings says what is recorded of the data of sessions at a target: what the
// first section for its resource says, and the default where there is none; of everything
// least, which is what access rules ask for.
func (f *File) Recordings() func(t proxy.Target, least policy.Recording) audit.Recording {
	type section struct {
		policy.Rule
		*audit.Recording
	}
	var sections []section
	for _, r := range f.Audit.Recordings {
		what, _ := r.recording()
		sections = append(sections, section{policy.Rule{Resources: r.Resources.Names, Labels: r.Resources.Labels}, what})
	}
	return func(t proxy.Target, least policy.Recording) audit.Recording {
		what := audit.DefaultRecording()
		for _, s := range sections {
			if s.MatchesResource(t.Resource) {
				what = *s.Recording
				break
			}
		}
		for _, d := range []*audit.Detail{&what.Terminal, &what.Exec, &what.Rows, &what.Copy} {
			*d = max(*d, detailOf(least))
		}
		return f.streams(t, what)
	}
}

// detailOf is how much a level of recording keeps.
func detailOf(level policy.Recording) audit.Detail {
	switch level {
	case policy.RecordingDefault:
		return audit.Off
	case policy.RecordingDigest:
		return audit.Digest
	case policy.RecordingSample:
		return audit.Sample
	}
	return audit.Full
}

// withoutStreams are the kinds of operations that send rows and no streams.
var withoutStreams = []proxy.Kind{
	proxy.KindConnect, proxy.KindStatement, proxy.KindPrepare, proxy.KindFunction, proxy.KindReplication, proxy.KindRunbook,
}

// streams is r without what the target's protocol never has: looking at results for
// streams that do not come costs time.
func (f *File) streams(t proxy.Target, r audit.Recording) audit.Recording {
	p := find(f.options.Protocols, t.Resource.Type)
	if p == nil || len(p.Kinds) == 0 || slices.ContainsFunc(p.Kinds, func(k proxy.Kind) bool { return !slices.Contains(withoutStreams, k) }) {
		return r
	}
	r.Terminal, r.Exec = audit.Off, audit.Off
	return r
}
