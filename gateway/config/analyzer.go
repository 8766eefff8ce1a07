package config

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/masking/external"
)

// external returns the analyzer's settings without its key.
func (a *Analyzer) external() (external.Config, error) {
	c := external.Config{
		URL: a.URL, Model: a.Model, Language: a.Language, LeastScore: a.Score, Timeout: a.Timeout, Failures: a.Failures, Pause: a.Pause, MaxText: a.MaxText,
	}
	switch a.API {
	case "", "presidio":
	case "chat":
		c.API = external.Chat
	default:
		return c, fmt.Errorf("unknown api %q: want presidio or chat", a.API)
	}
	switch a.OnFailure {
	case "", "refuse":
	case "pass":
		c.Open = true
	default:
		return c, fmt.Errorf("unknown on_failure %q: want refuse or pass", a.OnFailure)
	}
	return c, nil
}

func (f *File) validateAnalyzer(d *decoder) {
	a := f.Analyzer
	if a == nil {
		return
	}
	f.refersTo(d, a.Line, "found values that are masked", f.masksFound(), "remove use: off, or add a rule with entities", "masking_analyzer finds values, but no rule masks them")
	if a.Key != "" {
		if err := f.checkReference(a.Key); err != nil {
			d.problem(a.Line, "secrets are not allowed in this file", "masking_analyzer: %v", err)
		}
	}
	c, err := a.external()
	if err == nil {
		_, err = external.New(c)
	}
	if err == nil {
		_, err = masking.New(masking.Config{External: []masking.External{{Columns: a.Columns, Find: (*external.Analyzer)(nil).Find}}})
	}
	if err != nil {
		d.problem(a.Line, "", "masking_analyzer: %v", err)
	}
}

// analyzer builds what is asked in addition to the gateway's own masking.
func (f *File) analyzer(ctx context.Context, from *Secrets) (masking.External, error) {
	c, err := f.Analyzer.external()
	if err != nil {
		return masking.External{}, fmt.Errorf("masking_analyzer: %w", err)
	}
	if f.Analyzer.Key != "" {
		if c.Key, err = f.Secret(ctx, from, f.Analyzer.Key); err != nil {
			return masking.External{}, fmt.Errorf("masking_analyzer: its key: %w", err)
		}
	}
	a, err := external.New(c)
	if err != nil {
		return masking.External{}, err
	}
	return masking.External{Columns: f.Analyzer.Columns, Find: a.Find}, nil
}
