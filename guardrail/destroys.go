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
