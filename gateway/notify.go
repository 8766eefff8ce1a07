package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/audit/prometheus"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/jira"
	"github.com/sallyport/sallyport/review/opsgenie"
	"github.com/sallyport/sallyport/review/pagerduty"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/review/smtp"
	"github.com/sallyport/sallyport/review/teams"
	"github.com/sallyport/sallyport/review/webhook"
)

// notifier is a channel of a revision, and what it was made of.
type notifier struct {
	review.Channel
	of      config.Notify
	secrets config.NotifySecrets
	links   string       // of requests
	decide  http.Handler // what people decide there; nil: nothing
	watch   watcher      // takes what people decide there, by asking; nil: nothing
}

// watcher takes what people decide in a channel, until ctx ends.
type watcher interface{ Run(ctx context.Context) }

// openOutbox opens what tells people of requests.
func (g *Gateway) openOutbox() {
	g.channels = make(chan struct{}, 1)
	g.outbox = &review.Outbox{Store: g.state.store, Log: g.log, Sealer: g.state.sealer}
	g.metrics.Channels = func() (list []prometheus.Channel) {
		for _, s := range g.outbox.Stats() {
			list = append(list, prometheus.Channel{
				Name: s.Channel, Waiting: s.Waiting, Dead: s.Dead, Delivered: s.Delivered, Failures: s.Failures, Oldest: s.Oldest, Failing: s.Failing,
			})
		}
		return list
	}
}

// notifiers makes the channels of f. Those that are as they were are used on.
func (g *Gateway) notifiers(ctx context.Context, f *config.File, from *config.Secrets) ([]notifier, error) {
	var before []notifier
	if p := g.parts(); p != nil {
		before = p.notifiers
	}
	list := make([]notifier, len(f.Notify))
	for i := range f.Notify {
		c := &f.Notify[i]
		secrets, err := f.NotifySecrets(ctx, from, c)
		if err != nil {
			return nil, err
		}
		n := notifier{of: *c, secrets: secrets, links: f.RequestURL("")}
		n.Name, n.Version, n.Wants = c.Called(), c.Version(), c.Wants(g.resourceOf)
		at := slices.IndexFunc(before, func(o notifier) bool {
			return config.SameNotify(&o.of, c) && o.links == n.links && reflect.DeepEqual(o.secrets, secrets)
		})
		if at >= 0 {
			n.Notifier, n.decide, n.watch = before[at].Notifier, before[at].decide, before[at].watch
		} else if n.Notifier, err = g.notifier(f, c, secrets); err != nil {
			return nil, fmt.Errorf("notify %s: %w", c.Called(), err)
		}
		if s, ok := n.Notifier.(*slack.Notifier); ok && n.decide == nil && n.watch == nil {
			switch {
			case c.AppToken != "":
				n.watch = g.callbacks(s, c, "")
			case c.Signing != "":
				n.decide = g.callbacks(s, c, secrets.Signing)
			}
		}
		if b, ok := n.Notifier.(*teams.Bot); ok && c.Decide && n.decide == nil {
			n.decide = g.botCallbacks(b, c)
		}
		if j, ok := n.Notifier.(*jira.Notifier); ok && c.Decide && n.watch == nil {
			d := g.decisions(j, c, secrets.Signing)
			n.watch, n.decide = d, d // which serves nothing without a secret
		}
		list[i] = n
	}
	return list, nil
}

// resourceOf returns a resource of the current revision; nil: it is not there.
func (g *Gateway) resourceOf(name string) *proxy.Resource {
	return g.parts().resource(name)
}

// notifier makes a channel.
func (g *Gateway) notifier(f *config.File, c *config.Notify, s config.NotifySecrets) (review.Notifier, error) {
	roots, err := s.TLS()
	if err != nil {
		return nil, err
	}
	var link func(subject string) string
	if f.API.URL != "" {
		link = f.AboutURL
	}
	switch c.Type {
	case "webhook":
		w := webhook.Config{URL: s.URL, Private: c.Private, Plaintext: c.Plaintext, TLS: roots, Details: c.Details, Link: link}
		for _, text := range s.Keys {
			key, err := webhook.ParseKey(text)
			if err != nil {
				return nil, err
			}
			w.Keys = append(w.Keys, key)
		}
		return webhook.New(w)
	case "smtp":
		m := c.SMTP()
		m.TLS, m.Password, m.Link, m.Command, m.Recipients = roots, proxy.NewSecret(s.Password), link, showCommand, g.recipients(c)
		return smtp.New(m)
	case "slack":
		m := c.Slack()
		m.URL, m.TLS, m.Token, m.Store, m.Link, m.Command = s.URL, roots, proxy.NewSecret(s.Token), g.state.store, link, showCommand
		m.App = proxy.NewSecret(s.AppToken)
		return slack.New(m)
	case "teams":
		if c.AppID != "" {
			m := c.TeamsBot()
			m.TLS, m.Secret, m.Store, m.Link, m.Command = roots, proxy.NewSecret(s.AppSecret), g.state.store, link, showCommand
			return teams.NewBot(m)
		}
		return teams.New(teams.Config{URL: proxy.NewSecret(s.URL), Private: c.Private, TLS: roots, Details: c.Details, Link: link, Command: showCommand})
	case "jira":
		m := c.Jira()
		m.URL, m.TLS, m.Token, m.Store, m.Link, m.Command, m.Log = s.URL, roots, proxy.NewSecret(s.Token), g.state.store, link, showCommand, g.log
		return jira.New(m)
	case "pagerduty":
		m := c.PagerDuty()
		m.URL, m.TLS, m.Key, m.Link, m.Command = s.URL, roots, proxy.NewSecret(s.Key), link, showCommand
		return pagerduty.New(m)
	case "opsgenie":
		m := c.Opsgenie()
		m.URL, m.TLS, m.Key, m.Link, m.Command = s.URL, roots, proxy.NewSecret(s.Key), link, showCommand
		return opsgenie.New(m)
	}
	return nil, fmt.Errorf("unknown type %q", c.Type)
}

// showCommand shows what a notice is about on a command line.
func showCommand(subject string) string {
	if rule, ok := review.AlertOf(subject); ok {
		return "sallyport admin alerts show " + rule
	}
	return "sallyport requests show " + subject
}

// useNotifiers has the outbox tell the channels of p, in place of those of before.
func (g *Gateway) useNotifiers(p, before *parts) error {
	channels := make([]review.Channel, len(p.notifiers))
	for i, n := range p.notifiers {
		channels[i] = n.Channel
	}
	if err := g.outbox.Use(channels); err != nil {
		return err
	}
	select {
	case g.channels <- struct{}{}:
	default: // it is looked soon
	}
	if before == nil {
		return nil
	}
	for _, n := range before.notifiers {
		c, ok := n.Notifier.(io.Closer)
		if ok && !slices.ContainsFunc(p.notifiers, func(o notifier) bool { return o.Notifier == n.Notifier }) {
			c.Close() // idle connections: what is being told is told
		}
	}
	return nil
}

// watchChannels takes what people decide in the channels of the current revision, until ctx ends.
func (g *Gateway) watchChannels(ctx context.Context) {
	running := make(map[watcher]context.CancelFunc)
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		now := make(map[watcher]bool)
		for _, n := range g.parts().notifiers {
			if n.watch != nil {
				now[n.watch] = true
			}
		}
		for d, stop := range running {
			if !now[d] {
				stop()
				delete(running, d)
			}
		}
		for d := range now {
			if running[d] == nil {
				own, stop := context.WithCancel(ctx)
				running[d] = stop
				wg.Go(func() {
					defer stop()
					d.Run(own)
				})
			}
		}
		select {
		case <-g.channels:
		case <-ctx.Done():
		}
	}
}
