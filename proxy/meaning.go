package proxy

import (
	"slices"
	"strings"
)

// Meaning says in which ways text means something else to the session than to one that has just begun at its target: what names without
// a schema are looked up in, what hides other relations, how literals are read. It is empty where none is known. certain is false when
// there may be others, such as after SET ROLE; the same text may then mean something else in another session whose Meaning is the same.
func (r *Reading) Meaning(t Target) (text string, certain bool) {
	var ways []string
	path := r.Names.Path
	if r.Modes {
		if path != "" && path != t.Database {
			ways = append(ways, "the database is "+path)
		}
		if !r.BackslashLiterals {
			ways = append(ways, "backslashes do not escape in literals")
		}
		if r.ANSIQuotes {
			ways = append(ways, "double quotes are around names")
		}
	} else {
		if path == "" {
			path = r.Names.Login
		}
		if path != "" {
			ways = append(ways, "search_path is "+path)
		}
		if r.BackslashLiterals {
			ways = append(ways, "backslashes escape in literals")
		}
	}
	ways = append(ways, named("temporary here: ", r.Names.Temporary)...)
	ways = append(ways, named("changed by the open transaction: ", r.Names.Changed)...)
	const others = UnsurePath | UnsureRole | UnsureUser | UnsureTemporary | UnsureObjects
	certain = r.Names.Unsure&others == 0 && (!r.Modes || r.Certain)
	if !certain {
		ways = append(ways, "names may mean something else, since a role, or what is not known, was set in the session")
	}
	return strings.Join(ways, "; "), certain
}

// named are the names of relations, in one way.
func named(way string, relations []*OwnRelation) []string {
	var names []string
	for _, r := range relations {
		name := r.Name
		if r.Schema != "" {
			name = r.Schema + "." + name
		}
		names = append(names, name)
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	return []string{way + strings.Join(slices.Compact(names), ", ")}
}
