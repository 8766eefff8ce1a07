package masking

import "strings"

// maxLabels bounds how many names are kept of a kind; with more, every name
// counts as kept.
const maxLabels = 1024

// labels are the names that a text gives to columns, in lower case, and the
// names of the columns that they are given to: "" when that is no column by
// itself.
type labels map[string]string

// give notes that name is given to source.
func (l labels) give(name, source string) labels {
	if l == nil {
		l = labels{}
	}
	name, source = strings.ToLower(name), strings.ToLower(source)
	switch old, ok := l[name]; {
	case ok && old != source:
		l[name] = "" // to several
	case !ok && len(l) <= maxLabels:
		l[name] = source
	}
	return l
}

// origin returns the name of the column that name is given to, through names of
// names; name itself when it is not one that is given. known is false when that
// cannot be told.
func (l labels) origin(name string) (source string, known bool) {
	if len(l) > maxLabels {
		return "", false
	}
	source = strings.ToLower(name)
	for range 8 {
		next, given := l[source]
		switch {
		case !given, next == source:
			return source, true
		case next == "":
			return "", false
		}
		source = next
	}
	return "", false
}
