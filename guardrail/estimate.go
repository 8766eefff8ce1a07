package guardrail

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/proxy"
)

// Estimator asks resources what they expect of statements. It is safe for
// concurrent use.
type Estimator interface {
	// Estimate returns how many rows the session's resource expects a single
	// statement, with the arguments bound to it, to return or to change, the larger
	// of the two, and its cost in the resource's own unit. It runs nothing, and reads
	// names as a new session of the same account would. The error says why there is
	// no estimate; it is shown to the user, and holds no data.
	Estimate(ctx context.Context, s *proxy.Session, st *proxy.Statement) (rows, cost float64, err error)
}

var (
	errNoEstimator = errors.New("rows and costs cannot be estimated for this resource")
	errSeveral     = errors.New("several statements in one text cannot be estimated: send them one by one")
	errMoved       = errors.New("the session changed which table a name means: write table names with their schema")
)

// expects reports whether the resource expects more of a statement than the rule
// lets pass. What cannot be estimated is taken for more by rules that refuse.
func (c *call) expects(r *Rule, s *proxy.Statement) (meets, understood bool) {
	switch {
	case s.Kind == proxy.KindPrepare:
		return false, true // it is asked again when it runs, with its arguments
	case !s.Facts.Effects.Has(bounded|proxy.EffectCopyIn|proxy.EffectCopyOut) &&
		(s.Facts.Effects.Has(proxy.EffectsDDL) || !s.Facts.Effects.Has(proxy.EffectCall)):
		return false, true // it is about no rows; what a definition calls is for later
	case s.Facts.Effects == proxy.EffectRead && len(s.Facts.Relations)+len(s.Facts.Functions) == 0 && !c.moved:
		return false, true // a row made of literals, or a FETCH of what was estimated when it was declared
	}
	if !c.estimated {
		c.estimated = true
		c.rows, c.cost, c.estimateErr = c.ask(s)
	}
	if c.estimateErr != nil {
		return r.Action.blocks(), false
	}
	return (r.MoreRows == 0 || c.rows > float64(r.MoreRows)) &&
		(r.MoreCost == 0 || c.cost > float64(r.MoreCost)), true
}

func (c *call) ask(s *proxy.Statement) (rows, cost float64, err error) {
	e := c.guardrail.config.Estimators[s.Facts.Dialect]
	switch {
	case e == nil:
		return 0, 0, errNoEstimator
	case s.Facts.Statements > 1:
		return 0, 0, errSeveral
	case c.moved && !qualified(s.Facts):
		return 0, 0, errMoved
	}
	return e.Estimate(c.ctx, c.session, s)
}

// qualified reports whether all names of relations mean the same to every
// session.
func qualified(f *proxy.Facts) bool {
	for i := range f.Relations {
		if r := &f.Relations[i]; r.Schema == "" || r.Schema == "pg_temp" {
			return false
		}
	}
	return true
}

// movesNames reports whether relations' names may mean something else after op
// ran: another path of schemas, another role, temporary tables, and everything
// that can do such things unseen.
func movesNames(op proxy.Op) bool {
	switch op := op.(type) {
	case *proxy.Connect:
		for name := range op.Params {
			if name == "search_path" || name == "options" || name == "role" {
				return true
			}
		}
	case *proxy.Statement:
		if op.Kind == proxy.KindPrepare || op.Facts.Malformed {
			return false
		}
		if op.Facts.Effects.Has(proxy.EffectCreate | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute | proxy.EffectRole | proxy.EffectUnknown) {
			return true
		}
		for i := range op.Facts.Settings {
			switch op.Facts.Settings[i].Name {
			case "", "all", "search_path", "role", "session_authorization", "database":
				return true
			}
		}
	case *proxy.Call:
		return op.Kind == proxy.KindFunction
	}
	return false
}
