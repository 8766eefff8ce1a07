package detect

// Finder is a Detector with buffers of its own, for one goroutine that looks at many
// short texts.
type Finder struct {
	Detector *Detector
	// NoNames leaves out names of people, streets and the like in prose, which take
	// the most time and need whole sentences.
	NoNames bool

	scan *scan
}

// Find appends the findings in text to dst and returns it, as [Detector.FindNamed]
// does.
func (f *Finder) Find(dst []Finding, text []byte, topics Topics) []Finding {
	if f.scan == nil {
		f.scan = &scan{}
	}
	f.scan.plan, f.scan.plain = f.Detector, f.NoNames
	return f.scan.run(dst, text, topics)
}
