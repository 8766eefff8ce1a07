package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/revision"
)

// objects are the configuration objects of the store, as this gateway uses them. They are
// changed while a revision is made.
type objects struct {
	keeper *revision.Keeper
	set    *revision.Set // that is used
	failed *revision.Set // that could not be used; nil: none
	tried  time.Time     // when it was last tried
}

// openObjects reads the objects of the store.
func (g *Gateway) openObjects(ctx context.Context) (err error) {
	g.objects.keeper = &revision.Keeper{
		Store: g.state.store, Check: g.checkObjects,
		Needs: g.needs,
	}
	g.objects.set, err = g.objects.keeper.Load(ctx)
	return err
}

// needs says why a second person approves a change, and what it does with secrets.
func (g *Gateway) needs(c revision.Change) string {
	f := g.parts().config
	why := f.Weakens(c)
	if why == "" {
		return ""
	}
	return strings.Join(append([]string{why}, f.Binds(c)...), "; ")
}

// checkObjects makes everything of a configuration with other objects, and uses nothing of it.
func (g *Gateway) checkObjects(ctx context.Context, list []revision.Object, changes []revision.Change) error {
	next, err := g.parts().config.Try(list, changes)
	if err == nil {
		err = g.mayListen(next, changes)
	}
	if err == nil {
		var p *parts
		if p, err = g.make(ctx, next, nil); err == nil {
			p.secrets.Retire()
		}
	}
	if err != nil {
		return fmt.Errorf("%w:\n%w", revision.ErrInvalid, err)
	}
	return nil
}

// with returns f with objects.
func with(f *config.File, set *revision.Set) (*config.File, error) {
	if slices.Equal(f.Objects(), set.Objects) {
		return f, nil
	}
	next, err := f.From(set.Objects)
	if err != nil {
		return nil, fmt.Errorf("using the configuration objects of the store, revision %d, with %s: %w", set.Current, f.Name(), err)
	}
	return next, nil
}

// errUnused says that the store has objects that this gateway cannot use.
var errUnused = errors.New("this gateway cannot use it")

// useObjects has the gateway use the objects that the store has now.
func (g *Gateway) useObjects(ctx context.Context) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	o := &g.objects
	set, err := o.keeper.Load(ctx)
	if err != nil || set.Current == o.set.Current {
		return err
	}
	o.tried = time.Now()
	if err := g.apply(g.parts().config, set); err != nil {
		if o.failed == nil || o.failed.Current != set.Current {
			g.log.Error("a revision of the configuration objects cannot be used: the gateway goes on with the one from before, also with users and rights that it takes away",
				"revision", set.Current, "uses", o.set.Current, "err", err)
		}
		o.failed = set
		return fmt.Errorf("%w: %w", errUnused, err)
	}
	o.failed = nil
	g.log.Info("a revision of the configuration objects is used", "revision", set.Current, "objects", len(set.Objects))
	return nil
}

// retryObjects is how long a revision is left alone that could not be used.
const retryObjects = 30 * time.Second

// retry tries a revision of the objects again that could not be used, when it is time or when now is set.
func (g *Gateway) retry(ctx context.Context, now bool) {
	g.applying.Lock()
	due := g.objects.failed != nil && (now || time.Since(g.objects.tried) > retryObjects)
	g.applying.Unlock()
	if due {
		_ = g.useObjects(ctx) // it was logged
	}
}

// followObjects has the gateway follow a change of the objects. What cannot be used was logged, and is tried again:
// only a store that cannot be read is an error.
func (g *Gateway) followObjects(ctx context.Context) error {
	if err := g.useObjects(ctx); !errors.Is(err, errUnused) {
		return err
	}
	return nil
}

// configuration is what the API changes objects by.
func (g *Gateway) configuration() *control.Configuration {
	return &control.Configuration{
		Keeper: g.objects.keeper, Kinds: config.ObjectKinds(), Conceal: config.Conceal,
		File: func() (own []revision.Object, hidden []revision.Key) {
			f := g.parts().config
			return f.Own(), f.Hidden()
		},
		Read: func(ctx context.Context, file, text string) (p revision.Proposal, err error) {
			if p.Put, err = config.ReadObjects(file, []byte(text)); err != nil {
				return p, fmt.Errorf("%w:\n%w", revision.ErrInvalid, err)
			}
			set, err := g.objects.keeper.Load(ctx)
			if err != nil {
				return p, err
			}
			p.Seen = make(map[revision.Key]string)
			for i := range p.Put {
				o := &p.Put[i]
				before, _ := set.Get(o.Key)
				filled, err := config.Fill(*o, before)
				if err != nil {
					return p, fmt.Errorf("%w: %w", revision.ErrInvalid, err)
				}
				if filled != *o {
					*o, p.Seen[o.Key] = filled, before.Text
				}
			}
			return p, nil
		},
		Rebinds: func(changes []revision.Change) []string { return g.parts().config.Rebinds(changes) },
		Use:     g.useObjects,
	}
}
