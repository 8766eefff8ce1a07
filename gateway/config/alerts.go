package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/sallyport/sallyport/alert"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// Alert is a rule over events of the record, of which channels are told.
type Alert struct {
	Position
	Name      string        `yaml:"name"`
	Events    []string      `yaml:"events,chooses"`
	Users     []string      `yaml:"users,chooses"`
	Groups    []string      `yaml:"groups,chooses"`
	Resources Selector      `yaml:"resources"`
	Rules     []string      `yaml:"rules,chooses"`
	Each      string        `yaml:"each"`
	Count     int           `yaml:"count"`
	Within    time.Duration `yaml:"within"`
	Quiet     time.Duration `yaml:"quiet"`
	Notify    []string      `yaml:"notify,chooses"`
	Message   string        `yaml:"message"`
}

// Rule is the rule as it is used. find returns a resource; nil: it is not there any more.
func (a *Alert) Rule(find func(resource string) *proxy.Resource) alert.Rule {
	r := alert.Rule{
		Name: a.Name, Events: a.Events, Users: a.Users, Groups: a.Groups, Rules: a.Rules, Each: a.Each, Count: a.Count, Within: a.Within, Quiet: a.Quiet, Channels: a.Notify,
		Message: a.Message,
	}
	b, err := json.Marshal(plain(*a))
	if err != nil {
		panic(err) // of text, numbers and lists of these
	}
	sum := sha256.Sum256(b)
	r.Version = hex.EncodeToString(sum[:12])
	if !a.Resources.everywhere() {
		about := policy.Rule{Resources: a.Resources.Names, Labels: a.Resources.Labels}
		r.Resource = func(name string) bool {
			to := find(name)
			if to == nil {
				to = &proxy.Resource{Name: name}
			}
			return about.MatchesResource(to)
		}
	}
	return r
}

// AlertRules are the rules of the file. find returns a resource; nil: it is not there any more.
func (f *File) AlertRules(find func(resource string) *proxy.Resource) []alert.Rule {
	list := make([]alert.Rule, len(f.Alerts))
	for i := range f.Alerts {
		list[i] = f.Alerts[i].Rule(find)
	}
	return list
}

// ReadAlert returns the rule that the text of an object says, checked as one of the file would be; find is as for [Alert.Rule].
func (f *File) ReadAlert(text string, find func(resource string) *proxy.Resource) (*alert.Rule, error) {
	list, err := ReadObjects("alert", []byte(text))
	if err != nil {
		return nil, err
	}
	d := &decoder{file: "alert"}
	if len(list) != 1 || list[0].Kind != kindAlert {
		d.problem(1, "write it as the config file has it: alerts: [{name: refusals, events: [operation.refused], notify: [CHANNEL]}]", "got other objects than one alert")
		return nil, d.problems
	}
	a, ok := f.entry(kindAlert, list[0].Text).(*Alert)
	if !ok {
		d.problem(1, "", "the alert has keys that are not known, or values of another type")
		return nil, d.problems
	}
	r := a.Rule(find)
	if err := r.Valid(); err != nil {
		d.problem(1, "", "%v", err)
		return nil, d.problems
	}
	return &r, nil
}

func (f *File) validateAlerts(d *decoder) {
	if n := len(f.Alerts); n > alert.MaxRules {
		d.problem(f.Alerts[alert.MaxRules].Line, "", "alerts has %d rules, want at most %d", n, alert.MaxRules)
	}
	names := make(map[string]bool)
	for i := range f.Alerts {
		a := &f.Alerts[i]
		r := a.Rule(func(string) *proxy.Resource { return nil })
		if err := r.Valid(); err != nil {
			hint := ""
			for _, e := range a.Events {
				if hint == "" {
					hint = suggest(e, alert.Types())
				}
			}
			d.problem(a.Line, hint, "%v", err)
		}
		if names[a.Name] {
			d.problem(a.Line, "give them names", "alert %s exists twice", a.Name)
		}
		names[a.Name] = true
		f.checkSelector(d, a.Line, a.Resources)
		f.checkGroups(d, a.Line, a.Groups)
		for _, name := range a.Notify {
			at := slices.IndexFunc(f.Notify, func(n Notify) bool { return n.Called() == name })
			if d.broken["notify"] {
				continue
			}
			f.refersTo(d, a.Line, "channel "+name, at >= 0, "notify lists the channels", "alert %s: channel %q does not exist", a.Name, name)
			if at >= 0 && f.Notify[at].Type == "smtp" && len(f.Notify[at].Addresses()) == 0 {
				d.problem(a.Line, "add an address to the channel's to, or name another channel", "alert %s: channel %q mails those who a request is about, and an alert is about no request", a.Name, name)
			}
		}
	}
}
