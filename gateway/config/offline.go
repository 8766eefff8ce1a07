package config

import (
	"fmt"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/review/offline"
)

// OfflineGrants say who keeps the grants that count while the store does not answer; see package offline.
type OfflineGrants struct {
	Position
	Need    int      `yaml:"need"` // how many keepers
	Keepers []Keeper `yaml:"keepers"`
	Revoked []string `yaml:"revoked"` // grants that do not count any more, by their identifiers
}

// Keeper is somebody whose signature it takes to use an offline grant.
type Keeper struct {
	Position
	Name string `yaml:"name"` // her subject
	Key  string `yaml:"key"`  // public, of SSH
}

// leastKeepers is how many keepers it takes at least: one person alone lets nobody in.
const leastKeepers = 2

// Keepers are those of the file, and how many of them it takes.
func (f *File) Keepers() (list []offline.Keeper, need int) {
	if f.Offline == nil {
		return nil, 0
	}
	for _, k := range f.Offline.Keepers {
		if key, err := offline.ParseKey(k.Key); err == nil {
			list = append(list, offline.Keeper{Name: k.Name, Key: key})
		}
	}
	return list, f.Offline.need()
}

func (o *OfflineGrants) need() int { return max(o.Need, leastKeepers) }

func (f *File) validateOffline(d *decoder) {
	o := f.Offline
	if o == nil {
		return
	}
	if o.Need != 0 && o.Need < leastKeepers {
		d.problem(o.Line, "leave it out for 2", "offline_grants: need: got %d, want %d or more: nobody lets somebody in alone", o.Need, leastKeepers)
	}
	if n := len(o.Keepers); n < o.need() || n > offline.MaxKeepers {
		d.problem(o.Line, "", "offline_grants: got %d keepers, want %d to %d", n, o.need(), offline.MaxKeepers)
	}
	names, keys := make(map[string]bool), make(map[string]string)
	for _, k := range o.Keepers {
		key, err := offline.ParseKey(k.Key)
		switch {
		case k.Name == "":
			d.problem(k.Line, "name: her user or subject", "offline_grants: a keeper has no name")
		case names[k.Name]:
			d.problem(k.Line, "a person is one keeper", "offline_grants: keeper %s is there twice", k.Name)
		case err != nil:
			d.problem(k.Line, "ssh-keygen writes it into a file that ends in .pub", "offline_grants: keeper %s: %v", k.Name, err)
			continue
		case keys[string(key.Marshal())] != "":
			d.problem(k.Line, "each keeper has a key of her own", "offline_grants: keepers %s and %s have the same key", keys[string(key.Marshal())], k.Name)
		}
		if names[k.Name] = true; err == nil {
			keys[string(key.Marshal())] = k.Name
		}
	}
}

// OfflineRule returns the rule of a name where its access can be had by an offline grant.
func OfflineRule(rules *policy.Policy, name string) (*policy.Rule, error) {
	r := rules.Rule(name)
	if r == nil || r.Request == nil || r.Request.BreakGlass == nil || !r.Request.BreakGlass.Offline {
		return nil, fmt.Errorf("rule %q does not let anybody have access by an offline grant", name)
	}
	return r, nil
}
