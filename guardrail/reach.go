package guardrail

import "github.com/sallyport/sallyport/proxy"

// sparesData reports whether a statement that may destroy data destroys none, because
// there is none where it reaches. What is prepared is asked about when it runs.
func (c *call) sparesData(r *Rule, s *proxy.Statement) bool {
	if len(s.Facts.Losing) == 0 || r.movesInto(s.Facts) {
		return false
	}
	if s.Kind == proxy.KindPrepare {
		return true
	}
	if !c.looked {
		c.looked = true
		spares, err := s.LosesNothing(c.ctx)
		c.spares = err == nil && spares || err != nil && s.Facts.Lossless
	}
	return c.spares
}

// changesFew reports whether a statement that changes a whole table changes no more than
// one that names a row: an UPDATE of a table with one row, such as the state of a
// tool, or a DELETE where no row is. What is prepared is asked about when it runs.
func (c *call) changesFew(s *proxy.Statement) bool {
	w := s.Facts.Whole
	if w == nil {
		return false
	}
	if s.Kind == proxy.KindPrepare {
		return true
	}
	if !c.counted {
		c.counted = true
		rows := 1
		if w.Effects.Has(proxy.EffectDelete) {
			rows = 0
		}
		few, err := s.ChangesFew(c.ctx, rows)
		c.few = few && err == nil
	}
	return c.few
}
