package mysql

import "github.com/sallyport/sallyport/proxy"

// changed are the tables of which the session's open transaction may have changed rows: only the session sees these.
type changed struct {
	all    bool // any table
	tables map[[2]string]bool
}

// note notes that a statement has run, and whether a transaction is open after it.
func (c *changed) note(f *proxy.Facts, open bool) {
	switch {
	case !open:
		*c = changed{}
	case f.Effects.Has(opaque) || f.Unsure:
		c.all = true
	case f.Effects.Has(proxy.EffectsWrite):
		for _, r := range f.Relations {
			if r.Effects.Has(proxy.EffectsWrite) {
				if c.tables == nil {
					c.tables = make(map[[2]string]bool)
				}
				c.tables[[2]string{r.Schema, r.Name}] = true
			}
		}
	}
}

// touches reports whether a statement may be about such a table.
func (c *changed) touches(f *proxy.Facts) bool {
	if c.all {
		return true
	}
	for _, r := range f.Relations {
		if c.tables[[2]string{r.Schema, r.Name}] {
			return true
		}
	}
	return false
}
